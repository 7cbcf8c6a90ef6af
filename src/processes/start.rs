//! Which event starts which process: requests are recorded once, and taken up however late.

use super::publish_metadata::PUBLISH_METADATA;
use super::run_timer::RUN_TIMER;
use super::send_mail::SEND_MAIL;
use super::step::StartRequest;
use super::update_monitors::UPDATE_MONITORS;
use ocim_domain::event::{DomainEvent, Recorded};
use ocim_domain::ids::{AppserverId, BulkId, InstanceId, LoadBalancerId, RunId, ServerId};
use ocim_domain::mail::About;
use ocim_domain::run_record::{
    BalancerInput, BulkInput, LaunchInput, LifecycleInput, MailInput, MetadataInput, OrphanInput,
    ServerInput, TestLinkInput, TimerInput, TrafficInput,
};
use ocim_domain::server::BootCause;
use ocim_domain::{appserver, bulk, instance, inventory, load_balancer, server, timer};
use uuid::Uuid;

/// How an event of a kind tells of the run that it asks for.
type StartedBy = fn(&Recorded) -> Option<StartRequest>;

/// The kinds of events that may start a process.
const TRIGGERS: &[(&str, StartedBy)] = &[
    ("instance.launch_requested", started_by_instance),
    ("instance.launch_settled", started_by_failed_launch),
    ("instance.archive_requested", started_by_instance),
    ("instance.unarchive_requested", started_by_instance),
    ("instance.deletion_requested", started_by_instance),
    ("instance.maintenance_requested", started_by_instance),
    ("instance.maintenance_changed", started_by_traffic),
    ("instance.traffic_assigned", started_by_traffic),
    ("instance.created", started_by_change),
    ("instance.creation_abandoned", started_by_change),
    ("instance.settings_changed", started_by_change),
    ("instance.traffic_released", started_by_change),
    ("instance.archived", started_by_change),
    ("instance.unarchived", started_by_change),
    ("instance.deleted", started_by_change),
    ("instance.lifecycle_run_stopped", started_by_change),
    ("server.booting_started", started_by_machine),
    ("instance.test_link_made", started_by_instance),
    ("appserver.activation_requested", started_by_appserver),
    ("appserver.deactivation_requested", started_by_appserver),
    ("appserver.termination_requested", started_by_appserver),
    ("appserver.restart_requested", started_by_appserver),
    ("appserver.clean_up_requested", started_by_appserver),
    ("inventory.orphan_deletion_requested", started_by_inventory),
    ("load_balancer.preparation_requested", started_by_balancer),
    ("bulk.requested", started_by_bulk),
    ("timer.fell_due", started_by_timer),
    ("timer.run_requested", started_by_timer),
];

/// The kinds of events that start a process.
pub fn triggers() -> impl Iterator<Item = &'static str> {
    TRIGGERS.iter().map(|(kind, _)| *kind)
}

/// The run that an event asks for, if it does.
#[must_use]
pub fn started_by(event: &Recorded) -> Option<StartRequest> {
    let (_, started_by) = TRIGGERS.iter().find(|(kind, _)| *kind == event.kind)?;
    started_by(event)
}

fn started_by_instance(event: &Recorded) -> Option<StartRequest> {
    use instance::Event;
    let instance = InstanceId(event.stream.id());
    let (run, definition, launch, ignore) =
        match Event::decode(&event.kind, event.schema, &event.data).ok()? {
            Event::LaunchRequested { appserver, run, number, then, attempts, .. } => {
                let in_bulk = attempts.in_bulk;
                let input = LaunchInput { instance, appserver, number, then, in_bulk };
                return Some(StartRequest {
                    run,
                    definition: "launch_appserver",
                    input: serde_json::to_value(input).ok()?,
                    subject: appserver.to_string(),
                });
            }
            Event::TestLinkMade { run, link, .. } => {
                let input = TestLinkInput { instance, link: link.id };
                return Some(StartRequest {
                    run,
                    definition: "publish_test_link",
                    input: serde_json::to_value(input).ok()?,
                    subject: link.appserver.to_string(),
                });
            }
            Event::ArchiveRequested { run, .. } => (run, "archive_instance", false, vec![]),
            Event::UnarchiveRequested { run, launch, .. } => {
                (run, "unarchive_instance", launch, vec![])
            }
            Event::DeletionRequested { run, ignore, .. } => (run, "delete_instance", false, ignore),
            Event::MaintenanceRequested { run, .. } => (run, "change_maintenance", false, vec![]),
            _ => return None,
        };
    let input = serde_json::to_value(LifecycleInput { instance, launch, ignore }).ok()?;
    Some(StartRequest { run, definition, input, subject: instance.to_string() })
}

/// Who watches a site hears whenever visitors get something else.
fn started_by_traffic(event: &Recorded) -> Option<StartRequest> {
    follow(event, UPDATE_MONITORS.name)
}

/// Who reads what a site is hears whenever that may have changed. Traffic has moved when it is released.
fn started_by_change(event: &Recorded) -> Option<StartRequest> {
    follow(event, PUBLISH_METADATA.name)
}

/// A machine that came back into sight may have another address.
fn started_by_machine(event: &Recorded) -> Option<StartRequest> {
    let server = ServerId(event.stream.id());
    match server::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        server::Event::BootingStarted { cause: BootCause::FoundAgain, .. } => Some(StartRequest {
            run: following_run(event, PUBLISH_METADATA.name),
            definition: PUBLISH_METADATA.name,
            input: serde_json::to_value(MetadataInput::Server(ServerInput { server })).ok()?,
            subject: server.to_string(),
        }),
        _ => None,
    }
}

fn following_run(event: &Recorded, definition: &str) -> RunId {
    RunId(Uuid::new_v5(&event.id, definition.as_bytes()))
}

/// A run that follows a change of an instance; nothing waits for it.
fn follow(event: &Recorded, definition: &'static str) -> Option<StartRequest> {
    let instance = InstanceId(event.stream.id());
    let input = LifecycleInput { instance, launch: false, ignore: vec![] };
    Some(StartRequest {
        run: following_run(event, definition),
        definition,
        input: serde_json::to_value(input).ok()?,
        subject: instance.to_string(),
    })
}

/// A launch that failed is told by mail once its last attempt has; one that somebody cancelled is not.
fn started_by_failed_launch(event: &Recorded) -> Option<StartRequest> {
    use instance::{Event, LaunchOutcome};
    let (appserver, launch) = match Event::decode(&event.kind, event.schema, &event.data).ok()? {
        Event::LaunchSettled {
            appserver,
            outcome: LaunchOutcome::Failed | LaunchOutcome::Error,
            run,
            next_run: None,
        } => (appserver, run),
        _ => return None,
    };
    let about = About::LaunchFailed { instance: InstanceId(event.stream.id()), appserver, launch };
    Some(StartRequest {
        run: about.mail_run(),
        definition: SEND_MAIL.name,
        input: serde_json::to_value(MailInput { about }).ok()?,
        subject: appserver.to_string(),
    })
}

fn started_by_appserver(event: &Recorded) -> Option<StartRequest> {
    let appserver = AppserverId(event.stream.id());
    let (run, definition, deactivate_others, force) =
        match appserver::Event::decode(&event.kind, event.schema, &event.data).ok()? {
            appserver::Event::ActivationRequested { run, deactivate_others, force } => {
                (run, "activate_appserver", deactivate_others, force)
            }
            appserver::Event::DeactivationRequested { run, force, .. } => {
                (run, "deactivate_appserver", false, force)
            }
            appserver::Event::TerminationRequested { run, force, .. } => {
                (run, "terminate_appserver", false, force)
            }
            appserver::Event::RestartRequested { run, force, .. } => {
                (run, "restart_appserver", false, force)
            }
            appserver::Event::CleanUpRequested { run, .. } => {
                (run, "clean_up_appserver", false, false)
            }
            _ => return None,
        };
    let input = TrafficInput { appserver, deactivate_others, force };
    let input = serde_json::to_value(input).ok()?;
    Some(StartRequest { run, definition, input, subject: appserver.to_string() })
}

fn started_by_inventory(event: &Recorded) -> Option<StartRequest> {
    match inventory::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        inventory::Event::OrphanDeletionRequested { place, id, run, .. } => {
            let subject = format!("{place}/{}", id.key);
            let input = OrphanInput { place, kind: id.kind, key: id.key };
            let input = serde_json::to_value(input).ok()?;
            Some(StartRequest { run, definition: "delete_orphan", input, subject })
        }
        _ => None,
    }
}

fn started_by_balancer(event: &Recorded) -> Option<StartRequest> {
    let load_balancer = LoadBalancerId(event.stream.id());
    match load_balancer::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        load_balancer::Event::PreparationRequested { run, .. } => Some(StartRequest {
            run,
            definition: "prepare_load_balancer",
            input: serde_json::to_value(BalancerInput { load_balancer }).ok()?,
            subject: load_balancer.to_string(),
        }),
        _ => None,
    }
}

fn started_by_bulk(event: &Recorded) -> Option<StartRequest> {
    let bulk = BulkId(event.stream.id());
    match bulk::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        bulk::Event::Requested(request) => Some(StartRequest {
            run: request.run,
            definition: "run_bulk_operation",
            input: serde_json::to_value(BulkInput { bulk }).ok()?,
            subject: bulk.to_string(),
        }),
        _ => None,
    }
}

fn started_by_timer(event: &Recorded) -> Option<StartRequest> {
    use timer::Event;
    let (job, run) = match Event::decode(&event.kind, event.schema, &event.data).ok()? {
        Event::FellDue { job, run, .. } | Event::RunRequested { job, run, .. } => (job, run),
        Event::RunFinished { .. } | Event::RunStopped { .. } => return None,
    };
    Some(StartRequest {
        run,
        definition: RUN_TIMER.name,
        input: serde_json::to_value(TimerInput { job }).ok()?,
        subject: job.to_string(),
    })
}
