//! Two sites on one balancer: what is wrong with one of them never holds up the other. With the
//! real program, Ansible and HAProxy.

use crate::support::machines::{balancer_machine, run_on};
use crate::support::ocim::Ground;
use serde_json::json;
use std::time::{Duration, Instant};

/// How soon a good change must be live, whatever else is wrong on its balancer.
const LIVE_WITHIN: Duration = Duration::from_secs(30);
const PROVED: &str = "activate_appserver.publish_probe.after_result";
/// The balancer's folder: an ordinary user's, whose machine shows what root has on the host, else root's.
const FOLDER: &str =
    "$([ -d ~/ocim-balancer ] && echo ~/ocim-balancer || echo /var/lib/ocim-balancer)";

#[tokio::test(flavor = "multi_thread")]
async fn a_site_with_an_invalid_fragment_holds_up_no_other() {
    let ground = Ground::serve().await;
    let (ill, good) = (ground.create_instance("ill").await, ground.create_instance("good").await);
    let (ill_appserver, ill_launch) = ground.launch(&ill).await;
    let (good_appserver, good_launch) = ground.launch(&good).await;
    for run in [ill_launch, good_launch] {
        assert_eq!(ground.await_run(&run).await, "completed", "{:#?}", ground.read_log(&run).await);
    }

    // HAProxy takes no two backends of one name: a stranger takes the one that this site needs.
    ground.hold(PROVED);
    let ill_run = ground.activate(&ill_appserver).await;
    ground.await_hold(PROVED).await;
    let backend = deliver_foreign_fragment(&ground).await;
    ground.release(PROVED);

    let asked = Instant::now();
    let good_run = ground.activate(&good_appserver).await;
    let page =
        ground.wait_for("the good site", async || ground.visit("good.localhost").await.ok()).await;
    let took = asked.elapsed();
    assert!(page.contains("Site good"), "{page}");
    assert!(took < LIVE_WITHIN, "it took {took:?}");
    assert_eq!(ground.await_run(&good_run).await, "completed");

    assert_eq!(ground.await_run(&ill_run).await, "unwound");
    let log = ground.read_log(&ill_run).await.join("\n");
    assert!(log.contains("[ALERT]") && log.contains(&backend), "HAProxy's own words: {log}");
    ground.await_appserver(&ill_appserver, "running", false).await;
    assert!(ground.visit("ill.localhost").await.is_err(), "nothing of it is live");
    assert!(ground.visit("good.localhost").await.unwrap().contains("Site good"));
}

/// Serves somebody else's fragment whose backend has the name that the site's, which is being
/// proved, is going to have. Returns the name.
async fn deliver_foreign_fragment(ground: &Ground) -> String {
    let machine = balancer_machine(ground).await;
    let live = run_on(ground, &machine, &format!("cat {FOLDER}/live/fragments.cfg")).await;
    let probed = live.split_whitespace().find_map(|word| word.strip_prefix("be-probe-"));
    let backend = format!("be-{}", probed.expect("the site is being proved"));
    let fragment = json!({
        "name": "foreign",
        "configuration": format!("backend {backend}\n    http-request return status 200\n"),
        "map": format!("stranger.localhost {backend}\n"),
    });
    let apply = format!("{FOLDER}/ocim-haproxy change <<'END'\n[{fragment}]\nEND");
    let said = run_on(ground, &machine, &apply).await;
    assert!(said.contains(r#""words": ["live"]"#), "{said}");
    ground.visit("stranger.localhost").await.unwrap();
    backend
}
