//! A client that waits for a launch follows its further attempts.

use super::{answer, ocim};
use crate::support::api_server::ApiServer;
use ocim_domain::event::Metadata;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::{Command, Instance, LaunchOutcome};
use ocim_domain::saga::{Cause, Event};
use std::process::Stdio;

/// Has the run fail as its log would tell, and the instance's launch with it.
async fn fail(server: &ApiServer, instance: InstanceId, appserver: AppserverId, run: RunId) {
    server.start_run(run, &appserver.to_string()).await;
    let (step, error) = ("create_server".to_owned(), "No valid host was found.".to_owned());
    server.report(run, Event::UnwindBegan(Cause::StepFailed { step, error })).await;
    let next = (AppserverId(server.app.journal().new_id()), RunId(server.app.journal().new_id()));
    let settle = Command::SettleLaunch { appserver, outcome: LaunchOutcome::Error, next };
    let meta = Metadata::by(format!("saga:{run}"));
    let journal = server.app.journal();
    journal.execute::<Instance>(&instance.stream(), &meta, settle).await.unwrap();
    server.report(run, Event::Unwound {}).await;
}

#[tokio::test]
async fn who_waits_for_a_launch_follows_its_further_attempts() {
    let server = ApiServer::start().await;
    let id = answer(&server, &["instance", "create", "--sub-domain", "alpha"]).await;
    let instance: InstanceId = id.parse().unwrap();
    let launch = ["appserver", "launch", &id, "--attempts", "2", "--failure-tag", "lost", "--wait"];
    let mut command = ocim(server.data_dir(), &launch);
    let mut waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for attempt in 1..=2 {
        let launch = loop {
            let state =
                server.app.journal().load::<Instance>(&instance.stream()).await.unwrap().state;
            let launches = &state.present().unwrap().launches;
            if let Some(launch) = launches.first() {
                break launch.clone();
            }
            assert!(waiting.try_wait().unwrap().is_none(), "it did not ask for a launch");
            tokio::task::yield_now().await;
        };
        assert_eq!(launch.number, attempt);
        fail(&server, instance, launch.appserver, launch.run).await;
    }
    let waited = waiting.wait_with_output().await.unwrap();
    let said = String::from_utf8(waited.stderr).unwrap();
    assert_eq!(waited.status.code(), Some(7), "{said}");
    assert!(said.contains("attempt 2 of 2: AppServer 2 apps_"), "{said}");
    let shown = server.get(&format!("/instances/{id}")).await;
    assert_eq!(
        (&shown["tags"][0], &shown["appserver_count"]),
        (&"lost".into(), &2.into()),
        "{shown}"
    );
    let second = server.get(&format!("/instances/{id}/appservers")).await["items"][0].clone();
    assert_eq!((&second["attempt"], &second["attempts"]), (&2.into(), &2.into()), "{second}");
    server.stop().await;
}
