//! Which names are an Instance's own: those of its settings, and those that they dropped while they lead
//! to it.

use super::{Present, Stage};
use crate::ledger::{Leaves, ResourceKey};
use crate::name::Kind;
use crate::names::{RoutedNames, machine_domain, reserved_domains};
use crate::resources::ResourceNames;
use crate::settings::{InstanceSettings, SettingsChanges};

impl Present {
    /// Whether it wants a name that is reserved for it. A deleted one wants none, but what its data are
    /// called as long as any may be left: another instance would find them.
    #[must_use]
    pub fn holds(&self, kind: Kind, name: &str) -> bool {
        let is_data = |it: &ResourceKey| it.kind.leaves() == Leaves::WithDeletion;
        let has_data = self.lifecycle.residue.iter().any(is_data);
        if self.lifecycle.stage == Stage::Deleted && (kind == Kind::Domain || !has_data) {
            return false;
        }
        let key = kind.key(name);
        let is_it = |name: &str| kind.key(name) == key;
        match kind {
            Kind::Domain => {
                let mut wanted = reserved_domains(&self.settings).into_iter();
                self.leaving_domains.contains(&key)
                    || wanted.any(|(_, domain)| is_it(&domain))
                    || self.machine_domains().any(|domain| is_it(&domain))
            }
            Kind::Database | Kind::Container | Kind::Bucket | Kind::IamUser => {
                let names = self.resources.iter().flat_map(ResourceNames::reserved);
                names.into_iter().any(|(of, name)| of == kind && is_it(name))
            }
        }
    }

    /// Whether a name is a domain that its settings have dropped and that it has all the same.
    #[must_use]
    pub fn is_leaving(&self, kind: Kind, name: &str) -> bool {
        self.lifecycle.stage != Stage::Deleted
            && kind == Kind::Domain
            && self.leaving_domains.contains(&kind.key(name))
    }

    /// The domains that its settings have dropped and that its balancer serves no more: traffic is
    /// assigned under others. While a run moves it, that may be any that the run has planned with.
    #[must_use]
    pub fn unserved_domains(&self) -> Vec<String> {
        if self.traffic_run.is_some() {
            return vec![];
        }
        let routed = self.routed_names();
        let routed: Vec<_> = routed.hosts().map(|host| Kind::Domain.key(host)).collect();
        self.leaving_domains.iter().filter(|domain| !routed.contains(domain)).cloned().collect()
    }

    /// The domains it wanted up to now, and does not with `settings`.
    #[must_use]
    pub fn dropped_domains(&self, settings: &InstanceSettings) -> Vec<String> {
        let keys = |settings| -> Vec<String> {
            let domains = reserved_domains(settings).into_iter();
            domains.map(|(_, domain)| Kind::Domain.key(&domain)).collect()
        };
        let wanted = keys(settings);
        let mut dropped = keys(&self.settings);
        dropped.retain(|domain| !wanted.contains(domain));
        dropped
    }

    /// The names that its balancer has to know: those under which traffic was assigned, whatever
    /// the settings say since; while nobody serves, those of the settings.
    #[must_use]
    pub fn routed_names(&self) -> RoutedNames {
        match &self.assigned_names {
            Some(names) if !self.active.is_empty() => names.clone(),
            _ => RoutedNames::new(&self.settings),
        }
    }

    /// The hosts that lead to its machines, or once did: as many as it had in traffic at a time.
    pub fn machine_domains(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.active_max).map(|place| machine_domain(&self.settings, place))
    }

    /// The pages that are to be watched from outside: those that visitors get, and none while they get none.
    #[must_use]
    pub fn monitored_urls(&self) -> Vec<String> {
        let is_served = !self.active.is_empty() && self.shows_page();
        if is_served { self.routed_names().pages } else { vec![] }
    }

    /// Every name that is reserved for it.
    #[must_use]
    pub fn reserved_names(&self) -> Vec<(Kind, String)> {
        let wanted = reserved_domains(&self.settings).into_iter().map(|(_, domain)| domain);
        let domains = wanted.chain(self.leaving_domains.iter().cloned());
        let domains = domains.chain(self.machine_domains());
        let others = self.resources.iter().flat_map(ResourceNames::reserved);
        let others = others.map(|(kind, name)| (kind, name.to_owned()));
        domains.map(|domain| (Kind::Domain, domain)).chain(others).collect()
    }
}

/// What the settings drop stays the instance's while a balancer may serve it; without a balancer
/// nothing does.
pub(super) fn change_settings(present: &mut Present, changes: &SettingsChanges) {
    let settings = present.settings.with(changes);
    let dropped = present.dropped_domains(&settings);
    if present.load_balancer.is_some() {
        present.leaving_domains.extend(dropped);
    }
    let wanted: Vec<_> = reserved_domains(&settings);
    let is_wanted = |key: &String| wanted.iter().any(|(_, it)| Kind::Domain.key(it) == *key);
    present.leaving_domains.retain(|domain| !is_wanted(domain));
    present.leaving_domains.sort_unstable();
    present.leaving_domains.dedup();
    present.settings = settings;
}
