//! The line to a balancer is cut or garbled at any moment: the change is carried out by the next try, and once.

use super::{Bench, fragment, server, start_site};
use crate::support::tcp_proxy::{Act, Proxy};
use ocim_adapters::balancer::haproxy::HaproxyLoadBalancer;
use ocim_adapters::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use ocim_adapters::cloud::Address;
use ocim_adapters::shell::ssh::SshShell;
use ocim_domain::port_error::Class;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_or_garbled_at_any_moment_leaves_one_fragment_as_it_is_to_be() {
    let (bench, site) = (Bench::start().await, start_site("site"));
    let machine = &bench.machine;
    let proxy = Proxy::start(bench.host.address.ssh_port).await;
    let address = Address { ssh_port: proxy.port, ..bench.host.address.clone() };
    let host = BalancerHost { address, ..bench.host.clone() };
    let shell = SshShell::new(machine.folder().join("login_key"), machine.folder().join("ssh"));
    let balancer = HaproxyLoadBalancer::new(machine.playbooks(), Arc::new(shell));
    let (mut failed, mut struck) = (0, 0);
    for times in 0.. {
        for act in [Act::Cut, Act::Garble] {
            let wanted = fragment("a", &server(&format!("s{times}"), site, ""));
            proxy.spoil_after(times, act);
            let outcome = balancer.apply_fragment(&host, &wanted).await;
            struck += usize::from(proxy.has_struck());
            if let Err(error) = outcome {
                let may_pass = matches!(error.class, Class::Transient | Class::Ambiguous);
                assert!(may_pass, "{act:?} after {times}: {error:?}");
                failed += 1;
            }
            let is_late = !proxy.has_struck();
            proxy.mend();
            if is_late {
                // Nothing more is sent than that: each moment has had its turn.
                assert!(failed > 5 && struck >= failed, "{failed} of {struck}");
                return;
            }
            balancer.apply_fragment(&host, &wanted).await.unwrap();
            let found: Option<Fragment> = balancer.read_fragment(&host, "a").await.unwrap();
            assert_eq!(found.map(|it| it.configuration), Some(wanted.configuration));
            let known = balancer.read_balancer(&host).await.unwrap();
            let BalancerState::Prepared { is_running, fragments } = known else { panic!() };
            assert!(is_running && fragments.len() == 1, "{fragments:?}");
            assert_eq!(bench.answers("a"), "site", "{act:?} after {times}");
        }
    }
}
