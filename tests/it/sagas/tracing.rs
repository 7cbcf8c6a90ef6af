//! Plays know the trace of the request that they belong to.

use super::stage::{Stage, somebody};
use ocim::app::{Caller, LaunchAsk};
use ocim::processes::started_by;
use ocim::trace_context::{TraceContext, playbook_span};
use ocim_domain::saga::{Command, Saga};

#[tokio::test(start_paused = true)]
async fn a_play_gets_the_trace_of_its_request() {
    let stage = Stage::new().await;
    let request = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let caller = Caller { traceparent: Some(request.to_owned()), ..somebody() };
    let ask = LaunchAsk::default();
    let asked = stage.app().launch_appserver(&caller, stage.instance, ask).await.unwrap().value;
    let events = stage.events(&["instance.launch_requested"]).await;
    let start = started_by(&events[0]).unwrap();
    let command = Command::Start {
        definition: start.definition.to_owned(),
        version: 1,
        input: start.input,
        subject: start.subject,
        deadline: None,
    };
    let journal = stage.app().journal();
    journal.execute::<Saga>(&asked.run.stream(), &events[0].meta, command).await.unwrap();
    stage.drive(asked.run).await;
    let plays = stage.playbooks.list_started();
    assert!(!plays.is_empty());
    let request: TraceContext = request.parse().unwrap();
    for play in plays {
        let expected = request.with_span(playbook_span(play.key)).to_string();
        assert_eq!(play.traceparent, Some(expected));
    }
}
