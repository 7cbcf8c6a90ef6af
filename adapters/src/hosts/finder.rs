//! Finds hosts by the system's resolver and `ssh-keyscan`. Port: [`super::Hosts`].

use crate::hosts::Hosts;
use crate::program::Program;
use async_trait::async_trait;
use ocim_domain::error_chain::chain;
use ocim_domain::port_error::PortError;
use ocim_domain::text::decode_output;
use std::net::IpAddr;
use std::time::Duration;

/// Longest wait for the resolver, and again for the host's keys.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The real [`Hosts`].
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFinder;

#[async_trait]
impl Hosts for HostFinder {
    async fn find_addresses(&self, domain: &str) -> Result<Vec<IpAddr>, PortError> {
        let away = |why: String| PortError::transient(format!("{domain} is not found: {why}"));
        let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((domain, 22))).await;
        let found = found.map_err(|_| away("the resolver does not answer".to_owned()))?;
        let found = match found {
            Ok(found) => found,
            Err(error) if says_absent(&error.to_string()) => return Ok(vec![]),
            Err(error) => return Err(away(error.to_string())),
        };
        let mut found: Vec<IpAddr> = found.map(|at| at.ip()).collect();
        found.sort_by_key(IpAddr::is_ipv6);
        found.dedup();
        Ok(found)
    }

    async fn read_host_keys(&self, ip: IpAddr, ssh_port: u16) -> Result<Vec<String>, PortError> {
        let mut scan = Program::new("ssh-keyscan").of_package("openssh-client");
        scan.args(["-T", "10", "-p", &ssh_port.to_string(), &ip.to_string()]);
        let failed = |why: String| PortError::transient(format!("no SSH host key of {ip}: {why}"));
        let output = scan.run_to_end(TIMEOUT).await.map_err(|error| failed(chain(&error)))?;
        let keys = read_keys(&decode_output(&output.stdout));
        if keys.is_empty() { Err(failed("nobody answers".to_owned())) } else { Ok(keys) }
    }
}

/// Whether the resolver knows that there is no such name, or that it has no address: its codes come as text
/// alone.
fn says_absent(error: &str) -> bool {
    ["Name or service not known", "No address associated with hostname"]
        .iter()
        .any(|text| error.contains(text))
}

/// `host type key` lines without the host; comments fall away.
fn read_keys(output: &str) -> Vec<String> {
    let lines = output.lines().filter(|line| !line.starts_with('#'));
    let keys = lines.filter_map(|line| line.split_once(' ')).map(|(_, key)| key.trim().to_owned());
    let mut keys: Vec<String> = keys.filter(|key| key.contains(' ')).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_without_their_hosts() {
        let output =
            "# 192.0.2.1:22 SSH-2.0\n192.0.2.1 ssh-rsa BBBB\n[192.0.2.1]:2 ssh-ed25519 AAAA\n";
        assert_eq!(read_keys(output), ["ssh-ed25519 AAAA", "ssh-rsa BBBB"]);
        assert!(read_keys("nonsense\n\n").is_empty());
    }
}
