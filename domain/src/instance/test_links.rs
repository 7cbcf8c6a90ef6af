//! Test links: who comes by one is sent to one Appserver under the site's own name, for a time.

use super::{Event, Present};
use crate::Timestamp;
use crate::configuration::secrets::derive_key;
use crate::configuration::{ConfigurationError, open};
use crate::ids::{AppserverId, RunId};
use crate::settings::InstanceSettings;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest time of one link.
pub const DAYS_MAX: i64 = 7;
/// Most links of an instance at a time: each is a part of its balancer's configuration.
pub const LINKS_MAX: usize = 10;
/// How many hexadecimal digits its secret has.
const SECRET_LENGTH: usize = 40;

/// A link to one Appserver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestLink {
    /// What its secret is made of.
    pub id: Uuid,
    /// Where it leads.
    pub appserver: AppserverId,
    /// Until when.
    pub until: Timestamp,
}

impl TestLink {
    /// What stands in the link, and in the cookie of who came by it.
    ///
    /// # Errors
    /// When the instance's master secret can't be read.
    pub fn secret(&self, settings: &InstanceSettings) -> Result<String, ConfigurationError> {
        let master = open(&settings.secret_key_b64encoded, "secret_key_b64encoded")?;
        let mut key = derive_key(master, &format!("test-link/{}", self.id))?;
        key.truncate(SECRET_LENGTH);
        Ok(key)
    }
}

/// What one may ask about the test links of an Instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make this link, which `run` publishes.
    Make {
        /// The run.
        run: RunId,
        /// The link.
        link: TestLink,
    },
    /// The link of that run is not published.
    Drop {
        /// The run.
        run: RunId,
        /// Its link.
        link: Uuid,
    },
}

/// Why a link was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would be over at once, or last too long.
    #[error("must lie ahead, by at most {DAYS_MAX} days")]
    Until,
    /// There are too many.
    #[error(
        "the instance has {LINKS_MAX} test links already: use one of them, or wait until one ends"
    )]
    TooMany,
    /// Nobody gets anything under its names.
    #[error("no load balancer answers for the instance yet")]
    NoBalancer,
}

impl Present {
    /// The links that lead somewhere at that time.
    pub fn open_links(&self, now: Timestamp) -> impl Iterator<Item = &TestLink> {
        self.test_links.iter().filter(move |link| now < link.until)
    }
}

/// The rules.
pub(super) fn decide(
    present: &Present,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Event>, super::Rejected> {
    match command {
        Command::Make { link, .. } if present.test_links.contains(&link) => Ok(vec![]),
        Command::Make { run, link } => {
            present.check_live()?;
            if link.until <= now || link.until - now > TimeDelta::days(DAYS_MAX) {
                return Err(Refused::Until.into());
            }
            if present.load_balancer.is_none() {
                return Err(Refused::NoBalancer.into());
            }
            if present.open_links(now).count() >= LINKS_MAX {
                return Err(Refused::TooMany.into());
            }
            Ok(vec![Event::TestLinkMade { run, link, at: now }])
        }
        Command::Drop { run, link } => {
            let is_known = present.test_links.iter().any(|known| known.id == link);
            Ok(if is_known { vec![Event::TestLinkDropped { run, link }] } else { vec![] })
        }
    }
}

/// What its events mean; others are none of theirs.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    match event {
        Event::TestLinkMade { link, at, .. } => {
            present.test_links.retain(|known| *at < known.until);
            present.test_links.push(*link);
        }
        Event::TestLinkDropped { link, .. } => {
            present.test_links.retain(|known| known.id != *link);
        }
        Event::Archived { .. } | Event::Deleted { .. } => present.test_links.clear(),
        _ => {}
    }
}
