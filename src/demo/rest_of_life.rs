//! What comes after the first switch of a demo: a variable is explained, the site is redeployed as one of
//! many, put under maintenance for a moment, and then taken out of service, brought back and deleted.

use super::visitors::{MaintenanceTally, Tally, Visitors, fetch_page, tally, tally_maintenance};
use super::{Demo, DemoError, Deployed, REQUESTS_MIN, Tell, site_domain};
use crate::app::Caller;
use crate::app::bulk::{BulkAsk, PaceAsk, RedeployAsk};
use crate::app::lifecycle::{DeleteAsk, LifecycleAsk};
use crate::processes::unarchive_instance::launch_after;
use chrono::TimeDelta;
use ocim_domain::appserver::activation_after;
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::maintenance::Maintenance;
use serde_json::{Map, json};

/// Visits before, under and after the maintenance, at least.
const VISITS_OF_EACH: usize = 100;

/// A variable that every site has.
const VARIABLE: &str = "EDXAPP_PLATFORM_NAME";

impl Demo {
    /// Tells where a variable of an Appserver comes from.
    pub(super) async fn explain(
        &self,
        appserver: AppserverId,
        tell: Tell<'_>,
    ) -> Result<(), DemoError> {
        let app = self.node.app();
        let explained = app.explain_variable(&self.by, appserver, VARIABLE).await?;
        let explained =
            explained.ok_or_else(|| DemoError::Held(format!("nothing is known of {VARIABLE}")))?;
        let layers: Vec<_> = explained.layers.iter().map(|layer| layer.layer.name()).collect();
        tell(&format!("explaining {VARIABLE}: set by the layer {}", layers.join(", ")));
        Ok(())
    }

    /// Redeploys all sites of the demo while visitors come; the Appserver of that `number` gives way to
    /// the next one.
    pub(super) async fn redeploy(
        &self,
        site: &Deployed,
        number: u32,
        tell: Tell<'_>,
    ) -> Result<Tally, DemoError> {
        tell("redeploying all sites, as one of many would be; visitors arrive");
        let visitors = Visitors::arrive(site.balancer, &site_domain());
        let ask = BulkAsk::Redeploy(Box::new(RedeployAsk {
            tag: "demo".to_owned(),
            filter: Map::from_iter([("id".to_owned(), json!(site.instance))]),
            exclude: Map::new(),
            update: Map::new(),
            sql: vec![],
            attempts: 1,
            activate: true,
        }));
        let pace =
            PaceAsk { batch_size: 1, frequency_seconds: 0, canary: true, failures_max: Some(1) };
        let asked = self.node.app().request_bulk(&self.for_show(), ask, pace).await?;
        self.finish(asked.value.run, tell).await?;
        visitors.wait_for(REQUESTS_MIN).await;
        Ok(tally(&visitors.stop().await, [number, number + 1]))
    }

    /// Puts the site under maintenance and ends it again while visitors come, who get the site of the
    /// Appserver of that `number`, or the page.
    pub(super) async fn maintain(
        &self,
        site: &Deployed,
        number: u32,
        tell: Tell<'_>,
    ) -> Result<MaintenanceTally, DemoError> {
        tell("putting the site under maintenance: visitors get a page that says so");
        let visitors = Visitors::arrive(site.balancer, &site_domain());
        let (app, by) = (self.node.app(), self.for_show());
        let page = Maintenance {
            message: "The demo shows this page.".to_owned(),
            until: app.journal().now() + TimeDelta::hours(1),
        };
        for page in [Some(page), None] {
            visitors.wait_for_more(VISITS_OF_EACH).await;
            let run = app.change_maintenance(&by, site.instance, page).await?.value;
            self.finish(run, tell).await?;
        }
        visitors.wait_for_more(VISITS_OF_EACH).await;
        let tally = tally_maintenance(&visitors.stop().await, number);
        tell(&format!("{} of {} requests got the page", tally.pages, tally.requests));
        Ok(tally)
    }

    /// Takes the site out of service, brings it back, and deletes it.
    pub(super) async fn take_away(&self, site: &Deployed, tell: Tell<'_>) -> Result<(), DemoError> {
        let (app, by) = (self.node.app(), self.for_show());
        tell("archiving the site: what serves it goes, its data and settings are kept");
        let archived = app.change_lifecycle(&by, site.instance, LifecycleAsk::Archive).await?;
        self.finish(archived.value, tell).await?;
        if fetch_page(site.balancer, &site_domain()).await.is_ok() {
            return Err(DemoError::Held("the archived site still answers".to_owned()));
        }
        tell("un-archiving it: it is launched and served again");
        let ask = LifecycleAsk::Unarchive { launch: true };
        let back = app.change_lifecycle(&by, site.instance, ask).await?.value;
        self.finish(back, tell).await?;
        let launch = launch_after(back);
        self.finish(launch, tell).await?;
        self.finish(activation_after(launch), tell).await?;
        let page = fetch_page(site.balancer, &site_domain()).await;
        let page = page.map_err(|error| DemoError::Held(format!("it is back, but: {error}")))?;
        tell(&format!("{} answers again ({} bytes)", site.url, page.len()));
        tell("deleting it");
        let (app_state, _) = app.load_instance(site.instance).await?;
        let confirmation = app_state.confirming_name();
        let ask = LifecycleAsk::Delete(DeleteAsk { confirmation, ignore: vec![] });
        let deleted = app.change_lifecycle(&by, site.instance, ask).await?;
        self.finish(deleted.value, tell).await
    }

    /// The demo's caller, with the reason that some commands need.
    fn for_show(&self) -> Caller {
        Caller { reason: Some("the demo shows it".to_owned()), ..self.by.clone() }
    }
}
