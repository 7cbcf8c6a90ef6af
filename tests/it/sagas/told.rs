//! What clouds and machines say of themselves goes into events, whatever characters it is made of.

use super::outages::guarded_stage;
use ocim::app::LaunchAsk;
use ocim_domain::saga::{Cause, Phase};
use ocim_domain::text::find_unstorable;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn whatever_a_cloud_says_of_a_machine_is_recorded() {
    let endless = "\0no room".repeat(100_000);
    for fault in ["\0", "No valid host\0 was found\u{1b}[31m", &endless] {
        let (stage, _) = guarded_stage().await;
        stage.cloud.set_boot_fault(Some(fault));
        let launched = stage.begin_launch(LaunchAsk::default()).await;
        let run = stage.drive(launched.run).await;
        let Phase::Unwound(Cause::StepFailed { error, .. }) = &run.phase else { panic!("{run:?}") };
        assert!(error.contains('\u{fffd}') && error.len() < 64 * 1024, "{error}");
        for event in stage.events(&[]).await {
            assert_eq!(find_unstorable(&event.data), None, "{}", event.kind);
            assert_eq!(find_unstorable(&json!(event.meta)), None, "{}", event.kind);
        }
    }
}
