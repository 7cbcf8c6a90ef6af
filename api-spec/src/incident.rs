//! Known trouble: what is paused, and which provider keeps failing.

use crate::examples::{Example, second};
use crate::texts::{Actor, IncidentId, LogPosition, Name, NeededReason, Prose, Reason};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Known trouble, with its beginning and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// `incd_…`: the same for all incidents of one kind and subject.
    #[schema(value_type = IncidentId)]
    pub id: String,
    /// Its number among those, from 1.
    #[schema(minimum = 1)]
    pub number: i64,
    /// The event that it began with.
    #[schema(value_type = LogPosition)]
    pub event: String,
    /// Which kind.
    pub trouble: Trouble,
    /// What it is about.
    pub about: IncidentSubject,
    /// The region or the provider; none where it is all work.
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    /// Why.
    #[schema(value_type = Prose)]
    pub reason: String,
    /// Who has said so.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// When it began.
    pub began: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// So many runs a minute go on, where they do.
    #[schema(minimum = 1, maximum = 10_000)]
    pub rate_per_minute: Option<i64>,
    /// When it ended; none while it is open.
    pub ended: Option<DateTime<Utc>>,
    /// Who ended it.
    #[schema(value_type = Option<Actor>)]
    pub ended_by: Option<String>,
}

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Somebody has paused it: no work on it begins.
    Pause,
    /// It keeps failing: its circuit is open, and it is left alone.
    Outage,
}

/// What trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentSubject {
    /// All work.
    All,
    /// A region of a cloud.
    Region,
    /// A provider, as messages call it.
    Provider,
}

/// Has no work begin on something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseWork {
    /// What is to stand still.
    pub about: IncidentSubject,
    /// The region, or the provider as messages call it, e.g. `DNS`; left out for all work.
    #[serde(default)]
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    /// When it ends by itself; left out where somebody will resume it.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
    /// Why.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

/// Lets work on something go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeWork {
    /// What is to go on.
    pub about: IncidentSubject,
    /// The region or the provider; left out for all work.
    #[serde(default)]
    #[schema(value_type = Option<Name>)]
    pub name: Option<String>,
    /// So many runs a minute, the oldest first; all at once where it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10_000)]
    pub rate_per_minute: Option<u32>,
    /// Why.
    #[serde(default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

impl Example for Incident {
    fn example() -> Self {
        Self {
            id: IncidentId::EXAMPLE.to_owned(),
            number: 1,
            event: LogPosition::EXAMPLE.to_owned(),
            trouble: Trouble::Pause,
            about: IncidentSubject::Region,
            name: Some("local".to_owned()),
            reason: "works on the network".to_owned(),
            actor: Actor::EXAMPLE.to_owned(),
            began: second(60),
            until: Some(second(3_660)),
            rate_per_minute: None,
            ended: None,
            ended_by: None,
        }
    }
}

impl Example for PauseWork {
    fn example() -> Self {
        Self {
            about: IncidentSubject::Region,
            name: Some("local".to_owned()),
            until: None,
            reason: "works on the network".to_owned(),
        }
    }
}

impl Example for ResumeWork {
    fn example() -> Self {
        Self {
            about: IncidentSubject::Region,
            name: Some("local".to_owned()),
            rate_per_minute: Some(6),
            reason: Some("the network is back".to_owned()),
        }
    }
}
