//! A mail server in memory, which keeps what it has taken.

use super::{Mailer, OutgoingMail, RefusedRecipient};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes every mail.
#[derive(Debug, Default)]
pub struct FakeMailer {
    /// What is to fail: `send_mail`.
    pub faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    taken: Vec<OutgoingMail>,
    refused: BTreeSet<String>,
}

impl FakeMailer {
    /// Every mail that was taken, repetitions too.
    #[must_use]
    pub fn taken(&self) -> Vec<OutgoingMail> {
        self.lock().taken.clone()
    }

    /// The ids of the mails that were taken: what a mail program shows.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<String> {
        self.lock().taken.iter().map(|mail| mail.message_id.clone()).collect()
    }

    /// Takes no mail for that address from now on.
    pub fn refuse(&self, address: &str) {
        self.lock().refused.insert(address.to_owned());
    }

    /// The same as it is now, which goes its own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), state: Mutex::new(self.lock().clone()) }
    }

    fn take(&self, mail: &OutgoingMail) -> Result<Vec<RefusedRecipient>, PortError> {
        let mut state = self.lock();
        let refused: Vec<_> =
            mail.to.iter().filter(|address| state.refused.contains(*address)).cloned().collect();
        if refused.len() == mail.to.len() {
            return Err(PortError::permanent(ErrorCode::MailRefused, "550 nobody is known"));
        }
        state.taken.push(mail.clone());
        let answer = || "550 unknown".to_owned();
        let refuse = |address| RefusedRecipient { address, answer: answer() };
        Ok(refused.into_iter().map(refuse).collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Mailer for FakeMailer {
    async fn send_mail(&self, mail: &OutgoingMail) -> Result<Vec<RefusedRecipient>, PortError> {
        self.faults.before("send_mail").await?;
        let refused = self.take(mail)?;
        self.faults.after("send_mail")?;
        Ok(refused)
    }
}
