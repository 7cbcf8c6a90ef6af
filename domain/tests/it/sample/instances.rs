//! One of each event of an instance.

use super::*;

pub(crate) fn instance_events() -> Vec<instance::Event> {
    use instance::Event as E;
    vec![
        E::CreationAbandoned { by: InstanceId(Uuid::from_u128(2)) },
        E::Created { settings: Box::new(settings()) },
        E::SettingsChanged {
            changes: Box::new(settings().difference(&other_settings())),
            version: 2,
        },
        E::DetailsChanged {
            owner: Some("Alpha University".to_owned()),
            notes: Some("Courses begin in May.".to_owned()),
        },
        E::TagsChanged {
            tags: vec![tag("may-success"), tag("pilot")],
            added: vec![tag("may-success")],
            removed: vec![tag("may-ongoing")],
        },
        E::CleanUpChanged {
            rule: Some(instance::clean_up::Rule::Days(7)),
            reason: "their courses begin late".to_owned(),
        },
        E::NameDisowned {
            kind: name::Kind::Domain,
            name: "beta.example.com".to_owned(),
            by: InstanceId(Uuid::from_u128(2)),
        },
        E::DomainsReleased { domains: vec!["old.example.org".to_owned()] },
        E::ResourcesNamed {
            names: ResourceNames::propose(
                "lms.example.com",
                &ResourcePrefixes::default(),
                instance_id(),
                0,
            ),
        },
        E::ServersAssigned { servers: Box::new(crate::shared_server::servers()) },
        E::LoadBalancerAssigned { load_balancer: load_balancer_id() },
        E::LaunchRequested {
            appserver: appserver_id(1),
            run: run_id(1),
            number: 1,
            queued: false,
            then: OnSuccess { activate: true, deactivate_others: false },
            attempts: attempts(),
        },
        E::LaunchSettled {
            appserver: appserver_id(1),
            outcome: LaunchOutcome::Running,
            run: run_id(1),
            next_run: None,
        },
        E::TrafficClaimed { run: run_id(1) },
        E::TrafficReleased { run: run_id(1) },
        E::TrafficAssigned {
            active: vec![appserver_id(1)],
            added: vec![appserver_id(1)],
            removed: vec![],
            names: RoutedNames::new(&settings()),
        },
        E::NamesTroubled {
            troubles: vec![NameTrouble {
                name: "studio.lms.example.com".to_owned(),
                trouble: "it answers with status 503".to_owned(),
            }],
        },
        E::NamesRecovered {},
        E::ArchiveRequested { run: run_id(5), reason: "nobody learns here any more".to_owned() },
        E::Archived { run: run_id(5) },
        E::UnarchiveRequested { run: run_id(6), reason: "a new course".to_owned(), launch: true },
        E::Unarchived { run: run_id(6) },
        E::DeletionRequested {
            run: run_id(7),
            reason: "it was for a fair".to_owned(),
            ignore: vec![ledger::Kind::DnsName],
            again: false,
        },
        E::LifecycleRunStopped { run: run_id(7), stage: instance::Stage::Deleting },
        E::Deleted {
            run: run_id(8),
            residue: vec![ResourceKey::new(ledger::Kind::DnsName, "lms.example.com")],
        },
        E::Held(hold()),
        E::HoldReleased {
            holder: hold().holder,
            reason: Some("the exam can't wait for her".to_owned()),
        },
        E::MaintenanceRequested { run: run_id(9), page: Some(maintenance()) },
        E::MaintenanceChanged { run: run_id(9), page: Some(maintenance()) },
        E::MaintenanceChangeStopped { run: run_id(10) },
        E::TestLinkMade { run: run_id(11), link: test_link(), at: at(10) },
        E::TestLinkDropped { run: run_id(11), link: test_link().id },
    ]
}

/// A link to the first Appserver.
pub(crate) fn test_link() -> instance::TestLink {
    let (id, appserver) = (Uuid::from_u128(0x0f01), appserver_id(1));
    instance::TestLink { id, appserver, until: at(3_600) }
}

/// What visitors of a site under maintenance get.
pub(crate) fn maintenance() -> instance::Maintenance {
    let message = "We move to faster machines.".to_owned();
    instance::Maintenance { message, until: at(7_200) }
}

/// Who keeps an instance to himself.
pub(crate) fn hold() -> instance::Hold {
    let reason = "moving the database".to_owned();
    instance::Hold { holder: "token:ada".to_owned(), reason, until: at(3_600) }
}
