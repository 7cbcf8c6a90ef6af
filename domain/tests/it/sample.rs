//! Made-up values that tests share: ids, times, settings, and one event of each kind.

mod instances;
mod runs;

pub(crate) use instances::*;
pub(crate) use runs::*;

use ocim_domain::Timestamp;
use ocim_domain::appserver::{self, Launched};
use ocim_domain::bulk;
use ocim_domain::event::Position;
use ocim_domain::event_log;
use ocim_domain::ids::{AppserverId, BulkId, InstanceId, LoadBalancerId, RunId, ServerId};
use ocim_domain::instance::{self, Attempts, LaunchOutcome, NameTrouble, OnSuccess};
use ocim_domain::inventory::{self, Orphan};
use ocim_domain::ledger::{self, Kind, Resource, ResourceKey};
use ocim_domain::load_balancer::{self, Registration, Trouble};
use ocim_domain::mail;
use ocim_domain::name;
use ocim_domain::names::RoutedNames;
use ocim_domain::projection;
use ocim_domain::protected::Protected;
use ocim_domain::region;
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::saga::{
    self, Action, Cause, Direction, ErrorClass, ErrorCode, LeftBehind, StuckCode,
};
use ocim_domain::server::{self, BootCause, Power, Requested, ServerAddress};
use ocim_domain::settings::{
    Defaults, InstanceSettings, NewSecrets, SETTINGS, SettingsInput, create_settings,
};
use ocim_domain::timer;
use ocim_domain::token;
use serde_json::json;
use std::num::NonZeroU32;
use uuid::Uuid;

/// Calls a function with each aggregate and the samples of its events; a list of what it returns.
macro_rules! each_aggregate {
    ($function:ident) => {{
        use ocim_domain::shared_server::{Mongodb, Mysql, Rabbitmq, SharedServer};
        use $crate::shared_server;
        [
            $function::<ocim_domain::appserver::Appserver>(&$crate::sample::appserver_events()),
            $function::<ocim_domain::event_log::EventLog>(&$crate::sample::event_log_events()),
            $function::<ocim_domain::incident::Incident>(&$crate::sample::incident_events()),
            $function::<ocim_domain::instance::Instance>(&$crate::sample::instance_events()),
            $function::<ocim_domain::load_balancer::LoadBalancer>(
                &$crate::sample::load_balancer_events(),
            ),
            $function::<ocim_domain::mail::Mail>(&$crate::sample::mail_events()),
            $function::<ocim_domain::name::Name>(&$crate::sample::name_events()),
            $function::<ocim_domain::projection::Projection>(&$crate::sample::projection_events()),
            $function::<ocim_domain::bulk::Bulk>(&$crate::sample::bulk_events()),
            $function::<ocim_domain::region::Region>(&$crate::sample::region_events()),
            $function::<ocim_domain::inventory::Inventory>(&$crate::sample::inventory_events()),
            $function::<ocim_domain::ledger::Ledger>(&$crate::sample::ledger_events()),
            $function::<ocim_domain::saga::Saga>(&$crate::sample::saga_events()),
            $function::<ocim_domain::server::Server>(&$crate::sample::server_events()),
            $function::<SharedServer<Mysql>>(&shared_server::events_of(shared_server::mysql())),
            $function::<SharedServer<Mongodb>>(&shared_server::events_of(shared_server::mongodb())),
            $function::<SharedServer<Rabbitmq>>(&shared_server::events_of(
                shared_server::rabbitmq(),
            )),
            $function::<ocim_domain::timer::Timer>(&$crate::sample::timer_events()),
            $function::<ocim_domain::token::Token>(&$crate::sample::token_events()),
        ]
    }};
}
pub(crate) use each_aggregate;

/// Base64 of `OpenCraft`; its derived credentials are known from the vectors.
pub(crate) const MASTER: &str = "T3BlbkNyYWZ0";

pub(crate) use ocim_domain::configuration::signing_key::EXAMPLE as SIGNING_KEY;

pub(crate) fn secrets() -> NewSecrets {
    NewSecrets { master: MASTER.to_owned(), signing_key: SIGNING_KEY.to_owned() }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

pub(crate) fn instance_id() -> InstanceId {
    InstanceId(Uuid::from_u128(1))
}

pub(crate) fn appserver_id(number: u128) -> AppserverId {
    AppserverId(Uuid::from_u128(0x0a00 + number))
}

pub(crate) fn server_id() -> ServerId {
    ServerId(Uuid::from_u128(0x0b01))
}

pub(crate) fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(0x0c00 + number))
}

pub(crate) fn load_balancer_id() -> LoadBalancerId {
    LoadBalancerId(Uuid::from_u128(0x0d01))
}

pub(crate) fn defaults() -> Defaults {
    Defaults::new("example.com", "test-region")
}

/// Settings below `lms.example.com`, with a secret and a person in them; as the first schema had them,
/// so that the golden files of events stay as they are.
pub(crate) fn settings() -> InstanceSettings {
    let input = SettingsInput {
        name: Some("A site".to_owned()),
        internal_lms_domain: Some("lms.example.com".to_owned()),
        configuration_extra_settings: Some("DEMO: yes".to_owned()),
        additional_monitoring_emails: Some(vec!["ops@example.com".to_owned()]),
        ..SettingsInput::default()
    };
    let subject = instance_id().to_string();
    let settings = create_settings(input, &defaults(), &subject, &secrets()).unwrap();
    let mut json = serde_json::to_value(settings).unwrap();
    for later in SETTINGS.iter().filter(|setting| setting.since > 1) {
        json.as_object_mut().unwrap().remove(later.name);
    }
    serde_json::from_value(json).unwrap()
}

pub(crate) fn other_settings() -> InstanceSettings {
    InstanceSettings { name: "Another name".to_owned(), ..settings() }
}

pub(crate) fn launched() -> Launched {
    Launched {
        instance: instance_id(),
        number: 1,
        server: server_id(),
        run: run_id(1),
        settings: Box::new(settings()),
        settings_version: 1,
        variables: Protected::new(instance_id().to_string(), r#"{"DEMO":true}"#),
        provenance: Protected::new(
            instance_id().to_string(),
            r#"{"A":[{"layer":"secret_keys","sources":[{"setting":"email"},"chance"]}]}"#,
        ),
        users_variables: Protected::new(instance_id().to_string(), r#"{"django_groups":[]}"#),
        common_variables: Protected::new(instance_id().to_string(), r#"{"consul_servers":[]}"#),
        hostname: "edxapp-lmsexamplecom-appserver-1".to_owned(),
        configuration_commit: Some("4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned()),
    }
}

pub(crate) fn requested() -> Requested {
    Requested {
        appserver: appserver_id(1),
        region: "test-region".to_owned(),
        name: "edxapp-lmsexamplecom-1".to_owned(),
        flavor: json!({ "ram": 4096, "disk": 40 }),
        image: json!({ "name": "Ubuntu 16.04" }),
        keyname: "opencraft".to_owned(),
        security_groups: vec!["edxapp-appserver".to_owned()],
    }
}

pub(crate) fn address(last: u8) -> ServerAddress {
    ServerAddress {
        ip: [192, 0, 2, last].into(),
        ssh_port: 22,
        http_port: 80,
        ssh_user: "ubuntu".to_owned(),
        may_become_root: true,
    }
}

pub(crate) fn registration() -> Registration {
    Registration {
        domain: "haproxy.example.com".to_owned(),
        address: address(200),
        also_listens: None,
        host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        fragment_name_prefix: "ocim-".to_owned(),
        fragment_name_postfix: "a1b2".to_owned(),
        accepts_new_backends: true,
    }
}

/// One event of each kind of an instance, in an order that makes sense.
pub(crate) fn tag(text: &str) -> instance::Tag {
    text.parse().unwrap()
}

/// The second of three attempts, one of many.
pub(crate) fn attempts() -> Attempts {
    Attempts {
        attempt: NonZeroU32::new(2).unwrap(),
        attempts: NonZeroU32::new(3).unwrap(),
        first_run: Some(run_id(9)),
        success_tag: Some(tag("may-success")),
        failure_tag: Some(tag("may-failure")),
        in_bulk: true,
    }
}

/// One event of each kind of an Appserver.
pub(crate) fn appserver_events() -> Vec<appserver::Event> {
    use appserver::Event as E;
    let reason = || "the play failed".to_owned();
    vec![
        E::Launched(Box::new(launched())),
        E::WaitingStarted {},
        E::ConfiguringStarted {},
        E::RunningStarted {},
        E::ConfigurationFailed { reason: reason(), keeps_server_until: Some(at(60)) },
        E::LaunchFailed { reason: reason() },
        E::Cancelled { reason: reason() },
        E::ActivationRequested { run: run_id(2), deactivate_others: true, force: false },
        E::Activated { at: at(2) },
        E::DeactivationRequested { run: run_id(3), force: true, reason: Some(reason()) },
        E::Deactivated { at: at(3) },
        E::TerminationRequested { run: run_id(4), force: false, reason: None },
        E::TerminationStarted { run: run_id(4) },
        E::TerminationStopped { run: run_id(4) },
        E::Terminated { status: appserver::Status::Terminated, at: at(4) },
        E::RestartRequested { run: run_id(6), force: true, reason: Some(reason()) },
        E::Restarted { run: run_id(6) },
        E::RestartStopped { run: run_id(6) },
        E::ServerKept { before: Some(at(60)), until: at(120), reason: reason() },
        E::CleanUpRequested { run: run_id(5), due: Some(at(120)), reason: None, obsolete: false },
        E::CleanUpStarted { run: run_id(5) },
        E::CleanUpStopped { run: run_id(5) },
        E::MachineTroubled { trouble: "its cloud says that it does not exist".to_owned() },
        E::MachineRecovered { trouble: "its cloud says that it does not exist".to_owned() },
    ]
}

/// One event of each kind of a server.
pub(crate) fn server_events() -> Vec<server::Event> {
    use server::Event as E;
    vec![
        E::Requested(Box::new(requested())),
        E::BuildingStarted {},
        E::MachineRecorded { machine: "vm-7".to_owned() },
        E::BuildFailed { reason: "no host has room".to_owned() },
        E::BootingStarted { address: Some(address(7)), cause: BootCause::Built },
        E::BecameReady {
            host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
            boot_id: "5f0c".to_owned(),
        },
        E::SightLost { reason: "the cloud does not answer".to_owned() },
        E::FoundBuilding {},
        E::Terminated {},
        E::Vanished { before: server::Status::Ready },
        E::CameBack { after: Power::Active },
        E::PowerChanged { before: Some(Power::Active), after: Power::Shutoff },
        E::ErrorSeen { before: Some(Power::Active), fault: "the host burnt down".to_owned() },
    ]
}

/// A machine that nobody accounts for.
pub(crate) fn orphan() -> Orphan {
    Orphan {
        id: ResourceKey::new(Kind::Machine, "vm-9"),
        name: "edxapp-lmsexamplecom-9".to_owned(),
        made_with: Some(Uuid::from_u128(0x0e01)),
        power: Some(Power::Active),
        owner: None,
    }
}

/// One event of each kind of a token.
pub(crate) fn token_events() -> Vec<token::Event> {
    use token::Event as E;
    let (name, scope) = ("ci".to_owned(), token::Scope::Read);
    vec![E::Created { name: name.clone(), scope, expires_at: at(86_400) }, E::Revoked { name }]
}

/// One event of each kind of the log.
pub(crate) fn event_log_events() -> Vec<event_log::Event> {
    let head = |number: u64, digit: &str| event_log::Head {
        position: Position([number, 0]),
        hash: digit.repeat(64),
    };
    vec![event_log::Event::HeadAccepted {
        known: Some(head(120, "a")),
        found: head(118, "b"),
        reason: "restored from last night's backup".to_owned(),
    }]
}

/// One event of each kind of a region.
pub(crate) fn projection_events() -> Vec<projection::Event> {
    vec![projection::Event::EventSkipped {
        projection: "instances".to_owned(),
        event: Uuid::from_u128(11),
        event_kind: "instance.created".to_owned(),
        reason: "its name can't be stored".to_owned(),
    }]
}

pub(crate) fn inventory_events() -> Vec<inventory::Event> {
    use inventory::Event as E;
    let (region, id) = (|| "test-region".to_owned(), || orphan().id);
    vec![
        E::SightLost { region: region(), error: "the cloud does not answer".to_owned() },
        E::SightRegained { region: region() },
        E::OrphanFound { place: region(), orphan: orphan() },
        E::OrphanDeletionRequested {
            place: region(),
            id: id(),
            run: run_id(6),
            reason: "a late duplicate".to_owned(),
        },
        E::OrphanDeletionStopped { id: id(), run: run_id(6) },
        E::OrphanSettled { id: id() },
    ]
}

/// A machine as its instance's ledger knows it.
pub(crate) fn resource() -> Resource {
    Resource {
        id: ResourceKey::new(Kind::Machine, server_id()),
        name: "ocim-lms-1".to_owned(),
        place: "test-region".to_owned(),
        owner: appserver_id(1).to_string(),
    }
}

/// One event of each kind of a ledger.
pub(crate) fn ledger_events() -> Vec<ledger::Event> {
    use ledger::Event as E;
    let id = || resource().id;
    vec![
        E::Wanted { resource: resource() },
        E::Present { id: id(), provider_id: "vm-1".to_owned() },
        E::Unknown { id: id(), reason: "the cloud does not answer".to_owned() },
        E::Resolved { id: id(), reason: "its cloud is no more".to_owned() },
        E::Absent { id: id() },
        E::Adopted {
            resource: resource(),
            provider_id: "vm-1".to_owned(),
            reason: "a restored log has lost it".to_owned(),
        },
    ]
}

/// One event of each kind of a balancer.
pub(crate) fn load_balancer_events() -> Vec<load_balancer::Event> {
    use load_balancer::Event as E;
    vec![
        E::Registered(registration()),
        E::RegistrationChanged(Registration { address: address(201), ..registration() }),
        E::AcceptanceChanged { accepts_new_backends: false },
        E::ClientAdmitted { client: instance_id() },
        E::FragmentApplied {
            fragment: "ocim-a1b2-inst_00000000-0000-0000-0000-000000000001".to_owned(),
            digest: Some("c0ffee".to_owned()),
        },
        E::Troubled {
            troubles: vec![
                Trouble::Unreachable,
                Trouble::Unprepared,
                Trouble::Stopped,
                Trouble::Missing { fragment: "ocim-a1b2-one".to_owned() },
                Trouble::Differs { fragment: "ocim-a1b2-two".to_owned() },
                Trouble::Stray { fragment: "ocim-a1b2-three".to_owned() },
            ],
        },
        E::PreparationRequested {
            run: run_id(7),
            reason: Some("a new host".to_owned()),
            next: at(60),
        },
        E::Recovered {},
        E::ClientReleased { client: instance_id() },
        E::Retired {},
    ]
}

/// One event of each kind of a name.
pub(crate) fn name_events() -> Vec<name::Event> {
    use name::Event as E;
    let owner = instance_id().to_string();
    let other = InstanceId(Uuid::from_u128(2)).to_string();
    vec![
        E::Reserved {
            kind: name::Kind::Domain,
            name: "lms.example.com".to_owned(),
            owner: owner.clone(),
        },
        E::Renewed { owner: owner.clone() },
        E::Reclaimed { from: owner, owner: other.clone() },
        E::Released { owner: other },
    ]
}

/// One event of each kind of a mail.
pub(crate) fn mail_events() -> Vec<mail::Event> {
    use mail::Event as E;
    let (instance, appserver, launch) = (instance_id(), appserver_id(1), run_id(1));
    let about = mail::About::LaunchFailed { instance, appserver, launch };
    vec![
        E::Requested { about, run: run_id(2), recipients: 2 },
        E::Delivered { refused: 1 },
        E::GivenUp { reason: "not wanted".to_owned() },
    ]
}

/// One event of each kind of a timer.
pub(crate) fn timer_events() -> Vec<timer::Event> {
    use timer::Event as E;
    let (job, run) = (timer::Job::DeleteOldLogs, run_id(1));
    let outcome = timer::Outcome::LogsDeleted { before: at(0), runs: 2, lines: 7 };
    vec![
        E::FellDue { job, due: at(0), run, at: at(5) },
        E::RunRequested { job, run, at: at(6) },
        E::RunFinished { job, run, at: at(9), outcome },
        E::RunStopped { job, run, at: at(9), reason: "not now".to_owned() },
    ]
}

/// One event of each kind of a region.
pub(crate) fn region_events() -> Vec<region::Event> {
    use region::Event as E;
    let run = run_id(1);
    vec![
        E::LimitSet { region: "test-region".to_owned(), limit: 10, configured: true },
        E::RunQueued { run, bulk_max: Some(3) },
        E::RunAdmitted { run },
        E::RunLeft { run },
    ]
}

/// One event of each kind of a bulk operation.
pub(crate) fn bulk_events() -> Vec<bulk::Event> {
    use bulk::Event as E;
    let update = Protected::new(bulk_id().to_string(), r#"{"openedx_release":"master"}"#);
    let other = InstanceId(Uuid::from_u128(2));
    let request = bulk::Request {
        run: run_id(1),
        reason: "a new release".to_owned(),
        work: bulk::Work::Redeploy(bulk::Redeployment {
            tag: tag("may"),
            update: Some(update),
            sql: bulk::sql::Sql::new(bulk_id().to_string(), &["DELETE FROM t".to_owned()]),
            attempts: NonZeroU32::new(2).unwrap(),
            activate: true,
        }),
        instances: vec![instance_id(), other],
        pace: bulk::Pace {
            batch_size: NonZeroU32::new(2).unwrap(),
            frequency_seconds: 600,
            canary: true,
            failures_max: NonZeroU32::new(3),
        },
    };
    let why = "its machine never came up".to_owned();
    vec![
        E::Requested(Box::new(request)),
        E::BatchBegun { instances: vec![instance_id()], next_at: at(600) },
        E::InstanceSettled { instance: instance_id(), outcome: bulk::Outcome::Failed { why } },
        E::Paused { reason: "a storm".to_owned() },
        E::Resumed {},
        E::Stopped { stop: bulk::Stop::Canary },
        E::Ended {},
        E::LeftOff { reason: "somebody cancelled it".to_owned() },
        E::TakenUp {},
    ]
}

pub(crate) fn bulk_id() -> BulkId {
    BulkId(Uuid::from_u128(0x0e01))
}

/// The pause of a region.
pub(crate) fn incident() -> ocim_domain::ids::IncidentId {
    use ocim_domain::incident::{Kind, Subject, incident_id};
    incident_id(Kind::Pause, &Subject::Region("north".to_owned()))
}

pub(crate) fn incident_events() -> Vec<ocim_domain::incident::Event> {
    use ocim_domain::incident::{Event as E, Kind, Subject};
    let (number, reason) = (1, "works on the network".to_owned());
    let (subject, until) = (Subject::Region("north".to_owned()), Some(at(3600)));
    vec![
        E::Began { number, trouble: Kind::Pause, subject, reason: reason.clone(), until },
        E::Changed { number, reason, until: None },
        E::Eased { number, rate: 6, since: at(60), until: at(120) },
        E::Ended { number },
    ]
}
