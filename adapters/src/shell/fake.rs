//! Logins to the machines of a fake cloud, which fail as they are told.

use crate::cloud::Address;
use crate::cloud::fake::FakeCloud;
use crate::faults::Faults;
use crate::shell::Shell;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// A [`Shell`] into a [`FakeCloud`]: boot ids change with its reboots, host keys are its own.
#[derive(Debug)]
pub struct FakeShell {
    /// What fails: `run`, `read_boot_id`.
    pub faults: Faults,
    cloud: Arc<FakeCloud>,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    outputs: BTreeMap<String, String>,
    commands: Vec<(IpAddr, String)>,
}

impl FakeShell {
    /// Logs in to this cloud's machines.
    #[must_use]
    pub fn new(cloud: Arc<FakeCloud>) -> Self {
        Self { faults: Faults::default(), cloud, state: Mutex::default() }
    }

    /// A shell like this one is now, into a fork of its cloud.
    #[must_use]
    pub fn fork(&self, cloud: Arc<FakeCloud>) -> Self {
        Self { faults: self.faults.fork(), cloud, state: Mutex::new(self.lock().clone()) }
    }

    /// What a command prints from now on. Others print nothing.
    pub fn set_output(&self, command: &str, output: &str) {
        self.lock().outputs.insert(command.to_owned(), output.to_owned());
    }

    /// The commands that were run, in order, and where.
    pub fn commands(&self) -> Vec<(IpAddr, String)> {
        self.lock().commands.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The boot id of the machine that answers there, if it shows one of the keys.
    fn log_in(&self, address: &Address, host_keys: &[String]) -> Result<Uuid, PortError> {
        let nobody = || PortError::transient(format!("nobody answers at {}", address.ip));
        let (boot_id, own) = self.cloud.find_booted(address.ip).ok_or_else(nobody)?;
        if own.iter().any(|key| host_keys.contains(key)) {
            Ok(boot_id)
        } else {
            Err(PortError::permanent(
                ErrorCode::HostKeyMismatch,
                format!("the host key of {} is a stranger's", address.ip),
            ))
        }
    }
}

#[async_trait]
impl Shell for FakeShell {
    async fn run(
        &self,
        address: &Address,
        host_keys: &[String],
        command: &str,
        _input: &[u8],
    ) -> Result<String, PortError> {
        self.faults.before("run").await?;
        self.log_in(address, host_keys)?;
        let output = {
            let mut state = self.lock();
            state.commands.push((address.ip, command.to_owned()));
            state.outputs.get(command).cloned().unwrap_or_default()
        };
        self.faults.after("run")?;
        Ok(output)
    }

    async fn read_boot_id(
        &self,
        address: &Address,
        host_keys: &[String],
    ) -> Result<String, PortError> {
        self.faults.before("read_boot_id").await?;
        let boot_id = self.log_in(address, host_keys)?;
        self.faults.after("read_boot_id")?;
        Ok(boot_id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{Cloud, MachineSpec};
    use crate::faults::Fault;
    use ocim_domain::port_error::Class;

    #[tokio::test]
    async fn a_reboot_changes_the_boot_id_and_strangers_are_refused() {
        let cloud = Arc::new(FakeCloud::default());
        let shell = FakeShell::new(Arc::clone(&cloud));
        let spec = MachineSpec {
            key: Uuid::from_u128(1),
            name: "one".to_owned(),
            flavor: serde_json::json!({}),
            image: serde_json::json!({}),
            keyname: String::new(),
            security_groups: vec![],
        };
        let id = cloud.create_machine(&spec).await.unwrap().id;
        let machine = cloud.read_machine(&id).await.unwrap().unwrap();
        let (address, keys) = (machine.address.unwrap(), machine.host_keys);
        let before = shell.read_boot_id(&address, &keys).await.unwrap();
        assert_eq!(shell.read_boot_id(&address, &keys).await.unwrap(), before);
        cloud.reboot_machine(&id).await.unwrap();
        assert_ne!(shell.read_boot_id(&address, &keys).await.unwrap(), before);
        let stranger = shell.run(&address, &["ssh-ed25519 OTHER".to_owned()], "true", b"").await;
        assert_eq!(stranger.unwrap_err().class, Class::Permanent);

        shell.set_output("hostname", "one\n");
        shell.faults.fail("run", 3, Fault::After(Class::Ambiguous));
        assert_eq!(shell.run(&address, &keys, "hostname", b"").await.unwrap(), "one\n");
        assert_eq!(
            shell.run(&address, &keys, "reboot", b"").await.unwrap_err().class,
            Class::Ambiguous
        );
        let commands: Vec<_> = shell.commands().into_iter().map(|(_, command)| command).collect();
        assert_eq!(commands, ["hostname", "reboot"]);

        cloud.vanish_machine(&id);
        let gone = shell.read_boot_id(&address, &keys).await.unwrap_err();
        assert_eq!(gone.class, Class::Transient);
    }
}
