//! Logins to simulated machines, and the sites that they and their balancers show.

use crate::cloud::Address;
use crate::shell::Shell;
use crate::simulated::SimulatedRegion;
use crate::simulated::faults::FaultKind;
use crate::sites::{SiteAnswer, SiteProbe};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use uuid::Uuid;

impl SimulatedRegion {
    /// The boot id of the machine that answers there, if it shows one of the keys.
    fn log_in(&self, ip: IpAddr, host_keys: &[String]) -> Result<Uuid, PortError> {
        let now = self.clock.now();
        let state = self.lock();
        let nobody = || PortError::transient(format!("nobody answers at {ip}"));
        let key = state.keys_by_ip.get(&ip).ok_or_else(nobody)?;
        let machine = state.machines.get(key).ok_or_else(nobody)?;
        if machine.ssh_at.is_none() {
            self.trouble.strike_once(FaultKind::SshNeverUp, *key);
        }
        if !machine.is_up(now) {
            return Err(nobody());
        }
        if !host_keys.contains(&machine.host_key()) {
            return Err(PortError::permanent(
                ErrorCode::HostKeyMismatch,
                format!("the host key of {ip} is a stranger's"),
            ));
        }
        Ok(machine.boot_id())
    }

    /// What is answered there: by a balancer for whoever it routes to, or by a machine itself.
    fn answer(&self, to: SocketAddr, host: &str) -> Option<SiteAnswer> {
        let balancer = self.lock().balancers.get(&to.ip()).cloned();
        let of_its_own = |status| SiteAnswer { status, ..SiteAnswer::default() };
        let Some(domain) = balancer else { return self.answer_site(to.ip()) };
        let answer = match self.balancers.is_redirected(&domain, host) {
            true => of_its_own(301),
            false => self
                .balancers
                .find_route(&domain, host)
                .and_then(|server| self.answer_site(server.ip()))
                .unwrap_or_else(|| of_its_own(503)),
        };
        Some(SiteAnswer { route: self.balancers.name_route(host), ..answer })
    }

    fn answer_site(&self, ip: IpAddr) -> Option<SiteAnswer> {
        let now = self.clock.now();
        let state = self.lock();
        let machine = state.machines.get(state.keys_by_ip.get(&ip)?)?;
        let site = machine.site.clone().filter(|_| machine.is_up(now))?;
        Some(SiteAnswer {
            status: 200,
            body: "simulated\n".to_owned(),
            appserver: Some(site),
            ..SiteAnswer::default()
        })
    }
}

#[async_trait]
impl Shell for SimulatedRegion {
    async fn run(
        &self,
        address: &Address,
        host_keys: &[String],
        command: &str,
        _input: &[u8],
    ) -> Result<String, PortError> {
        let call = self.act(&format!("{}/{command}", address.ip), "run").await?;
        self.log_in(address.ip, host_keys)?;
        call.end().await?;
        Ok(String::new())
    }

    async fn read_boot_id(
        &self,
        address: &Address,
        host_keys: &[String],
    ) -> Result<String, PortError> {
        self.ask(&address.ip.to_string(), "read_boot_id").await?;
        Ok(self.log_in(address.ip, host_keys)?.to_string())
    }
}

#[async_trait]
impl SiteProbe for SimulatedRegion {
    async fn request_site(
        &self,
        _method: &str,
        to: SocketAddr,
        host: &str,
        _path: &str,
        _timeout: Duration,
    ) -> Result<SiteAnswer, PortError> {
        self.ask(&format!("{to}/{host}"), "request_site").await?;
        let nobody = || PortError::transient(format!("{host} at {to} does not answer"));
        self.answer(to, host).ok_or_else(nobody)
    }
}
