//! The state of affairs: what needs a person, what runs, and what people have put in force.

use crate::examples::{Example, second};
use crate::texts::{InstanceId, Name, Prose, RunId, Word};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why something needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeedCode {
    /// The event store does not answer, or a read model is missing.
    NotReady,
    /// A read model stands still at an event that it can't take.
    ProjectionPaused,
    /// A run can't go on by itself.
    RunStuck,
    /// An Appserver that gets traffic is not well, or its machine is not.
    SiteInTrouble,
    /// A failed Appserver keeps its machine for debugging.
    FailedLaunchKept,
    /// A provider keeps failing and is left alone for a while.
    CircuitOpen,
    /// Somebody has paused work, which waits.
    WorkPaused,
    /// A region did not answer when it was last looked at.
    RegionSilent,
    /// A machine bears our mark, but nothing accounts for it.
    Orphan,
    /// A balancer is not as it should be.
    BalancerInTrouble,
    /// The mail server has not taken a mail for some minutes.
    MailNotTaken,
}

/// One thing that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Need {
    /// Why.
    pub code: NeedCode,
    /// Its id, or its name where it has none.
    #[schema(value_type = Prose)]
    pub id: String,
    /// What people call it.
    #[schema(value_type = Prose)]
    pub name: String,
    /// What is the matter, in one sentence.
    #[schema(value_type = Prose)]
    pub sentence: String,
    /// Since when, if that is known.
    pub since: Option<DateTime<Utc>>,
    /// The command line that shows more, or resolves it.
    #[schema(value_type = Prose)]
    pub advice: String,
}

/// What somebody has put in force at an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCode {
    /// Somebody keeps everybody else from changing it.
    InstanceHeld,
    /// Visitors get a page instead of the site.
    InstanceUnderMaintenance,
}

/// One thing that somebody has put in force, and that others should know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// What.
    pub code: NoticeCode,
    /// `inst_…`.
    #[schema(value_type = InstanceId)]
    pub id: String,
    /// What people call it.
    #[schema(value_type = Prose)]
    pub name: String,
    /// What is in force, by whom and why, in one sentence.
    #[schema(value_type = Prose)]
    pub sentence: String,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The command line that ends it.
    #[schema(value_type = Prose)]
    pub advice: String,
}

/// One run that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Running {
    /// `run_…`.
    #[schema(value_type = RunId)]
    pub run: String,
    /// What it does, e.g. `launch_appserver`.
    #[schema(value_type = Word)]
    pub definition: String,
    /// What it is about, as people call it.
    #[schema(value_type = Name)]
    pub name: String,
    /// Where it is, e.g. `under way at run_main_playbook`.
    #[schema(value_type = Prose)]
    pub sentence: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// How long it has taken so far, in seconds.
    #[schema(minimum = 0)]
    pub duration_s: f64,
}

/// The state of affairs now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// What needs a person, the most urgent first; at most 100 of a kind.
    pub needs: Vec<Need>,
    /// What runs, newest first; at most 200.
    pub running: Vec<Running>,
    /// What people have put in force; at most 100 of a kind.
    pub notices: Vec<Notice>,
}

impl Example for Status {
    fn example() -> Self {
        let need = Need {
            code: NeedCode::RunStuck,
            id: RunId::EXAMPLE.to_owned(),
            name: "alpha.example.com/2".to_owned(),
            sentence: "launch_appserver is stuck at delete_server: the cloud does not answer"
                .to_owned(),
            since: Some(second(4_200)),
            advice: format!("ocim run explain {}", RunId::EXAMPLE),
        };
        let running = Running {
            run: RunId::EXAMPLE.to_owned(),
            definition: "launch_appserver".to_owned(),
            name: "alpha.example.com/2".to_owned(),
            sentence: "under way at run_main_playbook".to_owned(),
            started: second(120),
            duration_s: 612.4,
        };
        let notice = Notice {
            code: NoticeCode::InstanceHeld,
            id: InstanceId::EXAMPLE.to_owned(),
            name: "alpha.example.com".to_owned(),
            sentence: "is held by token:ada: moving the database".to_owned(),
            until: second(86_400),
            advice: "ocim instance release alpha.example.com".to_owned(),
        };
        Self { needs: vec![need], running: vec![running], notices: vec![notice] }
    }
}
