//! What one change of a balancer with a thousand sites takes, and fifty at once: a real HAProxy, by SSH.
//!
//! Seconds from the call to the moment at which HAProxy serves the change; beside them stands what
//! `haproxy -c` alone takes for the same configuration. With `--gate` the process fails when the goal is
//! missed.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails should panic")]

#[allow(dead_code, unreachable_pub, reason = "it belongs to the tests, which need more of it")]
#[path = "../../tests/it/private_sshd.rs"]
mod private_sshd;
/// What that needs of the tests.
#[path = "../../tests/it/support"]
mod support {
    pub(crate) mod ports;
}

use futures_util::future::join_all;
use ocim_adapters::balancer::haproxy::HaproxyLoadBalancer;
use ocim_adapters::balancer::{Fragment, LoadBalancer};
use private_sshd::PrivateSshd;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

/// Sites that the balancer has.
const SITES: usize = 1_000;
/// Changes that are measured, one after the other.
const CHANGES: usize = 9;
/// Changes that come at once.
const TOGETHER: usize = 50;
/// The longest that one change may take, in seconds.
const GOAL_S: f64 = 2.0;
/// The most reloads for those that come at once.
const RELOADS_MAX: usize = 3;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let machine = Arc::new(PrivateSshd::start());
    let host = machine.as_balancer();
    let balancer = HaproxyLoadBalancer::new(machine.playbooks(), machine.clone());
    balancer.prepare_balancer(&host).await.unwrap();
    let apply = async |fragment: Fragment| {
        balancer.apply_fragment(&host, &fragment).await.unwrap();
    };
    join_all((0..SITES).map(|number| apply(fragment(number, 0)))).await;

    let mut seconds = vec![];
    for change in 1..=CHANGES {
        let begun = Instant::now();
        apply(fragment(change, change)).await;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[CHANGES / 2];
    let check = time_check(&machine);
    println!("{median:.2} s  one change at {SITES} sites (goal {GOAL_S})");
    println!("{check:.2} s  `haproxy -c` alone, ratio {:.1}", median / check);

    let (before, begun) = (count_reloads(&machine), Instant::now());
    join_all((0..TOGETHER).map(|number| apply(fragment(number, CHANGES + 1)))).await;
    let reloads = count_reloads(&machine) - before;
    let together = begun.elapsed().as_secs_f64();
    println!("{together:.2} s  {TOGETHER} changes at once, {reloads} reloads (goal {RELOADS_MAX})");
    let is_gate = std::env::args().any(|argument| argument == "--gate");
    let is_met = median <= GOAL_S && reloads <= RELOADS_MAX;
    if is_gate && !is_met { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One site's part, with five names; another one for each `edition`.
fn fragment(number: usize, edition: usize) -> Fragment {
    let names = ["", "preview.", "studio.", "discovery.", "ecommerce."];
    let map = names.map(|prefix| format!("{prefix}site{number}.example.com be-{number}\n"));
    Fragment {
        name: format!("site-{number}"),
        configuration: format!(
            "backend be-{number}\n    cookie openedx-backend insert postonly indirect\n    \
             server appserver-{edition} 127.0.0.1:9 cookie appserver-{edition}\n"
        ),
        map: map.concat(),
    }
}

/// How often HAProxy was reloaded: each time has a generation of its own.
fn count_reloads(machine: &PrivateSshd) -> usize {
    let live = std::fs::read_link(machine.home().join("ocim-balancer/live")).unwrap();
    let (_, number) = live.to_str().unwrap().rsplit_once('-').unwrap();
    number.parse().unwrap()
}

/// Seconds that HAProxy takes to check what is live.
fn time_check(machine: &PrivateSshd) -> f64 {
    let folder = machine.home().join("ocim-balancer");
    let live = folder.join("live");
    let mut check = Command::new("haproxy");
    check.arg("-c").arg("-C").arg(&folder).env("OCIM_LIVE", &live);
    for part in ["base.cfg", "generation.cfg", "fragments.cfg"] {
        check.arg("-f").arg(live.join(part));
    }
    let begun = Instant::now();
    assert!(check.output().expect("haproxy is installed").status.success());
    begun.elapsed().as_secs_f64()
}
