//! The cloud of a simulated region, and what all calls into it have in common.

use crate::cloud::{Cloud, FloatingAddress, Machine, MachineSpec, Power, Quota};
use crate::simulated::faults::FaultKind;
use crate::simulated::machine::{machine_key, new_machine};
use crate::simulated::{SimulatedRegion, State};
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use serde_json::Value;
use std::net::IpAddr;
use uuid::Uuid;

/// A call under way: begun by a delay and perhaps a refusal, ended by a reply or its loss.
pub(crate) struct Call<'a> {
    region: &'a SimulatedRegion,
    key: String,
    name: &'static str,
    /// Which call of that name and key it is, from 1.
    pub(crate) nth: u32,
}

impl Call<'_> {
    /// The effect is done: the reply comes, or is lost.
    pub(crate) async fn end(self) -> Result<(), PortError> {
        self.region.crashes.pass(&self.key, self.name).await;
        self.region.trouble.lose_reply(&self.key, self.name, self.nth)
    }
}

impl SimulatedRegion {
    /// Begins a call that is to have an effect; [`Call::end`] belongs to it.
    pub(crate) async fn act(&self, key: &str, name: &'static str) -> Result<Call<'_>, PortError> {
        self.crashes.pass(key, name).await;
        let nth = self.ask(key, name).await?;
        Ok(Call { region: self, key: key.to_owned(), name, nth })
    }

    /// A call that only asks: which one of that name and key it is.
    pub(crate) async fn ask(&self, key: &str, name: &'static str) -> Result<u32, PortError> {
        let nth = self.trouble.count_call(key, name);
        let delay = self.dice.span(0, 2, key, name, nth);
        tokio::time::sleep(self.scaled(delay)).await;
        self.trouble.refuse(key, name, nth)?;
        Ok(nth)
    }

    /// A moment of the simulated world some time from now.
    pub(crate) fn later(&self, least: u64, most: u64, key: Uuid, question: &str) -> Timestamp {
        let span = self.dice.span(least, most, &key.to_string(), question, 0);
        self.clock.now() + self.scaled(span)
    }

    /// Makes the machine, or finds it; its future is decided here.
    fn make(&self, spec: &MachineSpec, nth: u32) -> Result<Machine, PortError> {
        let now = self.clock.now();
        let mut state = self.lock();
        let earlier = state.machines.get(&spec.key);
        if let Some(machine) = earlier.and_then(|machine| machine.report(now)) {
            return Ok(machine);
        }
        let created = earlier.map_or(0, |machine| machine.created) + 1;
        let key = spec.key;
        let fate = self.trouble.fate(key);
        if fate == Some(FaultKind::QuotaExceeded)
            && nth <= self.dice.number(1, 8, &key.to_string(), "quota")
        {
            self.trouble.strike(FaultKind::QuotaExceeded);
            return Err(PortError::new(Class::Conflict, "the quota of instances is used up"));
        }
        let mut machine = new_machine(spec, now);
        machine.created = created;
        machine.active_at = match fate {
            // Some of these take longer than anybody waits.
            Some(FaultKind::SlowBoot) => self.later(900, 4500, key, "slow boot"),
            _ => self.later(15, 120, key, "boot"),
        };
        let ssh_after = self.scaled(self.dice.span(5, 60, &key.to_string(), "ssh", 0));
        machine.ssh_at =
            (fate != Some(FaultKind::SshNeverUp)).then(|| machine.active_at + ssh_after);
        match fate {
            Some(FaultKind::NoValidHost) => {
                let fails_at = self.later(1, 15, key, "no valid host");
                machine.fails_at = Some((fails_at, "No valid host was found."));
            }
            Some(FaultKind::MachineError) => {
                let fails_at = self.later(10, 7200, key, "error");
                machine.fails_at = Some((fails_at, "the hypervisor has failed"));
            }
            Some(FaultKind::MachineVanished) => {
                machine.vanishes_at = Some(self.later(10, 7200, key, "vanish"));
            }
            Some(FaultKind::SlowBoot) => self.trouble.strike(FaultKind::SlowBoot),
            _ => {}
        }
        state.keys_by_ip.insert(machine.ip, key);
        let report = machine.report(now);
        state.machines.insert(key, machine);
        report.ok_or_else(|| PortError::transient("the machine was gone at once"))
    }

    /// What the cloud says of a machine.
    fn report(&self, key: Uuid) -> Option<Machine> {
        let now = self.clock.now();
        let state = self.lock();
        let machine = state.machines.get(&key)?;
        let report = machine.report(now);
        match &report {
            None if machine.deleted_at.is_none() => {
                self.trouble.strike_once(FaultKind::MachineVanished, key);
            }
            Some(seen) if seen.power == Power::Error => {
                let fate = self.trouble.fate(key).unwrap_or(FaultKind::MachineError);
                self.trouble.strike_once(fate, key);
            }
            _ => {}
        }
        report
    }

    fn delete(&self, key: Uuid, nth: u32) -> Result<(), PortError> {
        if nth <= self.trouble.refused_deletions(key) {
            self.trouble.strike(FaultKind::UndoFailed);
            return Err(PortError::transient("500 Internal Server Error: it could not be deleted"));
        }
        let gone_at = self.later(1, 20, key, "delete");
        if let Some(machine) = self.lock().machines.get_mut(&key) {
            machine.deleted_at = machine.deleted_at.or(Some(gone_at));
        }
        Ok(())
    }
}

/// What an id stands for, or an answer that no machine has such an id.
fn key_of(id: &str) -> Result<Uuid, PortError> {
    machine_key(id).ok_or_else(|| {
        PortError::permanent(ErrorCode::MachineVanished, format!("there is no machine {id}"))
    })
}

#[async_trait]
impl Cloud for SimulatedRegion {
    fn lacks_security_groups(&self) -> Option<&'static str> {
        None
    }

    async fn ensure_security_groups(&self, names: &[String]) -> Result<(), PortError> {
        let call = self.act(&names.join(","), "ensure_security_groups").await?;
        self.lock().security_groups.extend(names.iter().cloned());
        call.end().await
    }

    async fn find_security_groups(&self, names: &[String]) -> Result<bool, PortError> {
        self.act(&names.join(","), "find_security_groups").await?.end().await?;
        let state = self.lock();
        Ok(names.iter().all(|name| state.security_groups.contains(name)))
    }

    /// It offers whatever is wanted.
    async fn check_selectors(&self, _: &Value, _: &Value) -> Result<(), PortError> {
        Ok(())
    }

    /// Its quotas are used up by fate, which nobody foresees.
    async fn read_quotas(&self, _: &Value) -> Result<Vec<Quota>, PortError> {
        Ok(vec![])
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError> {
        let call = self.act(&spec.key.to_string(), "create_machine").await?;
        let machine = self.make(spec, call.nth)?;
        call.end().await?;
        Ok(machine)
    }

    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError> {
        self.ask(&key.to_string(), "find_machine").await?;
        Ok(self.report(key))
    }

    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError> {
        self.ask(id, "read_machine").await?;
        Ok(machine_key(id).and_then(|key| self.report(key)))
    }

    async fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        let call = self.act(id, "reboot_machine").await?;
        let key = key_of(id)?;
        let back_at = self.later(10, 60, key, "reboot");
        let now = self.clock.now();
        {
            let State { machines, .. } = &mut *self.lock();
            let machine = machines.get_mut(&key).filter(|machine| machine.exists(now));
            let absent = || {
                PortError::permanent(
                    ErrorCode::MachineVanished,
                    format!("there is no machine {id}"),
                )
            };
            let machine = machine.ok_or_else(absent)?;
            machine.boots += 1;
            machine.back_at = back_at;
        }
        call.end().await
    }

    async fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        let call = self.act(id, "delete_machine").await?;
        self.delete(key_of(id)?, call.nth)?;
        call.end().await
    }

    async fn read_console(&self, id: &str) -> Result<String, PortError> {
        self.ask(id, "read_console").await?;
        let key = key_of(id)?;
        let absent = || {
            PortError::permanent(ErrorCode::MachineVanished, format!("there is no machine {id}"))
        };
        self.report(key).ok_or_else(absent)?;
        let state = self.lock();
        let machine = state.machines.get(&key).ok_or_else(absent)?;
        Ok(format!("{} booted {} times\n", machine.name, machine.boots))
    }

    async fn list_floating_addresses(&self) -> Result<Vec<FloatingAddress>, PortError> {
        Ok(vec![])
    }

    async fn release_floating_address(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        self.ask("", "list_machines").await?;
        let now = self.clock.now();
        Ok(self.lock().machines.values().filter_map(|machine| machine.report(now)).collect())
    }

    fn is_reachable_from(&self, balancer: IpAddr) -> bool {
        crate::cloud::is_simulated(balancer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::Nature;
    use crate::simulated::machine::machine_id;
    use crate::system::FixedClock;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    fn spec(key: u128) -> MachineSpec {
        MachineSpec {
            key: Uuid::from_u128(key),
            name: "edxapp-alpha-1".to_owned(),
            flavor: serde_json::json!({}),
            image: serde_json::json!({}),
            keyname: String::new(),
            security_groups: vec![],
        }
    }

    fn region(faults: f64) -> (SimulatedRegion, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH));
        let nature = Nature { seed: 1, faults, speed: 1.0 };
        (SimulatedRegion::new(nature, clock.clone()), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_takes_its_time_to_come_and_to_go() {
        let (region, clock) = region(0.0);
        let id = region.create_machine(&spec(1)).await.unwrap().id;
        assert_eq!(id, machine_id(spec(1).key));
        assert_eq!(region.read_machine(&id).await.unwrap().unwrap().power, Power::Building);
        clock.advance(Duration::from_secs(200));
        let machine = region.create_machine(&spec(1)).await.unwrap();
        assert_eq!((machine.power, region.count_created(spec(1).key)), (Power::Active, 1));
        assert!(machine.address.is_some_and(|address| region.is_reachable_from(address.ip)));
        region.delete_machine(&id).await.unwrap();
        assert!(region.read_machine(&id).await.unwrap().is_some());
        clock.advance(Duration::from_secs(30));
        assert!(region.read_machine(&id).await.unwrap().is_none());
        assert!(region.faults().is_empty() && region.list_machines().await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn thousands_of_machines_are_told_apart_and_the_order_of_calls_decides_nothing() {
        let keys: Vec<u128> = (1..=3_000).collect();
        let mut worlds = vec![];
        for order in [keys.clone(), keys.into_iter().rev().collect()] {
            let (region, clock) = region(0.5);
            let mut outcomes = vec![];
            for key in order {
                let made = region.create_machine(&spec(key)).await;
                outcomes.push((key, made.map_err(|error| error.class)));
            }
            outcomes.sort_by_key(|(key, _)| *key);
            clock.advance(Duration::from_secs(10_000));
            let keys: Vec<_> = region.existing_keys();
            worlds.push((outcomes, keys, region.faults()));
        }
        assert_eq!(worlds[0], worlds[1]);
        let ids: BTreeSet<_> = worlds[0]
            .0
            .iter()
            .filter_map(|(_, made)| Some(made.as_ref().ok()?.id.clone()))
            .collect();
        assert!(ids.len() > 2_000, "{}", ids.len());
    }
}
