//! Whether an instance's ledger says what its providers really have.

use super::stage::{BALANCER, Stage};
use ocim_domain::ledger::{Entry, Kind, Sight};
use std::collections::BTreeSet;

/// What a provider has, as a ledger knows it: its kind, and what its provider calls it.
type Thing = (Kind, String);

/// All that the ledger says is there, is; all that is there of the instance, the ledger has.
pub(crate) async fn assert_ledger_is_true(stage: &Stage, cell: &str) {
    let entries = stage.app().ledger_of(stage.instance).await.unwrap();
    let held = held(stage);
    let known: BTreeSet<_> = entries.iter().filter_map(thing_of).collect();
    let present = entries.iter().filter(|entry| entry.sight == Sight::Present);
    let present: BTreeSet<_> = present.filter_map(thing_of).collect();
    let missing: Vec<_> = present.difference(&held).collect();
    assert!(missing.is_empty(), "{cell}: said to be there, and not: {missing:?}");
    // Some machines and fragments are nobody's, or a balancer's.
    let is_the_instances = |kind: Kind| !matches!(kind, Kind::Machine | Kind::Fragment);
    let unknown = held.difference(&known).filter(|(kind, _)| is_the_instances(*kind));
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.is_empty(), "{cell}: there, and in no ledger: {unknown:?}");
}

fn thing_of(entry: &Entry) -> Option<Thing> {
    let kind = entry.resource.id.kind;
    Some(match kind {
        // All machines of a region have these.
        Kind::SecurityGroups => return None,
        Kind::Machine => (kind, entry.provider_id.clone()?),
        Kind::Fragment | Kind::DnsName | Kind::Monitor => (kind, entry.resource.id.key.clone()),
        _ => (kind, entry.resource.name.clone()),
    })
}

fn held(stage: &Stage) -> BTreeSet<Thing> {
    let machines = stage.cloud.machines().into_iter().map(|it| (Kind::Machine, it.id));
    let fragments = stage.balancer.fragments(BALANCER).into_keys().map(|it| (Kind::Fragment, it));
    let names = stage.dns.aliases().into_keys().chain(stage.dns.addresses().into_keys());
    let names = names.map(|name| (Kind::DnsName, name));
    let monitors = stage.monitoring.monitors().into_values().map(|it| (Kind::Monitor, it.url));
    let provisioned = stage.servers.held().into_keys().map(|(_, id)| (id.kind, id.name));
    machines.chain(fragments).chain(names).chain(monitors).chain(provisioned).collect()
}
