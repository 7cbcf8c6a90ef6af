//! An event of each kind, as the projections get them.

mod shared_servers;
mod timers;

use ocim_domain::appserver::{self, Launched};
use ocim_domain::event::{DomainEvent, Metadata, Position, Recorded, StreamId};
use ocim_domain::event_log::{self, event_log_id};
use ocim_domain::ids::{
    AppserverId, BulkId, IncidentId, InstanceId, LoadBalancerId, MailId, NameId, ProjectionId,
    RegionId, RunId, ServerId, TokenId,
};
use ocim_domain::incident;
use ocim_domain::instance::clean_up::Rule;
use ocim_domain::instance::{self, Attempts, LaunchOutcome, NameTrouble, OnSuccess};
use ocim_domain::inventory::{self, Orphan, inventory_id};
use ocim_domain::ledger::{self, Kind, Resource, ResourceKey, ledger_id};
use ocim_domain::load_balancer::{self, Registration, Trouble};
use ocim_domain::mail::{self, About};
use ocim_domain::names::RoutedNames;
use ocim_domain::protected::Protected;
use ocim_domain::region;
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::saga::{self, Action, Cause, Direction, ErrorClass, ErrorCode, StuckCode};
use ocim_domain::server::{self, BootCause, Power, Requested, ServerAddress};
use ocim_domain::settings::{InstanceSettings, SettingsChanges};
use ocim_domain::{Timestamp, bulk, name, projection, token};
use serde_json::json;
use std::num::NonZeroU32;
use uuid::Uuid;

pub(crate) const INSTANCE: InstanceId = InstanceId(id(1));
const APPSERVER: AppserverId = AppserverId(id(2));
const SERVER: ServerId = ServerId(id(3));
const RUN: RunId = RunId(id(4));
const BALANCER: LoadBalancerId = LoadBalancerId(id(5));
const REGION: RegionId = RegionId(id(7));
const BULK: BulkId = BulkId(id(11));
const MAIL: MailId = MailId(id(13));
const TOKEN: TokenId = TokenId(id(8));
const INCIDENT: IncidentId = IncidentId(id(14));

const fn id(number: u128) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) + number)
}

fn at(minute: u32) -> Timestamp {
    format!("2026-11-22T10:{minute:02}:00Z").parse().unwrap()
}

fn nothing() -> Protected {
    Protected::new(INSTANCE.to_string(), "{}")
}

fn settings() -> Box<InstanceSettings> {
    serde_json::from_str(include_str!("../sealed_settings.json")).unwrap()
}

fn changes() -> Box<SettingsChanges> {
    let name = Some("Another name".to_owned());
    let external_lms_domain = Some("alpha.example.org".to_owned());
    Box::new(SettingsChanges { name, external_lms_domain, ..SettingsChanges::default() })
}

pub(crate) fn recorded<E: DomainEvent>(stream: StreamId, event: &E) -> Recorded {
    let (kind, schema, data) = event.encode().unwrap();
    Recorded {
        position: Position([70, 0]),
        stream,
        version: 7,
        id: id(6),
        kind,
        schema,
        data,
        meta: Metadata::by("token:tester"),
        recorded_at: at(30),
    }
}

fn tag(text: &str) -> instance::Tag {
    text.parse().unwrap()
}

pub(crate) fn instance_events() -> Vec<instance::Event> {
    use instance::Event as E;
    vec![
        E::Created { settings: settings() },
        E::CreationAbandoned { by: InstanceId(id(9)) },
        E::SettingsChanged { changes: changes(), version: 2 },
        E::DetailsChanged {
            owner: Some("Alpha University".to_owned()),
            notes: Some("Courses begin in May.".to_owned()),
        },
        E::TagsChanged {
            tags: vec![tag("may-success"), tag("pilot")],
            added: vec![tag("may-success")],
            removed: vec![tag("may-ongoing")],
        },
        E::CleanUpChanged { rule: Some(Rule::Days(7)), reason: "a pilot".to_owned() },
        E::CleanUpChanged { rule: Some(Rule::Off), reason: "a pilot".to_owned() },
        E::CleanUpChanged { rule: None, reason: "a pilot".to_owned() },
        E::NameDisowned {
            kind: name::Kind::Domain,
            name: "beta.example.com".to_owned(),
            by: InstanceId(id(9)),
        },
        E::DomainsReleased { domains: vec!["old.example.org".to_owned()] },
        E::ResourcesNamed {
            names: ResourceNames::propose(
                "alpha.example.com",
                &ResourcePrefixes::default(),
                INSTANCE,
                0,
            ),
        },
        E::ServersAssigned { servers: Box::new(shared_servers::used()) },
        E::LoadBalancerAssigned { load_balancer: BALANCER },
        E::LaunchRequested {
            appserver: APPSERVER,
            run: RUN,
            number: 3,
            queued: false,
            then: OnSuccess { activate: true, deactivate_others: true },
            attempts: Attempts::ONE,
        },
        E::LaunchSettled {
            appserver: APPSERVER,
            outcome: LaunchOutcome::Running,
            run: RUN,
            next_run: None,
        },
        E::LaunchSettled {
            appserver: APPSERVER,
            outcome: LaunchOutcome::Cancelled,
            run: RUN,
            next_run: None,
        },
        E::LaunchSettled {
            appserver: APPSERVER,
            outcome: LaunchOutcome::Failed,
            run: RUN,
            next_run: Some(RunId(id(15))),
        },
        E::TrafficClaimed { run: RUN },
        E::TrafficReleased { run: RUN },
        E::TrafficAssigned {
            active: vec![APPSERVER],
            added: vec![APPSERVER],
            removed: vec![],
            names: RoutedNames::default(),
        },
        E::NamesTroubled {
            troubles: vec![NameTrouble {
                name: "studio.lms.example.com".to_owned(),
                trouble: "it answers with status 503".to_owned(),
            }],
        },
        E::NamesRecovered {},
        E::ArchiveRequested { run: RUN, reason: "the course is over".to_owned() },
        E::Archived { run: RUN },
        E::UnarchiveRequested { run: RUN, reason: "it comes again".to_owned(), launch: true },
        E::Unarchived { run: RUN },
        E::DeletionRequested {
            run: RUN,
            reason: "it was a trial".to_owned(),
            ignore: vec![Kind::DnsName],
            again: false,
        },
        E::DeletionRequested {
            run: RUN,
            reason: "its cloud is back".to_owned(),
            ignore: vec![],
            again: true,
        },
        E::LifecycleRunStopped { run: RUN, stage: instance::Stage::Deleting },
        E::Deleted { run: RUN, residue: vec![ResourceKey::new(Kind::Machine, SERVER)] },
        E::Held(instance::Hold {
            holder: "token:ada".to_owned(),
            reason: "moving the database".to_owned(),
            until: at(30),
        }),
        E::HoldReleased {
            holder: "token:ada".to_owned(),
            reason: Some("it can't wait".to_owned()),
        },
        E::MaintenanceRequested { run: RUN, page: Some(page()) },
        E::MaintenanceRequested { run: RUN, page: None },
        E::MaintenanceChanged { run: RUN, page: Some(page()) },
        E::MaintenanceChanged { run: RUN, page: None },
        E::MaintenanceChangeStopped { run: RUN },
        E::TestLinkMade { run: RUN, link: link(), at: at(20) },
        E::TestLinkDropped { run: RUN, link: link().id },
    ]
}

fn link() -> instance::TestLink {
    instance::TestLink { id: id(9), appserver: APPSERVER, until: at(30) }
}

fn page() -> instance::Maintenance {
    instance::Maintenance { message: "We move to faster machines.".to_owned(), until: at(30) }
}

fn appserver_events() -> Vec<appserver::Event> {
    use appserver::{Event as E, Status};
    let reason = || "no disk space".to_owned();
    vec![
        E::Launched(Box::new(Launched {
            instance: INSTANCE,
            number: 3,
            server: SERVER,
            run: RUN,
            settings: settings(),
            settings_version: 1,
            variables: nothing(),
            provenance: nothing(),
            users_variables: nothing(),
            common_variables: nothing(),
            hostname: "alpha-3".to_owned(),
            configuration_commit: Some("4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned()),
        })),
        E::WaitingStarted {},
        E::ConfiguringStarted {},
        E::RunningStarted {},
        E::ConfigurationFailed { reason: reason(), keeps_server_until: Some(at(59)) },
        E::LaunchFailed { reason: reason() },
        E::Cancelled { reason: reason() },
        E::ActivationRequested { run: RUN, deactivate_others: true, force: false },
        E::Activated { at: at(29) },
        E::DeactivationRequested { run: RUN, force: false, reason: None },
        E::Deactivated { at: at(29) },
        E::TerminationRequested { run: RUN, force: true, reason: Some(reason()) },
        E::RestartRequested { run: RUN, force: true, reason: Some(reason()) },
        E::RestartRequested { run: RUN, force: false, reason: None },
        E::Restarted { run: RUN },
        E::RestartStopped { run: RUN },
        E::TerminationStarted { run: RUN },
        E::TerminationStopped { run: RUN },
        E::Terminated { status: Status::Terminated, at: at(29) },
        E::Terminated { status: Status::Failed, at: at(29) },
        E::ServerKept { before: Some(at(59)), until: at(58), reason: reason() },
        E::CleanUpRequested { run: RUN, due: Some(at(59)), reason: None, obsolete: false },
        E::CleanUpRequested { run: RUN, due: None, reason: Some(reason()), obsolete: true },
        E::CleanUpStarted { run: RUN },
        E::CleanUpStopped { run: RUN },
        E::MachineTroubled { trouble: "it is gone".to_owned() },
        E::MachineRecovered { trouble: "it is gone".to_owned() },
    ]
}

fn server_events() -> Vec<server::Event> {
    use server::Event as E;
    vec![
        E::Requested(Box::new(Requested {
            appserver: APPSERVER,
            region: "local".to_owned(),
            name: "alpha-3".to_owned(),
            flavor: json!({"ram": 4096}),
            image: json!({"name": "Ubuntu 16.04"}),
            keyname: String::new(),
            security_groups: vec!["default".to_owned()],
        })),
        E::BuildingStarted {},
        E::MachineRecorded { machine: "m-3".to_owned() },
        E::BuildFailed { reason: "quota is used up".to_owned() },
        E::BootingStarted { address: Some(address()), cause: BootCause::Built },
        E::BootingStarted { address: None, cause: BootCause::Rebooted },
        E::BecameReady { host_keys: vec!["ssh-ed25519 AAAA".to_owned()], boot_id: "b".to_owned() },
        E::SightLost { reason: "the cloud does not answer".to_owned() },
        E::FoundBuilding {},
        E::Terminated {},
        E::Vanished { before: server::Status::Ready },
        E::CameBack { after: Power::Active },
        E::PowerChanged { before: Some(Power::Active), after: Power::Shutoff },
        E::PowerChanged { before: Some(Power::Error), after: Power::Active },
        E::ErrorSeen { before: Some(Power::Active), fault: "the host burnt down".to_owned() },
    ]
}

fn event_log_events() -> Vec<event_log::Event> {
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

fn inventory_events() -> Vec<inventory::Event> {
    use inventory::Event as E;
    let (region, orphan_id) = (|| "local".to_owned(), || ResourceKey::new(Kind::Machine, "m-9"));
    let orphan = Orphan {
        id: orphan_id(),
        name: "alpha-9".to_owned(),
        made_with: Some(id(9)),
        power: Some(Power::Active),
        owner: None,
    };
    let error = "the cloud does not answer".to_owned();
    vec![
        E::SightLost { region: region(), error },
        E::SightRegained { region: region() },
        E::OrphanFound { place: region(), orphan },
        E::OrphanDeletionRequested {
            place: region(),
            id: orphan_id(),
            run: RUN,
            reason: "a late duplicate".to_owned(),
        },
        E::OrphanDeletionStopped { id: orphan_id(), run: RUN },
        E::OrphanSettled { id: orphan_id() },
    ]
}

fn ledger_events() -> Vec<ledger::Event> {
    use ledger::Event as E;
    let id = || ResourceKey::new(Kind::Machine, SERVER);
    let resource = Resource {
        id: id(),
        name: "ocim-alpha-1".to_owned(),
        place: "local".to_owned(),
        owner: APPSERVER.to_string(),
    };
    vec![
        E::Wanted { resource: resource.clone() },
        E::Present { id: id(), provider_id: "m-1".to_owned() },
        E::Unknown { id: id(), reason: "the cloud does not answer".to_owned() },
        E::Resolved { id: id(), reason: "its cloud is no more".to_owned() },
        E::Absent { id: id() },
        E::Adopted {
            resource,
            provider_id: "m-1".to_owned(),
            reason: "a restored log has lost it".to_owned(),
        },
    ]
}

fn address() -> ServerAddress {
    ServerAddress {
        ip: [127, 0, 3, 1].into(),
        ssh_port: 2203,
        http_port: 8003,
        ssh_user: "ubuntu".to_owned(),
        may_become_root: true,
    }
}

fn load_balancer_events() -> Vec<load_balancer::Event> {
    use load_balancer::Event as E;
    let registration = Registration {
        also_listens: None,
        domain: "lb.example.com".to_owned(),
        address: address(),
        host_keys: vec![],
        fragment_name_prefix: "ocim-".to_owned(),
        fragment_name_postfix: "main".to_owned(),
        accepts_new_backends: true,
    };
    vec![
        E::Registered(registration.clone()),
        E::RegistrationChanged(registration),
        E::AcceptanceChanged { accepts_new_backends: false },
        E::ClientAdmitted { client: INSTANCE },
        E::ClientReleased { client: INSTANCE },
        E::Retired {},
        E::FragmentApplied { fragment: "alpha".to_owned(), digest: Some("c0ffee".to_owned()) },
        E::FragmentApplied { fragment: "beta".to_owned(), digest: None },
        E::Troubled { troubles: vec![Trouble::Stopped] },
        E::PreparationRequested { run: RUN, reason: None, next: at(3) },
        E::Recovered {},
    ]
}

fn run_events() -> Vec<saga::Event> {
    use saga::Event as E;
    let step = || "create_server".to_owned();
    let text = || "the cloud said no".to_owned();
    let class = ErrorClass::Transient;
    let code_of = |retry_at: Option<_>| match retry_at {
        Some(_) => None,
        None => Some(ErrorCode::AttemptsExhausted),
    };
    let failed = |retry_at| E::StepFailed {
        step: step(),
        attempt: 2,
        class,
        code: code_of(retry_at),
        error: text(),
        retry_at,
        at: None,
    };
    let undo_failed = |retry_at| E::UndoFailed {
        step: step(),
        attempt: 2,
        class,
        code: code_of(retry_at),
        error: text(),
        retry_at,
        at: None,
    };
    let acted = |action, direction, step| E::OperatorActed {
        actor: "token:tester".to_owned(),
        action,
        direction,
        step,
        reason: "it is known to be so".to_owned(),
        output: None,
    };
    vec![
        E::Started {
            definition: "launch_appserver".to_owned(),
            version: 1,
            input: json!({"instance": INSTANCE}),
            subject: APPSERVER.to_string(),
            deadline: None,
        },
        E::StepIntended {
            step: step(),
            attempt: 1,
            key: id(8),
            deadline: at(45),
            at: Some(at(30)),
        },
        E::StepResumed { step: step() },
        E::StepOutlived { step: step() },
        E::HeldUp { incident: INCIDENT, why: "all work is paused".to_owned(), at: at(20) },
        E::LetGo { at: at(50) },
        E::StepDone { step: step(), output: json!({"machine": "m-3"}) },
        E::StepSkipped { step: step(), reason: "not configured".to_owned() },
        failed(Some(at(31))),
        failed(None),
        E::CancelRequested { reason: "a mistake".to_owned() },
        E::UnwindBegan(Cause::StepFailed { step: step(), error: text() }),
        E::UnwindBegan(Cause::Cancelled { reason: "a mistake".to_owned() }),
        E::UnwindBegan(Cause::Deadline),
        E::UndoIntended { step: step(), attempt: 1, deadline: at(45), at: Some(at(30)) },
        E::UndoDone { step: step(), note: Some("it was gone already".to_owned()) },
        E::UndoSkipped { step: step(), reason: "kept for debugging".to_owned() },
        undo_failed(Some(at(31))),
        undo_failed(None),
        E::Stuck {
            step: step(),
            why: "the undo failed".to_owned(),
            code: Some(StuckCode::UndoFailed),
        },
        E::Stuck { step: String::new(), why: "nobody knows it".to_owned(), code: None },
        E::LeaseTaken { node: id(9), epoch: 2, orderly: false },
        E::TimerSet { step: step(), due: at(50), at: None },
        E::TimerFired { step: step() },
        acted(Action::RetryStep, Direction::Unwinding, Some(step())),
        acted(Action::SkipStep, Direction::Forward, Some(step())),
        acted(Action::MarkUndone, Direction::Unwinding, Some(step())),
        acted(Action::ForceUnwind, Direction::Unwinding, None),
        E::Abandoned { reason: "a lost cause".to_owned(), left_behind: vec![] },
        E::Completed {},
        E::Unwound {},
    ]
}

/// One event of each kind at least, as the store returns it.
fn incident_events() -> Vec<incident::Event> {
    use incident::{Event as E, Kind, Subject};
    let began = |trouble, subject| E::Began {
        number: 1,
        trouble,
        subject,
        reason: "works on the network".to_owned(),
        until: Some(at(59)),
    };
    vec![
        began(Kind::Pause, Subject::All),
        began(Kind::Pause, Subject::Region("north".to_owned())),
        began(Kind::Outage, Subject::Provider("DNS".to_owned())),
        E::Changed { number: 1, reason: "it takes longer".to_owned(), until: None },
        E::Eased { number: 1, rate: 6, since: at(40), until: at(50) },
        E::Ended { number: 1 },
    ]
}

fn region_events() -> Vec<region::Event> {
    use region::Event as E;
    vec![
        E::LimitSet { region: "north".to_owned(), limit: 10, configured: true },
        E::RunQueued { run: RUN, bulk_max: None },
        E::RunAdmitted { run: RUN },
        E::RunLeft { run: RUN },
    ]
}

fn bulk_events() -> Vec<bulk::Event> {
    use bulk::Event as E;
    let update = Protected::new(BULK.to_string(), r#"{"openedx_release":"master"}"#);
    let request = bulk::Request {
        run: RUN,
        reason: "a new release".to_owned(),
        work: bulk::Work::Redeploy(bulk::Redeployment {
            tag: tag("may"),
            update: Some(update),
            sql: bulk::sql::Sql::new(BULK.to_string(), &["DELETE FROM t".to_owned()]),
            attempts: NonZeroU32::new(2).unwrap(),
            activate: true,
        }),
        instances: vec![INSTANCE],
        pace: bulk::Pace {
            batch_size: NonZeroU32::new(2).unwrap(),
            frequency_seconds: 600,
            canary: true,
            failures_max: NonZeroU32::new(3),
        },
    };
    let archive = bulk::Request { work: bulk::Work::Archive, ..request.clone() };
    let settled = |outcome| E::InstanceSettled { instance: INSTANCE, outcome };
    vec![
        E::Requested(Box::new(request)),
        E::Requested(Box::new(archive)),
        E::BatchBegun { instances: vec![INSTANCE], next_at: at(50) },
        settled(bulk::Outcome::Succeeded),
        settled(bulk::Outcome::Failed { why: "its machine never came up".to_owned() }),
        settled(bulk::Outcome::Skipped { why: "it is archived".to_owned() }),
        E::Paused { reason: "a storm".to_owned() },
        E::Resumed {},
        E::Stopped { stop: bulk::Stop::Canary },
        E::Stopped { stop: bulk::Stop::Failures { count: 3 } },
        E::Stopped { stop: bulk::Stop::Asked { reason: "enough".to_owned() } },
        E::Ended {},
        E::LeftOff { reason: "somebody cancelled it".to_owned() },
        E::TakenUp {},
    ]
}

fn mail_events() -> Vec<mail::Event> {
    use mail::Event as E;
    let about = About::LaunchFailed { instance: INSTANCE, appserver: APPSERVER, launch: RUN };
    let reason = "not wanted".to_owned();
    vec![
        E::Requested { about, run: about.mail_run(), recipients: 2 },
        E::Delivered { refused: 0 },
        E::Delivered { refused: 1 },
        E::GivenUp { reason },
    ]
}

fn token_events() -> Vec<token::Event> {
    use token::Event as E;
    let (name, scope) = ("ci".to_owned(), token::Scope::Read);
    vec![E::Created { name: name.clone(), scope, expires_at: at(59) }, E::Revoked { name }]
}

fn name_events() -> Vec<name::Event> {
    use name::Event as E;
    let (owner, other) = (INSTANCE.to_string(), InstanceId(id(9)).to_string());
    let (kind, name) = (name::Kind::Domain, "alpha.example.com".to_owned());
    vec![
        E::Reserved { kind, name, owner: owner.clone() },
        E::Renewed { owner: owner.clone() },
        E::Reclaimed { from: owner, owner: other.clone() },
        E::Released { owner: other },
    ]
}

fn projection_events() -> Vec<projection::Event> {
    vec![projection::Event::EventSkipped {
        projection: "instances".to_owned(),
        event: id(11),
        event_kind: "instance.created".to_owned(),
        reason: "its name can't be stored".to_owned(),
    }]
}

pub(crate) fn all_events() -> Vec<Recorded> {
    let mut all = vec![];
    let (name, projection) = (NameId(id(10)), ProjectionId(id(12)));
    all.extend(name_events().iter().map(|event| recorded(name.stream(), event)));
    all.extend(projection_events().iter().map(|event| recorded(projection.stream(), event)));
    all.extend(instance_events().iter().map(|event| recorded(INSTANCE.stream(), event)));
    all.extend(appserver_events().iter().map(|event| recorded(APPSERVER.stream(), event)));
    all.extend(server_events().iter().map(|event| recorded(SERVER.stream(), event)));
    all.extend(load_balancer_events().iter().map(|event| recorded(BALANCER.stream(), event)));
    all.extend(shared_servers::all_events());
    all.extend(bulk_events().iter().map(|event| recorded(BULK.stream(), event)));
    all.extend(region_events().iter().map(|event| recorded(REGION.stream(), event)));
    all.extend(incident_events().iter().map(|event| recorded(INCIDENT.stream(), event)));
    all.extend(
        inventory_events().iter().map(|event| recorded(inventory_id("local").stream(), event)),
    );
    all.extend(ledger_events().iter().map(|event| recorded(ledger_id(INSTANCE).stream(), event)));
    all.extend(mail_events().iter().map(|event| recorded(MAIL.stream(), event)));
    all.extend(timers::all_events());
    all.extend(token_events().iter().map(|event| recorded(TOKEN.stream(), event)));
    all.extend(event_log_events().iter().map(|event| recorded(event_log_id().stream(), event)));
    all.extend(run_events().iter().map(|event| recorded(RUN.stream(), event)));
    all
}
