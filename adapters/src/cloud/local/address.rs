//! Chooses each machine's own loopback address and ports, by trying to listen there.

use sha2::{Digest, Sha256};
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

/// How many addresses are tried for one machine.
const ATTEMPTS_MAX: u32 = 100;

/// Ports in order of preference; 0 is any free one.
const SSH_PORTS: [u16; 3] = [22, 2222, 0];
const HTTP_PORTS: [u16; 3] = [80, 8080, 0];

/// Where a new machine shall listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ip: IpAddr,
    pub(super) ssh_port: u16,
    pub(super) http_port: u16,
}

/// A free loopback address with two free ports. The seed is unique to the machine, so that two
/// clouds that choose at the same moment choose differently.
///
/// # Errors
/// The last address's error, when none can be listened on.
pub(super) fn choose_place(seed: &str, is_taken: impl Fn(IpAddr) -> bool) -> io::Result<Place> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for attempt in 0..ATTEMPTS_MAX {
        let ip = IpAddr::V4(candidate(seed, attempt));
        if is_taken(ip) {
            continue;
        }
        // Both are held until both are chosen: they must differ.
        let chosen = listen(ip, &SSH_PORTS).and_then(|ssh| Ok((ssh, listen(ip, &HTTP_PORTS)?)));
        match chosen.and_then(|(ssh, http)| Ok((ssh.local_addr()?, http.local_addr()?))) {
            Ok((ssh, http)) => {
                return Ok(Place { ip, ssh_port: ssh.port(), http_port: http.port() });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// 127.x.y.z by hash. 127.0 is everybody's; 127.77 and 127.78 are common for networks of tests.
fn candidate(seed: &str, attempt: u32) -> Ipv4Addr {
    let hash = Sha256::digest(format!("{seed} {attempt}"));
    let network = match 1 + hash[0] % 253 {
        77 => 76,
        78 => 79,
        other => other,
    };
    Ipv4Addr::new(127, network, hash[1], 1 + hash[2] % 254)
}

fn listen(ip: IpAddr, ports: &[u16]) -> io::Result<TcpListener> {
    let addresses: Vec<_> = ports.iter().map(|port| (ip, *port).into()).collect();
    TcpListener::bind(addresses.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_stay_out_of_other_peoples_networks() {
        for attempt in 0..10_000 {
            let [first, network, _, host] = candidate("seed", attempt).octets();
            assert_eq!(first, 127);
            assert!(![0, 77, 78, 255].contains(&network), "127.{network}");
            assert!((1..=254).contains(&host));
        }
        assert_ne!(candidate("one", 0), candidate("two", 0));
    }

    #[test]
    fn a_port_that_is_taken_is_replaced() {
        let first = choose_place("seed", |_| false).unwrap();
        let _occupied = TcpListener::bind((first.ip, first.ssh_port)).unwrap();
        let second = choose_place("seed", |_| false).unwrap();
        assert_eq!(second.ip, first.ip);
        assert_ne!(second.ssh_port, first.ssh_port);
        assert_ne!(second.ssh_port, second.http_port);
    }

    #[test]
    fn an_address_that_is_taken_is_passed_over() {
        let first = choose_place("seed", |_| false).unwrap();
        assert_ne!(choose_place("seed", |ip| ip == first.ip).unwrap().ip, first.ip);
        assert!(choose_place("seed", |_| true).is_err());
    }
}
