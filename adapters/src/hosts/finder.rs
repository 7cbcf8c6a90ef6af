//! Finds hosts by the system's resolver and `ssh-keyscan`. Port: [`super::Hosts`].

use crate::hosts::Hosts;
use crate::program::Program;
use async_trait::async_trait;
use ocim_domain::error_chain::chain;
use ocim_domain::port_error::PortError;
use ocim_domain::text::decode_output;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest wait for the resolver, and again for the host's keys.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Lookups at a time, whoever asks for them: each keeps one of the threads that the whole process shares.
static LOOKUPS: Semaphore = Semaphore::const_new(8);

/// The real [`Hosts`].
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFinder;

#[async_trait]
impl Hosts for HostFinder {
    async fn find_addresses(&self, domain: &str) -> Result<Vec<IpAddr>, PortError> {
        let away = |why: String| PortError::transient(format!("{domain} is not found: {why}"));
        let host = (domain.to_owned(), 22);
        let lookup = async move {
            let found = tokio::net::lookup_host(host).await?;
            Ok::<Vec<SocketAddr>, std::io::Error>(found.collect())
        };
        let found = find_in_time(&LOOKUPS, lookup).await;
        let found = found.ok_or_else(|| away("the resolver does not answer".to_owned()))?;
        let found = match found {
            Ok(found) => found,
            Err(error) if says_absent(&error.to_string()) => return Ok(vec![]),
            Err(error) => return Err(away(error.to_string())),
        };
        let mut found: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
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

/// What a lookup finds in time. One that takes longer can't be ended: it goes on, and keeps its permit.
async fn find_in_time<T: Send + 'static>(
    permits: &'static Semaphore,
    lookup: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let found = async move {
        let permit = permits.acquire().await.ok()?;
        let task = tokio::spawn(async move {
            let found = lookup.await;
            drop(permit);
            found
        });
        task.await.ok()
    };
    tokio::time::timeout(TIMEOUT, found).await.ok().flatten()
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

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_nobody_waits_for_keeps_its_permit_until_it_ends() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let slow = tokio::time::sleep(TIMEOUT * 3 / 2);
        assert_eq!(find_in_time(&ONE, slow).await, None);
        assert_eq!(ONE.available_permits(), 0, "it is still under way");
        assert_eq!(find_in_time(&ONE, async { 1 }).await, Some(1), "once it has ended");
        assert_eq!(ONE.available_permits(), 1);
    }

    #[test]
    fn keys_are_read_without_their_hosts() {
        let output =
            "# 192.0.2.1:22 SSH-2.0\n192.0.2.1 ssh-rsa BBBB\n[192.0.2.1]:2 ssh-ed25519 AAAA\n";
        assert_eq!(read_keys(output), ["ssh-ed25519 AAAA", "ssh-rsa BBBB"]);
        assert!(read_keys("nonsense\n\n").is_empty());
    }
}
