//! Runs that wait for a person: found, explained and resolved.

use super::Desk;
use crate::http::operators::given_stuck_run;
use ocim::processes::terminate_appserver::TERMINATE_APPSERVER;
use ocim_adapters::system::SystemIds;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorClass, ErrorCode, Event, StuckCode, step_key};
use ocim_domain::system::Ids;

impl Desk {
    /// A run of this process, in which that has happened.
    pub(super) async fn given_run(&self, name: &str, version: u16, events: Vec<Event>) -> String {
        let run = RunId(SystemIds.new_id());
        self.server.start_run_of(name, version, run, "apps_test").await;
        for event in events {
            self.server.report(run, event).await;
        }
        run.to_string()
    }

    pub(super) async fn explain(&self, run: &str) -> String {
        self.tell(&["run", "explain", run]).await
    }

    async fn assert_stuck(&self, run: &str, is_stuck: bool) {
        let listed = self.tell(&["run", "list", "--stuck"]).await;
        assert_eq!(listed.contains(run), is_stuck, "{listed}");
    }
}

pub(super) fn intended(step: &str) -> Event {
    Event::StepIntended {
        step: step.to_owned(),
        attempt: 1,
        key: step_key(RunId(uuid::Uuid::nil()), step),
        deadline: "2036-11-22T12:00:00Z".parse().unwrap(),
        at: None,
    }
}

pub(super) fn undo_intended(step: &str) -> Event {
    let deadline = "2036-11-22T12:00:00Z".parse().unwrap();
    Event::UndoIntended { step: step.to_owned(), attempt: 1, deadline, at: None }
}

pub(super) fn turned_back() -> Event {
    Event::UnwindBegan(Cause::Cancelled { reason: "a mistake".to_owned() })
}

fn stuck(step: &str, why: &str, code: StuckCode) -> Event {
    Event::Stuck { step: step.to_owned(), why: why.to_owned(), code: Some(code) }
}

#[tokio::test]
async fn an_undo_that_failed_is_tried_again_or_marked_as_done() {
    let desk = Desk::open("Stuck: `undo_failed`").await;
    for order in ["retry-step", "mark-undone"] {
        let run = given_stuck_run(&desk.server).await.to_string();
        desk.assert_stuck(&run, true).await;
        let told = desk.explain(&run).await;
        desk.finds(&told, &["The run is stuck at `create_server`: ", "; it waits for a person"]);
        let shown = desk.tell(&["run", "show", &run]).await;
        assert!(shown.contains("undo attempt 1") && shown.contains("the cloud said no"), "{shown}");
        desk.order(&["run", order, &run, "create_server"]).await;
        desk.assert_stuck(&run, false).await;
        assert!(desk.explain(&run).await.contains("The run turns back"));
    }
    desk.server.stop().await;
}

/// A termination whose machine is still there.
async fn given_failed_step(desk: &Desk) -> String {
    let mut events = vec![];
    for step in TERMINATE_APPSERVER.steps.iter().take_while(|step| step.path != "delete_server") {
        let (step, reason) = (step.path.to_owned(), "a test".to_owned());
        events.extend([intended(&step), Event::StepSkipped { step, reason }]);
    }
    let (step, error) = ("delete_server".to_owned(), "the cloud said no".to_owned());
    events.push(intended(&step));
    let (class, retry_at) = (ErrorClass::Permanent, None);
    let code = Some(ErrorCode::MachineFailed);
    events.push(Event::StepFailed { step, attempt: 1, class, code, error, retry_at, at: None });
    events.push(stuck("delete_server", "the cloud said no", StuckCode::StepFailed));
    desk.given_run("terminate_appserver", 1, events).await
}

#[tokio::test]
async fn a_step_that_failed_past_the_pivot_is_tried_again_skipped_or_forced_back() {
    let desk = Desk::open("Stuck: `step_failed`").await;
    for order in ["retry-step", "skip-step", "force-unwind"] {
        let run = given_failed_step(&desk).await;
        let told = desk.explain(&run).await;
        desk.finds(&told, &["The run is stuck at `delete_server`: ", "; it waits for a person"]);
        let step: &[&str] = match order {
            "force-unwind" => &[],
            "skip-step" => &["delete_server", "--output", "null"],
            _ => &["delete_server"],
        };
        desk.order(&[&["run", order, &run], step].concat()).await;
        desk.assert_stuck(&run, false).await;
        let way = if order == "force-unwind" { "turns back" } else { "goes forward" };
        assert!(desk.explain(&run).await.contains(way), "{order}");
    }
    desk.server.stop().await;
}

#[tokio::test]
async fn a_run_of_an_unknown_process_goes_on_whichever_way_it_went_or_is_given_up() {
    let desk = Desk::open("Stuck: `unknown_definition`").await;
    let why = "no running version of Ocim knows `launch_appserver` version 99: start one that does";
    let unknown = || stuck("", why, StuckCode::UnknownDefinition);
    let forward = vec![intended("create_server")];
    let back = vec![intended("create_server"), intended("await_server"), turned_back()];
    for (events, order, way) in [
        (forward.clone(), "resume-forward", "The run goes forward"),
        (back, "force-unwind", "The run turns back"),
        (forward, "abandon", "The run was abandoned"),
    ] {
        let run = desk.given_run("launch_appserver", 99, events).await;
        let told = desk.explain(&run).await;
        desk.finds(&told, &["it waits for a node that knows", "what follows can't be described"]);
        desk.server.report(run.parse().unwrap(), unknown()).await;
        let told = desk.explain(&run).await;
        desk.finds(&told, &["no running version of Ocim knows `", ": start one that does"]);
        desk.finds(&told, &["what follows can't be described"]);
        let did = desk.order(&["run", order, &run]).await;
        assert!(!did.contains("complete"), "nobody knows that: {did}");
        desk.assert_stuck(&run, false).await;
        assert!(desk.explain(&run).await.contains(way), "{order}");
    }
    desk.server.stop().await;
}

#[tokio::test]
async fn a_run_that_nodes_die_of_is_tried_again_forced_back_or_given_up() {
    let desk = Desk::open("Stuck: `crash_loop`").await;
    let why = "6 nodes in a row died while they were at it";
    let under_way = || vec![intended("create_server")];
    let between = || vec![intended("create_server"), turned_back()];
    for (mut events, step, order) in [
        (under_way(), "create_server", "retry-step"),
        (under_way(), "create_server", "force-unwind"),
        (between(), "", "force-unwind"),
        (under_way(), "create_server", "abandon"),
    ] {
        events.push(stuck(step, why, StuckCode::CrashLoop));
        let run = desk.given_run("launch_appserver", 1, events).await;
        desk.assert_stuck(&run, true).await;
        let told = desk.explain(&run).await;
        desk.finds(&told, &[why]);
        let step: &[&str] = if order == "retry-step" { &[step] } else { &[] };
        desk.order(&[&["run", order, &run], step].concat()).await;
        desk.assert_stuck(&run, false).await;
    }
    desk.server.stop().await;
}
