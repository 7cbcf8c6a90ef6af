//! Names of a site in the DNS: several in one order, each of its own in the ledger, and never somebody else's.

use super::stage::{BALANCER, Stage};
use ocim::app::LaunchAsk;
use ocim::app::lifecycle::LifecycleAsk;
use ocim_adapters::dns::Target;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::RunId;
use ocim_domain::ledger::{Entry, Kind, Sight};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Cause, ErrorCode, Phase};
use std::net::IpAddr;

const SITE: &str = "alpha.example.com";
const STUDIO: &str = "studio.alpha.example.com";
const FIRST: &str = "vm1.alpha.example.com";

async fn entries(stage: &Stage) -> Vec<Entry> {
    let entries = stage.app().ledger_of(stage.instance).await.unwrap().into_iter();
    entries.filter(|entry| entry.resource.id.kind == Kind::DnsName).collect()
}

async fn complete(stage: &Stage, run: RunId) {
    let run = stage.drive(run).await;
    assert_eq!(run.phase, Phase::Completed, "{run:#?}");
}

fn hers() -> Target {
    Target::Name("hers.example.net".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_needs_somebody_elses_name_is_stopped_and_leaves_it() {
    let stage = Stage::new().await;
    stage.dns.change(STUDIO, Some(hers()));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let run = stage.drive(launched.run).await;
    let Phase::Unwound(Cause::StepFailed { step, error }) = &run.phase else { panic!("{run:#?}") };
    assert_eq!(step, "write_dns_records");
    assert!(error.contains(&format!("{STUDIO} (CNAME hers.example.net)")), "{error}");
    let failed = stage.events(&["saga.step_failed"]).await;
    assert_eq!(failed[0].data["code"], ErrorCode::DnsNameTaken.name());
    assert_eq!(stage.dns.aliases()[STUDIO], "hers.example.net");
    // The others are there, and in the ledger; this one is nobody's wish.
    let known = entries(&stage).await;
    assert_eq!(known.len(), 4, "{known:#?}");
    assert!(known.iter().all(|entry| entry.sight == Sight::Present));
    assert!(known.iter().all(|entry| entry.resource.id.key != STUDIO));
    stage.dns.change(STUDIO, None);
    stage.launch().await;
    assert_eq!(stage.dns.aliases()[STUDIO], BALANCER);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_made_of_a_name_stays_when_the_site_is_archived() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.dns.change(SITE, Some(hers()));
    stage.dns.change(STUDIO, None);
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    let left: Vec<_> = stage.dns.aliases().into_iter().collect();
    assert_eq!(left, [(SITE.to_owned(), "hers.example.net".to_owned())]);
    assert!(stage.dns.addresses().is_empty());
    assert_eq!(entries(&stage).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_machines_name_that_is_somebody_elses_stays_and_holds_up_no_traffic() {
    let stage = Stage::new().await;
    let ip: IpAddr = "192.0.2.99".parse().unwrap();
    stage.dns.change(FIRST, Some(Target::Address(ip)));
    stage.launch_active().await;
    assert_eq!(stage.dns.addresses()[FIRST], ip);
    assert!(entries(&stage).await.iter().all(|entry| entry.resource.id.key != FIRST));
}

/// An order whose answer was lost may have been carried out: what it wrote gives way to the next wish.
#[tokio::test(start_paused = true)]
async fn a_name_follows_its_machine_whatever_became_of_the_order_before() {
    for fault in [Fault::Before(Class::Transient), Fault::After(Class::Ambiguous)] {
        let stage = Stage::new().await;
        let one = stage.launch_active().await.appserver;
        let two = stage.launch_active().await.appserver;
        let addresses = stage.dns.addresses();
        // The first leaves, and the order that moves `vm1` to the second's machine fails.
        let calls = stage.dns.faults.calls("set_names");
        stage.dns.faults.fail("set_names", calls + 1, fault);
        let run = stage.begin_deactivation(one).await;
        complete(&stage, run).await;
        assert_eq!(stage.dns.addresses()[FIRST], addresses["vm2.alpha.example.com"]);
        let three = stage.launch_active().await.appserver;
        let run = stage.begin_deactivation(two).await;
        complete(&stage, run).await;
        let known = entries(&stage).await;
        let first = known.iter().find(|entry| entry.resource.id.key == FIRST).unwrap();
        let place = stage.dns.addresses()[FIRST].to_string();
        assert_eq!((&first.resource.place, first.provider_id.as_ref()), (&place, Some(&place)));
        assert_eq!(stage.dns.addresses().len(), 1, "{three} alone is in traffic");
    }
}

/// A refusal forgets no name that is where it was: it is ours when somebody has mended what was refused.
#[tokio::test(start_paused = true)]
async fn a_name_that_may_not_move_stays_known_where_it_is() {
    let stage = Stage::new().await;
    let one = stage.launch_active().await.appserver;
    stage.launch_active().await;
    let addresses = stage.dns.addresses();
    stage.dns.faults.fail_always("set_names", Fault::Before(Class::Permanent));
    let run = stage.begin_deactivation(one).await;
    assert!(stage.drive(run).await.phase.is_stuck());
    assert_eq!(stage.dns.addresses(), addresses);
    assert!(entries(&stage).await.iter().any(|entry| entry.resource.id.key == FIRST));
    stage.dns.faults.clear();
    stage.launch_active().await;
    let first = stage.dns.addresses()[FIRST];
    assert_eq!(first, addresses["vm2.alpha.example.com"], "{:?}", stage.dns.addresses());
}

#[tokio::test(start_paused = true)]
async fn the_names_of_a_site_are_one_order_each_way() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    assert_eq!(stage.dns.faults.calls("set_names"), 2, "the site's, and its machine's");
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert_eq!(stage.dns.faults.calls("remove_names"), 1);
}
