//! Two nodes on one run: one freezes within a step, another takes over, and the first comes back.

use super::crash_store::{self, Mark, Moment};
use super::former::definitions;
use super::matrix::{Matrix, place_of};
use super::nodes::drive_as_zombie;
use super::reconciler::stray;
use super::recording::{Recording, beginnings};
use super::runner::LONG;
use super::scenarios::{Outcome, Scenario, look};
use super::stage::{REGION, Stage};
use super::tamper::{self, Harm, Order, Side};
use ocim::reconciler::RegionWatch;
use ocim_adapters::cloud::Cloud;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Command, Phase, Saga, step_key};
use ocim_engine::sagas::node_leases::{NodeLeases, Take};
use ocim_engine::sagas::runner::DriveError;
use std::sync::Arc;
use uuid::Uuid;

/// Takes a run's lease once it can be had, and records that, as a runner does.
async fn take_lease(stage: &Stage, node: &Arc<NodeLeases>, id: RunId) {
    let taken = node.take(id).await.unwrap();
    let Take::Taken { tenure, orderly, .. } = taken else { panic!("{taken:?}") };
    let command = Command::TakeLease { node: tenure.owner, epoch: tenure.epoch, orderly };
    let (journal, meta) = (stage.app().journal(), Metadata::by("system"));
    journal.execute::<Saga>(&id.stream(), &meta, command).await.unwrap();
}

/// A node freezes within a step; its heir drives the run to its end; the first node thaws, and is
/// refused whatever it wants to do or to record.
async fn haunt(recording: &Recording, step: &'static str, harm: Harm) -> Stage {
    let id = recording.id;
    let stage = recording.before_step(step).resume_with(tamper::registry());
    tamper::order(
        recording.definition,
        Order { step, side: Side::Run, harm, always: false, pause: None },
    );
    let zombie = stage.node(1);
    take_lease(&stage, &zombie, id).await;
    let mut driver = stage.open(id).await.unwrap();
    // After its effect, its log alone tells it: as if its clock had stood still, too.
    if harm == Harm::FreezeBefore {
        driver = driver.with_fence(zombie);
    }
    let mut drive = Box::pin(drive_as_zombie(&stage, &mut driver));
    tokio::select! {
        biased;
        error = &mut drive => panic!("{step}: {error:?}"),
        () = tamper::frozen() => {}
    }
    tokio::time::sleep(stage.world.limits.lease_ttl).await;
    take_lease(&stage, &stage.node(2), id).await;
    let run = stage.drive(id).await;
    assert_eq!(look(&stage, id, &run).await, recording.outcome, "{step}: the heir");
    let recorded = stage.history(id).await.len();
    let error = tokio::time::timeout(LONG, &mut drive).await.expect("the zombie goes on");
    assert!(matches!(error, DriveError::Fenced), "{step}: {error:?}");
    drop(drive);
    assert!(driver.advance().await.is_err(), "{step}: a zombie stays one");
    assert_eq!(stage.history(id).await.len(), recorded, "{step}: the zombie has written");
    stage
}

/// What there is in the end; the reconciler has looked, and what it asked for is done.
async fn settle(stage: &Stage, recording: &Recording) -> Outcome {
    let mut watch = RegionWatch::new(stage.world.clone(), REGION);
    for _ in 0..3 {
        watch.look().await.unwrap();
    }
    for event in stage.events(&["inventory.orphan_deletion_requested"]).await {
        if event.meta.actor == "reconciler" {
            let run = serde_json::from_value(event.data["run"].clone()).unwrap();
            stage.start(run).await;
            let plain = Stage::resume(stage.outside.clone(), stage.instance);
            assert_eq!(plain.drive(run).await.phase, Phase::Completed);
        }
    }
    look(stage, recording.id, &stage.run(recording.id).await).await
}

#[tokio::test(start_paused = true)]
async fn a_node_that_freezes_after_an_effect_and_comes_back_late_changes_nothing() {
    haunt_all("zombies after their effect", Harm::FreezeAfter).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_freezes_before_an_effect_and_comes_back_late_does_nothing_twice() {
    haunt_all("zombies before their effect", Harm::FreezeBefore).await;
}

async fn haunt_all(name: &str, harm: Harm) {
    let mut matrix = Matrix::default();
    for scenario in Scenario::FORWARD {
        let recording = Recording::make(scenario, beginnings).await;
        for step in recording.definition.steps.iter().map(|step| step.path) {
            let check = async {
                let stage = haunt(&recording, step, harm).await;
                let outcome = settle(&stage, &recording).await;
                assert_eq!(outcome, recording.outcome, "{step}");
            };
            let place = place_of(recording.definition, step);
            matrix.cell(place, || format!("{scenario:?}, {step}"), check).await;
        }
    }
    let steps: usize = definitions().iter().map(|definition| definition.steps.len()).sum();
    assert_eq!(matrix.finish(name), steps);
}

/// A request that was long on its way arrives, at a cloud that can't tell that it made that machine.
async fn ask_again(stage: &Stage, key: Uuid) {
    stage.cloud.set_blind(true);
    stage.cloud.create_machine(&stray(key.as_u128())).await.unwrap();
    stage.cloud.set_blind(false);
}

/// The late request makes a second machine, which is found by its key and taken away.
#[tokio::test(start_paused = true)]
async fn a_late_duplicate_of_a_machine_is_found_by_its_key_and_removed() {
    for (scenario, step) in
        [(Scenario::Launch, "create_server"), (Scenario::Provision, "create_machine")]
    {
        let recording = Recording::make(scenario, beginnings).await;
        let stage = haunt(&recording, step, Harm::FreezeAfter).await;
        let key = step_key(recording.id, step);
        ask_again(&stage, key).await;
        let bear_key = || stage.cloud.machines().into_iter().filter(|it| it.key == Some(key));
        assert_eq!(bear_key().count(), 2, "{scenario:?}");
        let used = bear_key().next().unwrap().id;
        let outcome = settle(&stage, &recording).await;
        assert_eq!(bear_key().map(|it| it.id).collect::<Vec<_>>(), [used], "{scenario:?}");
        let told = ["orphan_found", "orphan_deletion_requested", "orphan_settled"];
        let mut facts = recording.outcome.facts.clone();
        facts.extend(told.map(|kind| format!("inventory.{kind}")));
        let expected = Outcome { created: 2, facts, ..recording.outcome.clone() };
        assert_eq!(outcome, expected, "{scenario:?}");
    }
}

/// Whoever takes a machine away takes away all that bear its key.
#[tokio::test(start_paused = true)]
async fn a_late_duplicate_goes_with_the_machine_whose_key_it_bears() {
    for scenario in [Scenario::LaunchCancelled, Scenario::ProvisionCancelled, Scenario::Terminate] {
        let (stage, id) = scenario.prepare().await;
        for machine in stage.cloud.machines() {
            ask_again(&stage, machine.key.unwrap()).await;
        }
        let run = stage.drive(id).await;
        let outcome = look(&stage, id, &run).await;
        let left = stage.cloud.machines().len();
        // Of two launches, one was terminated.
        assert_eq!(left, usize::from(scenario == Scenario::Terminate) * 2, "{outcome:#?}");
    }
}

/// A look for what an attempt has made finds the machine that is recorded, and not the other one,
/// which would be refused for good.
#[tokio::test(start_paused = true)]
async fn a_machine_that_is_recorded_stays_the_one_though_another_bears_its_key() {
    let (stage, id) = Scenario::Launch.prepare().await;
    stage.cloud.set_blind(true);
    let key = step_key(id, "create_server");
    let other = stage.cloud.create_machine(&stray(key.as_u128())).await.unwrap().id;
    let mark = Mark::Step(&["saga.step_done"], "create_server");
    stage.store.order(mark, Moment::Before, crash_store::Harm::Crash);
    assert!(stage.drive_to_crash(id).await);
    let run = stage.drive(id).await;
    assert_eq!(run.phase, Phase::Completed);
    let used = run.outputs["create_server"]["machine"].as_str().unwrap();
    assert_ne!(used, other);
}
