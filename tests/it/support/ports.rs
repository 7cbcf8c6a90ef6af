//! Ports for the servers that tests start.
//!
//! A port that the system gives is free for a moment only: a connection that somebody makes may have it before
//! the server does. These lie below those that connections get, and each is given once.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// The first one; a private OpenStack takes its own from 21,000 on, and connections get theirs from 32,768 on.
const FIRST: u32 = 12_000;
const COUNT: u32 = 8_000;

static GIVEN: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on, and that no other test is given.
pub(crate) fn take_port() -> u16 {
    // Programs of tests that run beside each other begin elsewhere.
    let start = std::process::id().wrapping_mul(631);
    (0..COUNT)
        .map(|_| start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|place| u16::try_from(FIRST + place).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port that nobody listens on")
}
