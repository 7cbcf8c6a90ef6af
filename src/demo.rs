//! The demo: everything on embedded defaults, one site deployed, proved by visitors, and removed again.

mod report;
mod rest_of_life;
pub mod visitors;
mod workspace;

pub use report::{DemoError, Report, Verdict};
pub use workspace::remove_all;

use crate::app::{ActivateAsk, Caller, DetailsAsk, ForceAsk, LaunchAsk, Launched};
use crate::boot::Node;
use crate::config::Config;
use crate::processes::provision_load_balancer::PROVISION_LOAD_BALANCER;
use crate::read_models::RunFilter;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::saga::{Phase, Saga, Step};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use visitors::{Visitors, fetch_page, tally};
use workspace::Workspace;

/// The demo's site.
const SUB_DOMAIN: &str = "demo";
/// Requests that the visitors must have made while traffic moved.
const REQUESTS_MIN: usize = 1000;
/// Pause between two looks at a run.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How to demonstrate.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Keeps the data in this folder, which may be used again.
    pub dir: Option<PathBuf>,
}

/// Where progress goes, one line at a time.
pub type Tell<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A demo that is up.
#[derive(Debug)]
pub struct Demo {
    node: Node,
    workspace: Workspace,
    by: Caller,
    started: Instant,
}

impl Demo {
    /// Starts everything on free ports and embedded defaults.
    ///
    /// # Errors
    /// [`DemoError`] says which part failed.
    pub async fn start(
        config: Config,
        options: Options,
        tell: Tell<'_>,
    ) -> Result<Self, DemoError> {
        let started = Instant::now();
        let workspace = Workspace::prepare(options.dir, tell).await?;
        let config = workspace.configure(config);
        tell("starting PostgreSQL, the API and the runner");
        let node = match Node::start(&config).await {
            Ok(node) => node,
            Err(error) => {
                workspace.clear().await;
                return Err(DemoError::Boot(error));
            }
        };
        Ok(Self {
            node,
            workspace,
            by: Caller::new(format!("local:{}", crate::http::os_user())),
            started,
        })
    }

    /// The node that the demo runs on.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Stops everything, and removes it unless a folder was given to keep.
    pub async fn end(self) {
        let folder = self.node.stop().await;
        self.workspace.clear_stopped(folder).await;
    }

    /// Deploys the site and returns its address.
    ///
    /// # Errors
    /// [`DemoError::Run`] with what the failed run says.
    pub async fn deploy(&self, tell: Tell<'_>) -> Result<Deployed, DemoError> {
        let instance = self.ensure_instance(tell).await?;
        tell("making the balancer, unless there is one");
        self.await_balancer().await?;
        let first = self.launch(instance).await?;
        tell(&format!("launching AppServer {}", first.number));
        self.finish(first.run, tell).await?;
        self.activate(first.appserver, tell).await?;
        let (balancer, url) = self.find_site(instance).await?;
        Ok(Deployed { instance, first, balancer, url })
    }

    /// The whole demonstration: deploys, changes a setting, launches again, moves the traffic while
    /// visitors come, takes the first Appserver away; then what else a site meets in its life, to its
    /// deletion.
    ///
    /// # Errors
    /// [`DemoError`] says what did not hold.
    pub async fn demonstrate(&self, tell: Tell<'_>) -> Result<Verdict, DemoError> {
        let site = self.deploy(tell).await?;
        let app = self.node.app();
        let host = site_domain();
        let fetched = fetch_page(site.balancer, &host).await;
        let page = fetched.map_err(|error| DemoError::Held(format!("the first page: {error}")))?;
        tell(&format!("{} answers ({} bytes)", site.url, page.len()));
        tell("changing the name; visitors arrive");
        let change = Map::from_iter([(
            "name".to_owned(),
            json!(format!("Demo site, edition {}", site.first.number + 1)),
        )]);
        app.change_settings(&self.by, site.instance, change, None).await?;
        let visitors = Visitors::arrive(site.balancer, &host);
        let second = self.launch(site.instance).await?;
        self.finish(second.run, tell).await?;
        self.activate(second.appserver, tell).await?;
        tell(&format!("terminating AppServer {}", site.first.number));
        let run = app
            .terminate_appserver(&self.by, site.first.appserver, ForceAsk::default())
            .await?
            .value;
        self.finish(run, tell).await?;
        visitors.wait_for(REQUESTS_MIN).await;
        let visits = visitors.stop().await;
        let tally = tally(&visits, [site.first.number, second.number]);
        for failure in visits.iter().filter_map(|visit| visit.outcome.as_ref().err()).take(5) {
            tell(&format!("a visitor says: {failure}"));
        }
        self.explain(second.appserver, tell).await?;
        let again = self.redeploy(&site, second.number, tell).await?;
        let away = self.maintain(&site, second.number + 1, tell).await?;
        self.take_away(&site, tell).await?;
        let report = Report {
            instance: site.instance.to_string(),
            appservers: vec![site.first.appserver.to_string(), second.appserver.to_string()],
            url: site.url,
            http_status: 200,
            requests: tally.requests + again.requests + away.requests,
            failed_requests: tally.failed + again.failed + away.failed,
            seconds: self.started.elapsed().as_secs_f64(),
            events: self.count_events().await?,
            runs: self.count_runs().await?,
        };
        let fault = tally.fault().or_else(|| again.fault()).or_else(|| away.fault());
        Ok(Verdict { fault, report })
    }

    /// The demo's instance: the one of a folder that is used again, or a new one.
    async fn ensure_instance(&self, tell: Tell<'_>) -> Result<InstanceId, DemoError> {
        let app = self.node.app();
        if let Some(instance) = app.find_instance(&site_domain()).await? {
            tell("the instance is there already");
            return Ok(instance);
        }
        tell("creating the instance");
        let mut input = Map::new();
        input.insert("sub_domain".to_owned(), SUB_DOMAIN.into());
        input.insert("name".to_owned(), "Demo site".into());
        Ok(app.create_instance(&self.by, input, DetailsAsk::default()).await?.value)
    }

    /// Waits until there is a balancer: a launch would wait for ever for one that can't be made.
    async fn await_balancer(&self) -> Result<(), DemoError> {
        let app = self.node.app();
        let definition = PROVISION_LOAD_BALANCER.name;
        loop {
            // Looked at first: once the run is over, what it made is there.
            let is_on_its_way = app.balancer_attempts().another_follows()
                || app.has_open_run(definition, None).await?;
            if !app.list_registered_balancers().await?.is_empty() {
                return Ok(());
            }
            if !is_on_its_way {
                let why = self.explain_balancer().await;
                return Err(DemoError::Held(format!("the balancer could not be made: {why}")));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// What the run says that should have made the balancer.
    async fn explain_balancer(&self) -> String {
        let definition = Some(PROVISION_LOAD_BALANCER.name.to_owned());
        let filter = RunFilter { definition, ..RunFilter::default() };
        let runs = self.node.app().reads(&self.by).list_runs(&filter, 1, None).await;
        let cause = runs.ok().and_then(|mut runs| runs.pop()?.cause);
        cause.unwrap_or_else(|| "its run has turned back".to_owned())
    }

    async fn launch(&self, instance: InstanceId) -> Result<Launched, DemoError> {
        Ok(self.node.app().launch_appserver(&self.by, instance, LaunchAsk::default()).await?.value)
    }

    async fn activate(&self, appserver: AppserverId, tell: Tell<'_>) -> Result<(), DemoError> {
        tell("activating it: proved through the balancer first");
        let ask = ActivateAsk { deactivate_others: true, force: false };
        let run = self.node.app().activate_appserver(&self.by, appserver, ask).await?.value;
        self.finish(run, tell).await
    }

    /// Waits for a run's end, telling each step as it begins.
    async fn finish(&self, run: RunId, tell: Tell<'_>) -> Result<(), DemoError> {
        let mut told = BTreeMap::new();
        loop {
            let state = self.node.app().journal().load::<Saga>(&run.stream()).await?.state;
            if let Some(state) = state {
                for (step, progress) in &state.steps {
                    let begun = matches!(progress, Step::Intended { .. } | Step::Done { .. });
                    if begun && told.insert(step.clone(), ()).is_none() {
                        tell(&format!("  {step}"));
                    }
                }
                match state.phase {
                    Phase::Completed => return Ok(()),
                    Phase::Unwound(cause) => {
                        let why = crate::processes::failure::describe(Some(&cause));
                        return Err(DemoError::Run { run, why });
                    }
                    Phase::Stuck { step, why, .. } => {
                        return Err(DemoError::Run { run, why: format!("stuck at {step}: {why}") });
                    }
                    Phase::Abandoned { reason, .. } => {
                        return Err(DemoError::Run { run, why: format!("abandoned: {reason}") });
                    }
                    Phase::Forward | Phase::Unwinding(_) => {}
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Where visitors find the site, and its link.
    async fn find_site(&self, instance: InstanceId) -> Result<(SocketAddr, String), DemoError> {
        let balancers = self.node.app().list_registered_balancers().await?;
        let registered = balancers.first().map(|(_, registration)| registration.clone());
        let registration = registered
            .ok_or_else(|| DemoError::Held(format!("{instance} has no load balancer")))?;
        // Browsers look for *.localhost at 127.0.0.1, where the balancer of a demo listens as well.
        let own = SocketAddr::new(registration.address.ip, registration.address.http_port);
        let public = registration.also_listens.unwrap_or(own);
        Ok((public, format!("http://{SUB_DOMAIN}.localhost:{}/", public.port())))
    }

    async fn count_events(&self) -> Result<usize, DemoError> {
        self.count(&[]).await
    }

    async fn count_runs(&self) -> Result<usize, DemoError> {
        self.count(&["saga.started"]).await
    }

    async fn count(&self, kinds: &[&str]) -> Result<usize, DemoError> {
        use ocim_engine::store::Filter;
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let filter = Filter { kinds, ..Filter::default() };
        let mut after = ocim_domain::event::Position::START;
        let mut count = 0;
        loop {
            let page = self.node.app().store().raw().read_all(after, &filter, 1000).await;
            let (events, position) = page.map_err(crate::app::AppError::from)?;
            count += events.len();
            if events.is_empty() {
                return Ok(count);
            }
            after = position;
        }
    }
}

fn site_domain() -> String {
    format!("{SUB_DOMAIN}.localhost")
}

/// A site that answers.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The instance.
    pub instance: InstanceId,
    /// The Appserver that was launched for it.
    pub first: Launched,
    /// Where its balancer listens.
    pub balancer: SocketAddr,
    /// Its link, for browsers on this machine.
    pub url: String,
}
