//! Every call to the outside fails once, and every step fails for good: runs end as they should.

use super::crash_store::{Harm, Mark, Moment};
use super::scenarios::{Outcome, Scenario, assert_sound, look};
use super::stage::Stage;
use ocim::adapters::faults::{Fault, Faults};
use ocim::ports::Class;
use ocim::sagas::definitions;
use ocim::sagas::step::{Definition, Kind};
use ocim_domain::appserver::Status;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, Phase};
use std::collections::BTreeMap;

/// Every operation of every fake that a run may call.
const OPERATIONS: &[(&str, &[&str])] = &[
    (
        "cloud",
        &[
            "ensure_security_groups",
            "create_machine",
            "find_machine",
            "read_machine",
            "reboot_machine",
            "delete_machine",
        ],
    ),
    ("shell", &["read_boot_id"]),
    (
        "playbooks",
        &["start_playbook", "read_playbook", "read_output", "cancel_playbook", "forget_playbook"],
    ),
    ("balancer", &["apply_fragment", "switch_servers", "count_connections"]),
    ("dns", &["set_alias"]),
    ("site", &["request_site"]),
];

fn faults<'a>(stage: &'a Stage, fake: &str) -> &'a Faults {
    match fake {
        "cloud" => &stage.cloud.faults,
        "shell" => &stage.shell.faults,
        "playbooks" => &stage.playbooks.faults,
        "balancer" => &stage.balancer.faults,
        "dns" => &stage.dns.faults,
        "site" => &stage.site.faults,
        other => panic!("{other}"),
    }
}

fn count_calls(stage: &Stage) -> BTreeMap<(&'static str, &'static str), u32> {
    let count = |fake, operation| ((fake, operation), faults(stage, fake).calls(operation));
    let all = OPERATIONS.iter().flat_map(|(fake, names)| names.iter().map(|name| (*fake, *name)));
    all.map(|(fake, operation)| count(fake, operation)).collect()
}

/// Runs which end the same whatever fails once on their way.
const STEADY: [Scenario; 9] = [
    Scenario::Launch,
    Scenario::LaunchWithoutMachine,
    Scenario::LaunchCancelled,
    Scenario::ActivateFirst,
    Scenario::ActivateSecond,
    Scenario::DeactivateCancelled,
    Scenario::Terminate,
    Scenario::Provision,
    Scenario::ProvisionCancelled,
];

/// The facts may tell of lost sight; the rest is as if nothing had happened.
fn without_lost_sight(outcome: Outcome) -> Outcome {
    let facts = outcome.facts.into_iter().filter(|kind| kind != "server.sight_lost").collect();
    Outcome { facts, ..outcome }
}

#[tokio::test(start_paused = true)]
async fn any_call_may_fail_once_or_lose_its_reply() {
    let mut cells = 0;
    for scenario in STEADY {
        let (stage, id) = scenario.prepare().await;
        let before = count_calls(&stage);
        let run = stage.drive(id).await;
        let expected = look(&stage, id, &run).await;
        let after = count_calls(&stage);
        for ((fake, operation), first) in before {
            for nth in first + 1..=after[&(fake, operation)] {
                for fault in [Fault::Before(Class::Transient), Fault::After(Class::Ambiguous)] {
                    let cell = format!("{scenario:?}: {fault:?} call {nth} of {operation}");
                    let (stage, id) = scenario.prepare().await;
                    faults(&stage, fake).fail(operation, nth, fault);
                    let run = stage.drive(id).await;
                    let outcome = without_lost_sight(look(&stage, id, &run).await);
                    assert_eq!(outcome, expected, "{cell}");
                    cells += 1;
                }
            }
        }
    }
    println!("calls that fail once: {cells} cells");
}

#[tokio::test(start_paused = true)]
async fn any_append_and_any_read_may_meet_an_outage() {
    let scenarios = [
        Scenario::Launch,
        Scenario::LaunchMisconfigured,
        Scenario::ActivateFirst,
        Scenario::ProvisionCancelled,
    ];
    let mut cells = 0;
    for scenario in scenarios {
        let (stage, id) = scenario.prepare().await;
        let run = stage.drive(id).await;
        let expected = look(&stage, id, &run).await;
        for moment in [Some(Moment::Before), Some(Moment::After), None] {
            for nth in 0.. {
                let cell = format!("{scenario:?}: {moment:?} {nth}");
                let (stage, id) = scenario.prepare().await;
                match moment {
                    Some(moment) => stage.store.order(Mark::Nth(nth), moment, Harm::Outage),
                    None => stage.store.fail_read(nth),
                }
                let run = stage.drive(id).await;
                if !stage.store.struck() {
                    break;
                }
                assert_eq!(look(&stage, id, &run).await, expected, "{cell}");
                cells += 1;
            }
        }
    }
    println!("outages of the store: {cells} cells");
}

/// How a step can be made to fail for good.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Each call of this operation of this fake fails.
    Call(&'static str, &'static str),
    /// What it records on aggregates is refused.
    Refusal,
}

/// The way in which a step can fail for good; none where it only decides or is skipped here.
fn find_way(definition: &str, step: &str) -> Option<Way> {
    let way = match step {
        "publish_preliminary_page" | "publish_probe" | "switch_traffic" | "withdraw_traffic" => {
            Way::Call("balancer", "apply_fragment")
        }
        "write_dns_records" => Way::Call("dns", "set_alias"),
        "ensure_security_groups" => Way::Call("cloud", "ensure_security_groups"),
        "create_server" | "create_machine" => Way::Call("cloud", "create_machine"),
        "await_server" => Way::Call("cloud", "read_machine"),
        "await_ssh" | "await_machine" | "await_reboot" => Way::Call("shell", "read_boot_id"),
        "run_main_playbook" | "run_common_playbook" | "install_balancer" => {
            Way::Call("playbooks", "start_playbook")
        }
        "reboot_server" => Way::Call("cloud", "reboot_machine"),
        "await_heartbeat" | "prove_site" => Way::Call("site", "request_site"),
        "delete_server" => Way::Call("cloud", "read_machine"),
        "assign_load_balancer"
        | "claim_traffic"
        | "release_traffic"
        | "create_appserver"
        | "start_waiting"
        | "start_configuring"
        | "start_running"
        | "settle_launch"
        | "request_activation"
        | "record_traffic"
        | "record_terminated"
        | "register_balancer" => Way::Refusal,
        "await_turn" | "plan_traffic" | "drain_connections" => return None,
        _ if definition == "launch_appserver" => return None, // Skipped here.
        other => panic!("{other}: how does it fail?"),
    };
    Some(way)
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_for_good_is_named_and_all_before_it_is_undone() {
    let scenarios =
        [Scenario::Launch, Scenario::ActivateSecond, Scenario::Terminate, Scenario::Provision];
    let mut cells = 0;
    for scenario in scenarios.into_iter().chain([Scenario::Deactivate]) {
        let name = scenario.definition();
        let definition = definitions().into_iter().find(|found| found.name == name).unwrap();
        for step in definition.steps {
            let Some(way) = find_way(name, step.path) else { continue };
            fail_for_good(scenario, definition, step.path, way).await;
            cells += 1;
        }
    }
    println!("permanent failures: {cells} cells");
}

async fn fail_for_good(scenario: Scenario, definition: &Definition, step: &'static str, way: Way) {
    let cell = format!("{scenario:?}, {step}");
    let (stage, id) = scenario.prepare().await;
    stage.store.order(Mark::Step(&["saga.step_intended"], step), Moment::After, Harm::Crash);
    assert!(stage.drive_to_crash(id).await, "{cell}");
    match way {
        Way::Call(fake, operation) => {
            faults(&stage, fake).fail_always(operation, Fault::Before(Class::Permanent));
        }
        Way::Refusal => stage.store.refuse_facts(true),
    }
    stage.drive_until(id, |run| run.phase != Phase::Forward).await;
    if let Way::Call(fake, _) = way {
        faults(&stage, fake).clear();
    }
    stage.store.refuse_facts(false);
    let run = stage.drive(id).await;
    let outcome = look(&stage, id, &run).await;

    let place = |path: &str| definition.steps.iter().position(|step| step.path == path).unwrap();
    if place(step) >= place(definition.pivot().unwrap().path) {
        let Phase::Stuck { step: named, .. } = &run.phase else { panic!("{cell}: {run:?}") };
        assert_eq!(named, step, "{cell}");
        return;
    }
    let Phase::Unwound(Cause::StepFailed { step: named, .. }) = &run.phase else {
        panic!("{cell}: {run:#?}")
    };
    assert_eq!(named, step, "{cell}");
    assert_sound(&outcome, &cell);
    assert_undone_in_order(&stage, id, definition, step, &cell).await;
    if scenario == Scenario::Launch {
        assert_launch_failed(&outcome, place(step), place("create_appserver"), place, &cell);
    }
}

/// Each step that began, the failed one included, was undone or kept, last one first.
async fn assert_undone_in_order(
    stage: &Stage,
    id: RunId,
    definition: &Definition,
    failed: &str,
    cell: &str,
) {
    let history = stage.history(id).await;
    let of = |kind: &str| -> Vec<&str> {
        let these = history.iter().filter(|(known, _)| known == kind);
        these.map(|(_, step)| step.as_str()).collect()
    };
    let (begun, skipped) = (of("saga.step_intended"), of("saga.step_skipped"));
    assert!(begun.contains(&failed), "{cell}");
    let taken_back = definition
        .steps
        .iter()
        .rev()
        .filter(|step| begun.contains(&step.path) && !skipped.contains(&step.path));
    let expected: Vec<_> = taken_back.clone().map(|step| step.path).collect();
    let records =
        history.iter().filter(|(kind, _)| kind == "saga.undo_done" || kind == "saga.undo_skipped");
    let undone: Vec<_> = records.map(|(_, step)| step.as_str()).collect();
    assert_eq!(undone, expected, "{cell}");
    let performed = of("saga.undo_done");
    let with_undo = taken_back.filter(|step| matches!(step.kind, Kind::Compensable(_)));
    assert!(with_undo.into_iter().all(|step| performed.contains(&step.path)), "{cell}");
}

fn assert_launch_failed(
    outcome: &Outcome,
    failed: usize,
    created: usize,
    place: impl Fn(&str) -> usize,
    cell: &str,
) {
    let status = outcome.appservers.get(&1).map(|end| (end.status, end.server_gone));
    let expected = match failed {
        _ if failed <= created => None,
        _ if failed < place("run_main_playbook") => Some((Status::Error, true)),
        _ => Some((Status::Failed, false)),
    };
    assert_eq!(status, expected, "{cell}");
    assert_eq!(outcome.machines.len(), usize::from(failed >= place("run_main_playbook")), "{cell}");
}
