//! A cloud in memory, which fails as it is told and counts what it did.

use crate::cloud::selector::select;
use crate::cloud::{
    Address, Cloud, FloatingAddress, Machine, MachineSpec, Power, Quota, is_simulated,
};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// A [`Cloud`] in memory. Ids, addresses, host keys and boot ids count up, so runs repeat exactly.
#[derive(Debug, Default)]
pub struct FakeCloud {
    /// What fails; operations are named like the port's methods.
    pub faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    machines: BTreeMap<String, FakeMachine>,
    created: BTreeMap<Uuid, u32>,
    boot_reads: u32,
    quota: Option<usize>,
    boot_fault: Option<String>,
    is_blind: bool,
    made: u8,
    hidden: BTreeSet<String>,
    obscured: BTreeSet<String>,
    security_groups: BTreeSet<String>,
    lent: BTreeMap<String, FloatingAddress>,
    /// Flavors and images; whatever is wanted where nobody said.
    offers: Option<(Vec<Value>, Vec<Value>)>,
}

#[derive(Debug, Clone)]
struct FakeMachine {
    machine: Machine,
    number: u8,
    boots: u32,
    /// How many more reads find it building.
    boot_reads: u32,
}

impl FakeMachine {
    /// The machine as a read finds it; each read brings its boot forward.
    fn read(&mut self) -> Machine {
        if self.machine.power == Power::Building {
            match self.boot_reads {
                0 => self.boot(),
                _ => self.boot_reads -= 1,
            }
        }
        self.machine.clone()
    }

    fn boot(&mut self) {
        self.boots += 1;
        self.machine.power = Power::Active;
        self.machine.host_keys = vec![format!("ssh-ed25519 FAKE{}", self.number)];
        self.machine.address = Some(Address {
            ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, self.number)),
            ssh_port: 22,
            http_port: 80,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: true,
        });
    }
}

impl FakeCloud {
    /// A cloud like this one is now, which goes its own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), state: Mutex::new(self.lock().clone()) }
    }

    /// Machines made from now on are found building by this many reads before they are active.
    pub fn set_boot_reads(&self, reads: u32) {
        self.lock().boot_reads = reads;
    }

    /// At most this many machines; one more is a [`Class::Conflict`].
    pub fn set_quota(&self, machines: usize) {
        self.lock().quota = Some(machines);
    }

    /// The flavors and images that there are from now on.
    pub fn set_offers(&self, flavors: Vec<Value>, images: Vec<Value>) {
        self.lock().offers = Some((flavors, images));
    }

    /// Machines made from now on end in [`Power::Error`] with this text; `None` ends that.
    pub fn set_boot_fault(&self, fault: Option<&str>) {
        self.lock().boot_fault = fault.map(str::to_owned);
    }

    /// Whether requests for machines pass each other by, as those that race may: none finds what
    /// another one with its key has made.
    pub fn set_blind(&self, is_blind: bool) {
        self.lock().is_blind = is_blind;
    }

    /// Lends a floating address, as for a machine.
    pub fn lend(&self, address: FloatingAddress) {
        self.lock().lent.insert(address.id.clone(), address);
    }

    /// Breaks a machine that exists.
    pub fn break_machine(&self, id: &str, fault: &str) {
        if let Some(fake) = self.lock().machines.get_mut(id) {
            fake.machine.power = Power::Error;
            fake.machine.fault = Some(fault.to_owned());
        }
    }

    /// Removes a machine behind Ocim's back.
    pub fn vanish_machine(&self, id: &str) {
        self.lock().machines.remove(id);
    }

    /// Leaves a machine out of the list, as if it had vanished, or lists it again.
    pub fn hide_machine(&self, id: &str, is_hidden: bool) {
        let mut state = self.lock();
        if is_hidden {
            state.hidden.insert(id.to_owned());
        } else {
            state.hidden.remove(id);
        }
    }

    /// Lists a machine as one of which nothing is known, or as it is.
    pub fn obscure_machine(&self, id: &str, is_obscured: bool) {
        let mut state = self.lock();
        if is_obscured {
            state.obscured.insert(id.to_owned());
        } else {
            state.obscured.remove(id);
        }
    }

    /// How many machines were ever made with this key: one, if all goes well.
    pub fn count_created(&self, key: Uuid) -> u32 {
        self.lock().created.get(&key).copied().unwrap_or_default()
    }

    /// What exists, in the order of creation; looking does not bring boots forward.
    pub fn machines(&self) -> Vec<Machine> {
        self.lock().machines.values().map(|fake| fake.machine.clone()).collect()
    }

    /// The boot id of the machine that is up at this address, with its host keys.
    pub(crate) fn find_booted(&self, ip: IpAddr) -> Option<(Uuid, Vec<String>)> {
        let state = self.lock();
        let is_here = |fake: &&FakeMachine| {
            fake.machine.power == Power::Active
                && fake.machine.address.as_ref().is_some_and(|address| address.ip == ip)
        };
        let fake = state.machines.values().find(is_here)?;
        let boot = Uuid::from_u128(u128::from(fake.number) << 64 | u128::from(fake.boots));
        Some((boot, fake.machine.host_keys.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `effect` between the faults ordered before and after it.
    async fn perform<T: Send>(
        &self,
        operation: &str,
        effect: impl FnOnce(&mut State) -> Result<T, PortError> + Send,
    ) -> Result<T, PortError> {
        self.faults.before(operation).await?;
        let result = effect(&mut self.lock())?;
        self.faults.after(operation)?;
        Ok(result)
    }
}

impl State {
    fn create(&mut self, spec: &MachineSpec) -> Result<Machine, PortError> {
        if !self.is_blind
            && let Some(fake) = self.by_key(spec.key)
        {
            return Ok(fake.read());
        }
        if self.quota.is_some_and(|quota| self.machines.len() >= quota) {
            return Err(PortError::new(Class::Conflict, "the quota of machines is used up"));
        }
        self.made += 1;
        *self.created.entry(spec.key).or_default() += 1;
        let id = format!("fake-{:03}", self.made);
        let power = if self.boot_fault.is_some() { Power::Error } else { Power::Building };
        let machine = Machine {
            id: id.clone(),
            key: Some(spec.key),
            name: spec.name.clone(),
            power,
            fault: self.boot_fault.clone(),
            address: None,
            host_keys: vec![],
            made_at: None,
        };
        let fake = FakeMachine {
            machine: machine.clone(),
            number: self.made,
            boots: 0,
            boot_reads: self.boot_reads,
        };
        self.machines.insert(id, fake);
        Ok(machine)
    }

    fn by_key(&mut self, key: Uuid) -> Option<&mut FakeMachine> {
        self.machines.values_mut().find(|fake| fake.machine.key == Some(key))
    }

    fn by_id(&mut self, id: &str) -> Result<&mut FakeMachine, PortError> {
        let absent = || {
            PortError::permanent(ErrorCode::MachineVanished, format!("there is no machine {id}"))
        };
        self.machines.get_mut(id).ok_or_else(absent)
    }
}

#[async_trait]
impl Cloud for FakeCloud {
    fn lacks_security_groups(&self) -> Option<&'static str> {
        None
    }

    fn is_reachable_from(&self, balancer: IpAddr) -> bool {
        !is_simulated(balancer)
    }

    async fn ensure_security_groups(&self, names: &[String]) -> Result<(), PortError> {
        self.perform("ensure_security_groups", |state| {
            state.security_groups.extend(names.iter().cloned());
            Ok(())
        })
        .await
    }

    async fn find_security_groups(&self, names: &[String]) -> Result<bool, PortError> {
        self.perform("find_security_groups", |state| {
            Ok(names.iter().all(|name| state.security_groups.contains(name)))
        })
        .await
    }

    async fn check_selectors(&self, flavor: &Value, image: &Value) -> Result<(), PortError> {
        self.perform("check_selectors", |state| {
            let Some((flavors, images)) = &state.offers else { return Ok(()) };
            select("flavor", flavor, flavors)?;
            select("image", image, images)?;
            Ok(())
        })
        .await
    }

    async fn read_quotas(&self, _: &Value) -> Result<Vec<Quota>, PortError> {
        self.perform("read_quotas", |state| {
            let used = state.machines.len() as u64;
            let limit = state.quota.map(|quota| quota as u64);
            Ok(vec![Quota { of: "instances".to_owned(), used, limit, needed: 1 }])
        })
        .await
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError> {
        self.perform("create_machine", |state| state.create(spec)).await
    }

    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError> {
        self.perform("find_machine", |state| Ok(state.by_key(key).map(FakeMachine::read))).await
    }

    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError> {
        self.perform("read_machine", |state| Ok(state.machines.get_mut(id).map(FakeMachine::read)))
            .await
    }

    async fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        self.perform("reboot_machine", |state| {
            let fake = state.by_id(id)?;
            if fake.machine.power == Power::Error {
                return Err(PortError::permanent(
                    ErrorCode::MachineFailed,
                    format!("machine {id} has failed"),
                ));
            }
            fake.boot();
            Ok(())
        })
        .await
    }

    async fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        self.perform("delete_machine", |state| {
            state.machines.remove(id);
            Ok(())
        })
        .await
    }

    async fn read_console(&self, id: &str) -> Result<String, PortError> {
        self.perform("read_console", |state| {
            let fake = state.by_id(id)?;
            Ok(format!("{} booted {} times\n", fake.machine.name, fake.boots))
        })
        .await
    }

    async fn list_floating_addresses(&self) -> Result<Vec<FloatingAddress>, PortError> {
        self.perform("list_floating_addresses", |state| Ok(state.lent.values().cloned().collect()))
            .await
    }

    async fn release_floating_address(&self, id: &str) -> Result<(), PortError> {
        self.perform("release_floating_address", |state| {
            state.lent.remove(id);
            Ok(())
        })
        .await
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        self.perform("list_machines", |state| {
            let State { machines, hidden, obscured, .. } = state;
            let listed = machines.values_mut().filter(|fake| !hidden.contains(&fake.machine.id));
            let show = |machine: Machine| match obscured.contains(&machine.id) {
                true => Machine {
                    power: Power::Unknown,
                    fault: Some("its record can't be read".to_owned()),
                    address: None,
                    host_keys: vec![],
                    ..machine
                },
                false => machine,
            };
            Ok(listed.map(|fake| show(fake.read())).collect())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;

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

    #[tokio::test]
    async fn a_lost_reply_leaves_one_machine_to_be_found() {
        let cloud = FakeCloud::default();
        cloud.faults.fail("create_machine", 1, Fault::After(Class::Ambiguous));
        let lost = cloud.create_machine(&spec(1)).await.unwrap_err();
        assert_eq!((lost.class, cloud.machines().len()), (Class::Ambiguous, 1));
        let found = cloud.create_machine(&spec(1)).await.unwrap();
        assert_eq!(found.power, Power::Active);
        assert_eq!(cloud.count_created(spec(1).key), 1);
        cloud.faults.fail("create_machine", 3, Fault::Before(Class::Transient));
        assert!(cloud.create_machine(&spec(2)).await.is_err());
        assert_eq!((cloud.machines().len(), cloud.count_created(spec(2).key)), (1, 0));
    }

    #[tokio::test]
    async fn a_slow_boot_takes_as_many_reads_as_told() {
        let cloud = FakeCloud::default();
        cloud.set_boot_reads(2);
        let id = cloud.create_machine(&spec(1)).await.unwrap().id;
        let mut seen = vec![];
        for _ in 0..3 {
            let machine = cloud.read_machine(&id).await.unwrap().unwrap();
            seen.push((machine.power, machine.host_keys.len()));
        }
        assert_eq!(seen, [(Power::Building, 0), (Power::Building, 0), (Power::Active, 1)]);
    }

    #[tokio::test]
    async fn quota_faults_and_vanishing_are_seen() {
        let cloud = FakeCloud::default();
        cloud.set_quota(1);
        let id = cloud.create_machine(&spec(1)).await.unwrap().id;
        assert_eq!(cloud.create_machine(&spec(2)).await.unwrap_err().class, Class::Conflict);
        cloud.break_machine(&id, "burnt down");
        let machine = cloud.read_machine(&id).await.unwrap().unwrap();
        assert_eq!((machine.power, machine.fault.as_deref()), (Power::Error, Some("burnt down")));
        assert!(cloud.reboot_machine(&id).await.is_err());
        cloud.vanish_machine(&id);
        assert_eq!(cloud.read_machine(&id).await.unwrap(), None);
        cloud.delete_machine(&id).await.unwrap();
        cloud.set_boot_fault(Some("No valid host was found."));
        assert_eq!(cloud.create_machine(&spec(3)).await.unwrap().power, Power::Error);
    }
}
