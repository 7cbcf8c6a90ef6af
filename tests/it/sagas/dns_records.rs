//! The records that a site needs in the DNS: who sets them, and where they lead.

use super::stage::{BALANCER, Stage, registration, somebody};
use async_trait::async_trait;
use ocim::app::AppError;
use ocim::app::lifecycle::LifecycleAsk;
use ocim::dns_records::{Look, RecordLister, SiteRecords};
use ocim_adapters::dns::Target;
use ocim_adapters::hosts::Hosts;
use ocim_domain::ids::InstanceId;
use ocim_domain::port_error::PortError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What a resolver knows. Names that begin with `away` it can't ask for; with `slow`, it asks for hours.
#[derive(Debug, Default)]
struct KnownHosts(BTreeMap<&'static str, Vec<IpAddr>>);

#[async_trait]
impl Hosts for KnownHosts {
    async fn find_addresses(&self, domain: &str) -> Result<Vec<IpAddr>, PortError> {
        if domain.starts_with("away") {
            return Err(PortError::transient("the resolver does not answer"));
        }
        if domain.starts_with("slow") {
            tokio::time::sleep(Duration::from_secs(7200)).await;
        }
        Ok(self.0.get(domain).cloned().unwrap_or_default())
    }

    async fn read_host_keys(&self, _: IpAddr, _: u16) -> Result<Vec<String>, PortError> {
        Ok(vec![])
    }
}

async fn list(stage: &Stage, hosts: KnownHosts, check: bool) -> SiteRecords {
    let lister = RecordLister::new(Arc::clone(&stage.world), Arc::new(hosts));
    lister.list_records(stage.instance, check).await.unwrap()
}

async fn set(stage: &Stage, settings: Value) {
    let Value::Object(input) = settings else { panic!() };
    stage.app().change_settings(&somebody(), stage.instance, input, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn external_domains_are_their_owners_and_all_are_where_no_service_is_configured() {
    let external = json!({ "external_lms_domain": "Learn.Bücher.example" });
    let stage = Stage::new().await;
    stage.launch_active().await;
    set(&stage, external.clone()).await;
    let listed = list(&stage, KnownHosts::default(), false).await;
    let shown: Vec<_> = listed.records.iter().map(|it| (it.name.as_str(), it.is_managed)).collect();
    let expected = [
        ("learn.xn--bcher-kva.example", false),
        ("alpha.example.com", true),
        ("preview.alpha.example.com", true),
        ("studio.alpha.example.com", true),
        ("discovery.alpha.example.com", true),
        ("ecommerce.alpha.example.com", true),
        ("vm1.alpha.example.com", true),
    ];
    assert_eq!((shown.as_slice(), listed.note), (&expected[..], None));
    let target = |it: usize| listed.records[it].target.clone();
    assert_eq!(target(0), Target::Name(BALANCER.to_owned()));
    assert_eq!(target(6), Target::Address(stage.dns.addresses()["vm1.alpha.example.com"]));
    assert!(listed.records.iter().all(|it| it.look.is_none()));

    let stage = Stage::build(|world| world.ports.dns = None).await;
    set(&stage, external).await;
    let listed = list(&stage, KnownHosts::default(), false).await;
    assert!(listed.records.iter().all(|it| !it.is_managed), "{listed:#?}");
    let note = "no DNS service is configured: somebody has to set them";
    assert_eq!((listed.records.len(), listed.note.as_deref()), (6, Some(note)));
    let nobody = InstanceId(Uuid::from_u128(1));
    let lister = RecordLister::new(Arc::clone(&stage.world), Arc::new(KnownHosts::default()));
    let missing = lister.list_records(nobody, true).await;
    assert!(matches!(missing, Err(AppError::NotFound { .. })), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn each_name_is_looked_up_and_leads_to_the_balancer_or_elsewhere() {
    let stage = Stage::new().await;
    set(&stage, json!({ "external_lms_domain": "away.example.net" })).await;
    let ip = |last: u8| IpAddr::from([198, 51, 100, last]);
    let own = registration().address.ip;
    let hosts = KnownHosts(BTreeMap::from([
        (BALANCER, vec![ip(1)]),
        ("alpha.example.com", vec![ip(1)]),
        ("preview.alpha.example.com", vec![own]),
        ("studio.alpha.example.com", vec![ip(2)]),
    ]));
    let listed = list(&stage, hosts, true).await;
    let looks: Vec<_> = listed.records.into_iter().map(|it| it.look.unwrap()).collect();
    let expected = [
        Look::Unknown("the resolver does not answer".to_owned()),
        Look::Set,
        Look::Set,
        Look::Elsewhere(vec![ip(2)]),
        Look::Missing,
        Look::Missing,
    ];
    assert_eq!((looks.as_slice(), listed.balancer_address), (&expected[..], Some(own)));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_takes_too_long_holds_up_no_other() {
    let stage = Stage::new().await;
    set(&stage, json!({ "external_lms_domain": "slow.example.net" })).await;
    let begin = tokio::time::Instant::now();
    let listed = list(&stage, KnownHosts::default(), true).await;
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    let looks: Vec<_> = listed.records.into_iter().map(|it| it.look.unwrap()).collect();
    assert_eq!(looks[0], Look::Unknown("the lookups take too long".to_owned()));
    assert!(looks[1..].iter().all(|look| *look == Look::Missing), "{looks:?}");
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_needs_no_names_of_its_own() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    set(&stage, json!({ "external_lms_domain": "learn.example.net" })).await;
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    stage.drive(run).await;
    let listed = list(&stage, KnownHosts::default(), false).await;
    let names: Vec<_> = listed.records.iter().map(|it| it.name.as_str()).collect();
    let note = "the instance is archived: it needs no names of its own";
    assert_eq!((names, listed.note.as_deref()), (vec!["learn.example.net"], Some(note)));
}
