//! What nothing accounts for, what is missing, and the orders about it.

use crate::examples::{Example, second};
use crate::resource::ResourceKind;
use crate::texts::{HostName, InstanceId, Name, NeededReason, OrphanId, Prose, ResourceId, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something of ours that no instance has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanedResource {
    /// Where it is, and what it is: `KIND/PLACE/KEY`.
    #[schema(value_type = OrphanId)]
    pub id: String,
    /// What it is.
    pub kind: ResourceKind,
    /// Who has it, as circuits and pauses name providers.
    #[schema(value_type = Name)]
    pub provider: String,
    /// Where it is: a region, a balancer, a shared server, where containers are; `dns` for names.
    #[schema(value_type = Name)]
    pub place: String,
    /// What people call it.
    #[schema(value_type = Name)]
    pub name: String,
    /// Whose it was, or may have been.
    #[schema(value_type = Option<InstanceId>)]
    pub owner: Option<String>,
    /// When it was made, where its provider tells.
    pub made: Option<DateTime<Utc>>,
    /// Since when no instance has it, where one once had.
    pub left: Option<DateTime<Utc>>,
    /// What says that it is ours.
    #[schema(value_type = Prose)]
    pub sign: String,
    /// `run_…` that takes it away, once that was asked for.
    #[schema(value_type = Option<RunId>)]
    pub deletion_run: Option<String>,
}

/// Something that an instance is known to have, and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingResource {
    /// What it is known by among all: `INSTANCE/KIND/KEY`.
    #[schema(value_type = ResourceId)]
    pub id: String,
    /// Whose it is.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// What it is.
    pub kind: ResourceKind,
    /// Who was asked.
    #[schema(value_type = Name)]
    pub provider: String,
    /// What people call it.
    #[schema(value_type = Name)]
    pub name: String,
    /// Where it is to be: a region, a balancer, what a name leads to.
    #[schema(value_type = HostName)]
    pub place: String,
    /// What is there in its place.
    #[schema(value_type = Option<Prose>)]
    pub instead: Option<String>,
}

/// A provider that could not be asked, or not for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnansweredProvider {
    /// Which.
    #[schema(value_type = Name)]
    pub provider: String,
    /// Why.
    #[schema(value_type = Prose)]
    pub error: String,
}

/// What all providers have, compared with what instances are known to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceScan {
    /// What is there, and no instance has; by kind, place and key.
    pub orphans: Vec<OrphanedResource>,
    /// What instances are known to have, and is not there; by instance, kind and key.
    pub missing: Vec<MissingResource>,
    /// Who did not answer: of what they have, nothing is told.
    pub unanswered: Vec<UnansweredProvider>,
}

/// Has an instance look after something that no instance has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdoptResource {
    /// Which: `KIND/PLACE/KEY`.
    #[schema(value_type = OrphanId)]
    pub id: String,
    /// Who is to look after it.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

/// Takes something away that no instance has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeleteResource {
    /// Which: `KIND/PLACE/KEY`.
    #[schema(value_type = OrphanId)]
    pub id: String,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

impl Example for ResourceScan {
    fn example() -> Self {
        let instance = InstanceId::EXAMPLE.to_owned();
        let orphan = OrphanedResource {
            id: OrphanId::EXAMPLE.to_owned(),
            kind: ResourceKind::DnsName,
            provider: "DNS".to_owned(),
            place: "dns".to_owned(),
            name: "alpha.example.com".to_owned(),
            owner: Some(instance.clone()),
            made: None,
            left: Some(second(3_600)),
            sign: format!("{instance} had it, and it was seen to be gone"),
            deletion_run: None,
        };
        let missing = MissingResource {
            id: ResourceId::EXAMPLE.to_owned(),
            instance,
            kind: ResourceKind::DnsName,
            provider: "DNS".to_owned(),
            name: "alpha.example.com".to_owned(),
            place: "balancer.example.com".to_owned(),
            instead: Some("CNAME elsewhere.example.com".to_owned()),
        };
        let silent = UnansweredProvider {
            provider: "region north".to_owned(),
            error: "it has not answered within 60 seconds".to_owned(),
        };
        Self { orphans: vec![orphan], missing: vec![missing], unanswered: vec![silent] }
    }
}

impl Example for AdoptResource {
    fn example() -> Self {
        Self {
            id: OrphanId::EXAMPLE.to_owned(),
            instance: InstanceId::EXAMPLE.to_owned(),
            reason: NeededReason::EXAMPLE.to_owned(),
        }
    }
}

impl Example for DeleteResource {
    fn example() -> Self {
        Self {
            id: OrphanId::EXAMPLE.to_owned(),
            reason: NeededReason::EXAMPLE.to_owned(),
            dry_run: true,
        }
    }
}
