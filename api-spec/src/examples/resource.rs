//! Examples: what instances have outside.

use super::{Example, second};
use crate::texts::{AppserverId, InstanceId, ServerId};
use crate::{Resource, ResourceKind, ResourceState};

impl Example for Resource {
    fn example() -> Self {
        Self {
            instance: InstanceId::EXAMPLE.to_owned(),
            kind: ResourceKind::Machine,
            key: ServerId::EXAMPLE.to_owned(),
            name: "alpha-2".to_owned(),
            place: "local".to_owned(),
            owner: AppserverId::EXAMPLE.to_owned(),
            state: ResourceState::Present,
            provider_id: Some("6f1c0a52-3b7e-4d19-9a08-5e2d7c4b1f36".to_owned()),
            reason: None,
            since: second(121),
        }
    }
}
