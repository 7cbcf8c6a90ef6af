//! What waiting steps have said lately, so that they say it once and not at every look.

use chrono::TimeDelta;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// After this long a text is news again: a log that is silent for an hour explains nothing.
const REPEAT: TimeDelta = TimeDelta::minutes(5);
/// Different texts that one step may say within that time; some texts have numbers in them.
const TEXTS_MAX: usize = 20;

/// By step and text: when it was said.
type Said = HashMap<(String, String), Timestamp>;

/// What was said lately, by run; forgotten with the run's end.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<HashMap<RunId, Said>>);

impl News {
    /// True when the text was not said within the last minutes; it is noted as said then.
    pub(super) fn is_news(&self, run: RunId, step: &str, text: &str, now: Timestamp) -> bool {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = runs.entry(run).or_default();
        said.retain(|_, at| now - *at < REPEAT);
        let of_step = said.keys().filter(|(other, _)| other == step).count();
        let key = (step.to_owned(), text.to_owned());
        if said.contains_key(&key) || of_step >= TEXTS_MAX {
            return false;
        }
        said.insert(key, now);
        true
    }

    /// The run has ended.
    pub(super) fn forget(&self, run: RunId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_text_is_said_once_and_again_after_minutes() {
        let (news, run) = (News::default(), RunId(Uuid::from_u128(1)));
        let at = |seconds| Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let mut said = vec![];
        for second in 0..400 {
            if news.is_news(run, "await_ssh", "refused", at(second)) {
                said.push(second);
            }
        }
        assert_eq!(said, [0, 300]);
        assert!(news.is_news(run, "await_ssh", "timed out", at(400)));
        assert!(news.is_news(run, "await_reboot", "refused", at(400)));
        let many = (0..100).filter(|n| news.is_news(run, "s", &n.to_string(), at(500))).count();
        assert_eq!(many, TEXTS_MAX);
        news.forget(run);
        assert!(news.is_news(run, "await_ssh", "refused", at(401)));
    }
}
