//! A node on the API server: real commands and runs, on a cloud and playbooks that are fakes.

use super::Desk;
use crate::sagas::stage::{registration, somebody};
use crate::support::api_server::DEADLINE;
use crate::support::ocim::POLL;
use ocim::processes::definitions;
use ocim::processes::slots::{Slots, set_limits};
use ocim::processes::world::{Limits, World};
use ocim::reconciler::RegionWatch;
use ocim::simulation::stage::deployment;
use ocim_adapters::Ports;
use ocim_adapters::balancer::fake::FakeLoadBalancer;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::cloud::fake::FakeCloud;
use ocim_adapters::mail::unsent::UnsentMailer;
use ocim_adapters::playbooks::fake::FakePlaybooks;
use ocim_adapters::provisioning::fake::FakeServers;
use ocim_adapters::shell::fake::FakeShell;
use ocim_adapters::sites::SiteAnswer;
use ocim_adapters::sites::fake::FakeSite;
use ocim_domain::server::ServerAddress;
use ocim_engine::leases::postgres::PostgresLeases;
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::node_leases::NodeLeases;
use ocim_engine::sagas::runner::Runner;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(super) const REGION: &str = "local";

/// What drives runs, and what they touch.
pub(super) struct Node {
    pub(super) cloud: Arc<FakeCloud>,
    pub(super) balancer: Arc<FakeLoadBalancer>,
    pub(super) playbooks: Arc<FakePlaybooks>,
    pub(super) world: Arc<World>,
    runner: Runner,
}

impl Node {
    /// A node in haste, with one launch at a time.
    pub(super) async fn start(desk: &Desk) -> Self {
        // What the server looks at.
        let (app, cloud) = (desk.server.app.clone(), desk.server.cloud.clone());
        let playbooks = Arc::new(FakePlaybooks::default());
        let balancer = Arc::new(FakeLoadBalancer::default());
        let site = FakeSite::default().behind(balancer.clone());
        let answer = SiteAnswer { status: 200, ..SiteAnswer::default() };
        site.set_answer("alpha.example.com", Some(answer.clone()));
        let ServerAddress { ip, http_port, .. } = registration().address;
        site.set_answer_at((ip, http_port).into(), Some(answer)); // Whoever is asked for there.
        let soon = Duration::from_millis(20);
        let limits = Limits {
            poll_interval: soon,
            follow_interval: soon,
            retry_base: soon,
            retry_cap: soon,
            queue_poll: soon,
            launches_max_default: 1,
            ..Limits::default()
        };
        let world = Arc::new(World {
            logs: Arc::clone(app.logs()),
            ports: Ports {
                clouds: BTreeMap::from([(REGION.to_owned(), Arc::clone(&cloud) as Arc<dyn Cloud>)]),
                shell: Arc::new(FakeShell::new(Arc::clone(&cloud))),
                playbooks: playbooks.clone(),
                load_balancer: balancer.clone(),
                dns: None,
                monitoring: None,
                metadata: None,
                provisioning: Arc::new(FakeServers::default()),
                mailer: Arc::new(UnsentMailer),
                site_probe: Arc::new(site),
            },
            app,
            limits,
            deployment: deployment(),
            holds: Holds::default(),
            locks: Mutex::default(),
            slots: Slots::default(),
        });
        set_limits(&world).await.unwrap();
        let leases = Arc::new(PostgresLeases::new(desk.server.database.pool()));
        let leases = Arc::new(NodeLeases::new(leases, Uuid::from_u128(1), world.limits.runner()));
        let runner = Runner::start(Arc::clone(&world), &definitions(), leases);
        Self { cloud, balancer, playbooks, world, runner }
    }

    /// Looks at the region as often as it takes to believe it.
    pub(super) async fn look(&self, watch: &mut RegionWatch) {
        for _ in 0..2 {
            watch.look().await.unwrap();
        }
    }

    pub(super) async fn stop(self, desk: Desk) {
        self.runner.stop().await;
        desk.server.stop().await;
    }
}

impl Desk {
    pub(super) async fn given_balancer(&self) {
        self.server.app.register_load_balancer(&somebody(), registration()).await.unwrap();
    }

    /// A launch that was asked for and has begun: its Appserver, and its run.
    pub(super) async fn given_launch(&self, instance: &str) -> (String, String) {
        let path = format!("/instances/{instance}/appservers");
        let body = json!({ "queue": true });
        let launched = self.server.ask("POST", &path).json(&body).send().await.unwrap();
        let launched: Value = launched.json().await.unwrap();
        let text = |field: &str| launched[field].as_str().unwrap().to_owned();
        self.await_run(&text("run")).await;
        (text("appserver"), text("run"))
    }

    /// Waits until a run's explanation has these words.
    pub(super) async fn await_told(&self, run: &str, words: &[&str]) {
        let has_all = |told: &String| words.iter().all(|word| told.contains(word));
        let explained = async || Some(self.explain(run).await).filter(has_all);
        self.finds(&until(&format!("{words:?}"), explained).await, words);
    }

    /// Waits until a run has ended.
    pub(super) async fn await_end(&self, run: &str) -> String {
        until("the end of a run", async || {
            let phase = self.await_run(run).await["phase"].as_str().unwrap().to_owned();
            ["completed", "unwound", "stuck"].contains(&phase.as_str()).then_some(phase)
        })
        .await
    }

    /// A run as it is shown, once it is: the answer to who asks for one may come before.
    async fn await_run(&self, run: &str) -> Value {
        let ask = || self.server.ask("GET", &format!("/runs/{run}"));
        let shown = self.server.until(|answer| answer.status() == 200, ask).await;
        shown.json().await.unwrap()
    }
}

/// Asks until there is an answer, but not for ever.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(POLL).await;
    }
}
