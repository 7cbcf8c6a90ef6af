//! Archiving, un-archiving and deleting instances; and taking all of their Appservers away.

use crate::examples::{Example, reason};
use crate::resource::ResourceKind;
use crate::texts::{AppserverId, HostName, NeededReason, Prose, Reason, ResourceId, RunId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceLifecycle {
    /// It can be launched, and serve.
    Live,
    /// It is being taken out of service.
    Archiving,
    /// Nothing of it runs; its data, settings and names are kept.
    Archived,
    /// It is being brought back.
    Unarchiving,
    /// All that it has is being taken away.
    Deleting,
    /// Only its history is left.
    Deleted,
}

impl InstanceLifecycle {
    /// As on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Archiving => "archiving",
            Self::Archived => "archived",
            Self::Unarchiving => "unarchiving",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// Asks to take an instance out of service. Its data, settings, names and history are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveInstance {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// Asks to bring an instance back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnarchiveInstance {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Launch an Appserver of its settings once it is live, and activate it; true when left out.
    pub launch: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
}

impl Default for UnarchiveInstance {
    fn default() -> Self {
        Self { reason: String::new(), launch: true, dry_run: false }
    }
}

/// Asks to take all away that an instance has. This can't be undone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeleteInstance {
    /// The instance's domain, which confirms it.
    #[schema(value_type = HostName)]
    pub confirm: String,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// What of these kinds can't be removed is left: it stays among the resources.
    pub ignore: Vec<ResourceKind>,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What archiving, un-archiving or deleting an instance would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LifecyclePlan {
    /// In sentences.
    #[schema(value_type = Vec<Prose>)]
    pub would: Vec<String>,
}

/// Asks to take all Appservers of an instance and their machines away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TerminateAppservers {
    /// Even if some receive traffic: the site is gone then. Needs a reason.
    pub force: bool,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// The runs that take Appservers away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedTerminations {
    /// One for each that has a machine, by number.
    pub started: Vec<StartedTermination>,
}

/// The run that takes one Appserver away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedTermination {
    /// `apps_…`.
    #[schema(value_type = AppserverId)]
    pub appserver: String,
    /// `run_…`.
    #[schema(value_type = RunId)]
    pub run: String,
}

/// Takes something out of what an instance is known to have outside, whether it is there or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResolveResource {
    /// Which: `INSTANCE/KIND/KEY`.
    #[schema(value_type = ResourceId)]
    pub id: String,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

impl Example for ArchiveInstance {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for UnarchiveInstance {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), launch: true, dry_run: true }
    }
}

impl Example for DeleteInstance {
    fn example() -> Self {
        Self {
            confirm: "learn.alpha.example".to_owned(),
            reason: NeededReason::EXAMPLE.to_owned(),
            ignore: vec![ResourceKind::DnsName],
            dry_run: true,
        }
    }
}

impl Example for LifecyclePlan {
    fn example() -> Self {
        let would = [
            "the site would go off line: 1 of its appservers serve it",
            "a run would remove the machine alpha-2 at local",
            "its databases, storage, settings, names and history would be kept",
        ];
        Self { would: would.map(str::to_owned).to_vec() }
    }
}

impl Example for TerminateAppservers {
    fn example() -> Self {
        Self { force: true, reason: reason() }
    }
}

impl Example for StartedTerminations {
    fn example() -> Self {
        let (appserver, run) = (AppserverId::EXAMPLE.to_owned(), RunId::EXAMPLE.to_owned());
        Self { started: vec![StartedTermination { appserver, run }] }
    }
}

impl Example for ResolveResource {
    fn example() -> Self {
        let (id, reason) = (ResourceId::EXAMPLE.to_owned(), NeededReason::EXAMPLE.to_owned());
        Self { id, reason }
    }
}
