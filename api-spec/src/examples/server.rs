//! Examples: machines, balancers and regions.

use super::{Example, reason, second};
use crate::texts::{
    AppserverId, HostKey, IpAddress, LoadBalancerId, NeededReason, RegionId, RunId, ServerId,
    SocketAddress,
};
use crate::{
    ChangeRegion, DeleteOrphan, LoadBalancer, Orphan, OrphanDeletionPlan, PreparationPlan,
    PrepareLoadBalancer, QueuedRun, Region, RegionLook, Server, ServerPower, ServerStatus,
};

impl Example for Server {
    fn example() -> Self {
        let status = ServerStatus::Ready;
        Self {
            id: ServerId::EXAMPLE.to_owned(),
            appserver: AppserverId::EXAMPLE.to_owned(),
            name: "alpha-2".to_owned(),
            openstack_id: Some("6f1c0a52-3b7e-4d19-9a08-5e2d7c4b1f36".to_owned()),
            openstack_region: "local".to_owned(),
            status,
            status_name: status.name().to_owned(),
            status_description: status.description().to_owned(),
            reason: None,
            power: Some(ServerPower::Active),
            public_ip: Some(IpAddress::EXAMPLE.to_owned()),
            ssh_port: Some(22),
            ssh_user: Some("ubuntu".to_owned()),
            host_keys: vec![HostKey::EXAMPLE.to_owned()],
            http_port: Some(80),
            created: second(121),
            modified: second(240),
        }
    }
}

impl Example for LoadBalancer {
    fn example() -> Self {
        Self {
            id: LoadBalancerId::EXAMPLE.to_owned(),
            domain: "balancer.example.com".to_owned(),
            public_ip: "203.0.113.2".to_owned(),
            http_port: 80,
            also_listens: Some(SocketAddress::EXAMPLE.to_owned()),
            accepts_new_backends: true,
            troubles: vec![],
            preparation_run: Some(RunId::EXAMPLE.to_owned()),
            created: second(-86_400),
            modified: second(3_600),
        }
    }
}

impl Example for Region {
    fn example() -> Self {
        let queued = QueuedRun {
            run: "run_01985f70-91b8-7a54-9e0d-2b1c7f6e5d48".to_owned(),
            position: 1,
            since: second(200),
        };
        Self {
            id: RegionId::EXAMPLE.to_owned(),
            name: "local".to_owned(),
            launches_max: 2,
            running: vec![RunId::EXAMPLE.to_owned()],
            queued: vec![queued],
            created: second(-86_400),
            modified: second(-86_400),
        }
    }
}

impl Example for ChangeRegion {
    fn example() -> Self {
        Self { launches_max: 4, reason: reason() }
    }
}

impl Example for RegionLook {
    fn example() -> Self {
        Self {
            name: "local".to_owned(),
            last_seen_at: Some(second(3_590)),
            error: None,
            machines: 3,
        }
    }
}

impl Example for Orphan {
    fn example() -> Self {
        Self {
            region: "local".to_owned(),
            machine: "6f1c0a52-3b7e-4d19-9a08-5e2d7c4b1f36".to_owned(),
            name: "alpha-1".to_owned(),
            key: Some("e2d7c4b1-5e2d-5f36-9a08-3b7e4d199a08".to_owned()),
            power: ServerPower::Active,
            deletion_run: None,
            found: second(1_800),
        }
    }
}

impl Example for DeleteOrphan {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for OrphanDeletionPlan {
    fn example() -> Self {
        let would = "a run would delete machine 6f1c0a52 (`alpha-1`) of region local with its disk";
        Self { would: would.to_owned() }
    }
}

impl Example for PrepareLoadBalancer {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for PreparationPlan {
    fn example() -> Self {
        let would = "a run would install what is missing on balancer.example.com, start HAProxy if \
                     it does not run, and put its fragments right";
        Self { would: would.to_owned() }
    }
}
