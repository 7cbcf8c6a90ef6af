//! Mails that Ocim sends. Real: [`smtp`]; [`unsent`] where no mail server is configured. Tests: [`fake`].

pub mod fake;
pub mod smtp;
pub mod unsent;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::port_error::PortError;

/// A mail as it leaves: the same, with the same id, at each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// What mail programs know it by, so that a repetition is one mail to them: `local@domain`.
    pub message_id: String,
    /// Who sends it, as [`is_mailbox`] has it.
    pub from: String,
    /// To whom, at least one.
    pub to: Vec<String>,
    /// One line.
    pub subject: String,
    /// For programs without HTML.
    pub text: String,
    /// For the others.
    pub html: String,
    /// A text beside it.
    pub attachment: Option<Attachment>,
    /// When it was written.
    pub date: Timestamp,
    /// Whether it has waited long enough for recipients that the mail server asks patience for: the
    /// others get it without them.
    pub is_overdue: bool,
}

/// A text that comes beside a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name of its file.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A recipient that the mail server does not take mail for, with what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecipient {
    /// The address.
    pub address: String,
    /// What the mail server said.
    pub answer: String,
}

/// Hands mails to a mail server.
#[async_trait]
pub trait Mailer: Send + Sync + std::fmt::Debug {
    /// Hands a mail over, and tells for whom it was not taken, which are not all of its recipients.
    ///
    /// [`Class::RateLimited`](ocim_domain::port_error::Class::RateLimited), and nobody has it, when the
    /// server asks for patience: for one of them, or for all that it takes mail for once it is overdue.
    /// [`Class::Permanent`](ocim_domain::port_error::Class::Permanent) when the server refuses it, or
    /// all of its recipients; [`Class::Ambiguous`](ocim_domain::port_error::Class::Ambiguous) when the
    /// server did not answer once it had the mail. Sending it again is the same mail.
    async fn send_mail(&self, mail: &OutgoingMail) -> Result<Vec<RefusedRecipient>, PortError>;
}

impl Answer for RefusedRecipient {
    fn made_storable(self) -> Self {
        Self { answer: self.answer.made_storable(), address: self.address }
    }
}

guarded! { Mailer {} {
    send_mail(mail: &OutgoingMail) -> Vec<RefusedRecipient>, orders Asked::Own;
}}

/// Whether a text is an address, alone or behind a name: `Ops <ops@example.com>`.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    text.parse::<lettre::message::Mailbox>().is_ok_and(|it| is_plain(&it.email))
}

/// The address of a person of this name, as mails have it; none where it is no address.
#[must_use]
pub fn mailbox(name: &str, address: &str) -> Option<String> {
    let email = address.trim().parse::<lettre::Address>().ok().filter(is_plain)?;
    // A name can't begin another header.
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    Some(lettre::message::Mailbox::new(name, email).to_string())
}

/// Not every mail server takes addresses of other letters.
fn is_plain(address: &lettre::Address) -> bool {
    AsRef::<str>::as_ref(address).is_ascii()
}

/// The address of a mailbox, without the name before it.
#[must_use]
pub fn address_of(mailbox: &str) -> Option<String> {
    let mailbox: lettre::message::Mailbox = mailbox.parse().ok()?;
    Some(mailbox.email.to_string())
}

/// The domain of a mailbox, to make ids of messages with.
#[must_use]
pub fn domain_of(mailbox: &str) -> Option<String> {
    let mailbox: lettre::message::Mailbox = mailbox.parse().ok()?;
    Some(mailbox.email.domain().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_make_mailboxes_and_nothing_else_does() {
        assert_eq!(mailbox("Ops", "ops@example.com").as_deref(), Some("Ops <ops@example.com>"));
        assert_eq!(mailbox(" ", " ops@localhost ").as_deref(), Some("ops@localhost"));
        let hostile = mailbox("Ops\r\nBcc: all@example.com", "ops@example.com").unwrap();
        assert_eq!(domain_of(&hostile).as_deref(), Some("example.com"), "{hostile}");
        for wrong in ["", "ops", "ops@", "@example.com", "a b@example.com", "a@b\r\nBcc: c@d"] {
            assert_eq!(mailbox("Ops", wrong), None, "{wrong:?}");
            assert!(!is_mailbox(wrong), "{wrong:?}");
        }
        assert!(is_mailbox("Ops <ops@example.com>") && is_mailbox("opencraft@localhost"));
        assert_eq!(domain_of("Ops <ops@example.com>").as_deref(), Some("example.com"));
        assert_eq!(address_of("Ops <ops@example.com>").as_deref(), Some("ops@example.com"));
    }
}
