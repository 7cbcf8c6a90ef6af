//! The charge table: which failure of which port opens a provider's circuit. Only the provider's own.
//!
//! What each adapter's failures are charged to stands beside the adapter: git and pip in
//! `playbooks/ansible/answers.rs`, HAProxy in `balancer/haproxy.rs`, logins in `shell/ssh.rs`, machines
//! in `cloud/local.rs`. The other ports (hosts, sites, logs, leases) stand behind no breaker.

use super::tests::LIMITS;
use super::*;
use crate::balancer::fake::FakeLoadBalancer;
use crate::balancer::{BalancerHost, Fragment, LoadBalancer};
use crate::cloud::fake::FakeCloud;
use crate::cloud::{Address, Cloud, MachineSpec};
use crate::dns::fake::FakeDns;
use crate::dns::{Dns, OwnName};
use crate::faults::Fault;
use crate::mail::fake::FakeMailer;
use crate::mail::{Mailer, OutgoingMail};
use crate::metadata::MetadataStore;
use crate::metadata::fake::FakeMetadata;
use crate::monitoring::Monitoring;
use crate::monitoring::fake::FakeMonitoring;
use crate::playbooks::fake::FakePlaybooks;
use crate::playbooks::{Playable, PlaybookRun, Playbooks, Source, Target};
use crate::provisioning::Provisioning;
use crate::provisioning::fake::FakeServers;
use crate::system::FixedClock;
use futures_util::future::BoxFuture;
use ocim_domain::port_error::Class;
use ocim_domain::provisioning::{Item, Script, Service, SwiftAccount};
use ocim_domain::saga::ErrorCode;
use ocim_domain::site_metadata::SiteMetadata;
use serde_json::json;
use uuid::Uuid;

/// Every class, in turn: one that is added has to be put into its place here.
fn classes() -> impl Iterator<Item = Class> {
    std::iter::successors(Some(Class::Transient), |class| match class {
        Class::Transient => Some(Class::RateLimited(Duration::from_secs(1))),
        Class::RateLimited(_) => Some(Class::Conflict),
        Class::Conflict => Some(Class::Permanent),
        Class::Permanent => Some(Class::Ambiguous),
        Class::Ambiguous => None,
    })
}

/// Likewise.
fn blames() -> impl Iterator<Item = Blame> {
    std::iter::successors(Some(Blame::Provider), |blame| match blame {
        Blame::Provider => Some(Blame::Caller),
        Blame::Caller => Some(Blame::Other),
        Blame::Other => None,
    })
}

fn breakers() -> Breakers {
    Breakers::new(Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH)), LIMITS)
}

fn is_open(breakers: &Breakers) -> bool {
    breakers.snapshot().iter().any(|shown| matches!(shown.state, BreakerState::Open { .. }))
}

/// Whether so many failures in a row open a circuit.
async fn opens(error: &PortError) -> bool {
    let breakers = breakers();
    let breaker = breakers.of("region north");
    for _ in 0..LIMITS.failures_max {
        breaker.call::<()>(async { Err(error.clone()) }).await.unwrap_err();
    }
    is_open(&breakers)
}

#[tokio::test]
async fn only_a_providers_own_failures_open_its_circuit() {
    for blame in blames() {
        for class in classes() {
            let error = PortError::new(class, "no").blamed_on(blame);
            assert_eq!(opens(&error).await, blame == Blame::Provider, "{error:?}");
        }
    }
}

#[tokio::test]
async fn what_nobody_judged_further_is_charged_by_its_class_and_a_refusal_to_who_asked() {
    for class in classes() {
        let is_outage = matches!(class, Class::Transient | Class::Ambiguous);
        let error = PortError::new(class, "no");
        assert_eq!(opens(&error).await, is_outage, "{error:?}");
    }
    for code in ErrorCode::ALL {
        let error = PortError::permanent(*code, "no");
        assert!(error.blame == Blame::Caller && !opens(&error).await, "{error:?}");
    }
}

fn address() -> Address {
    Address {
        ip: "192.0.2.7".parse().unwrap(),
        ssh_port: 22,
        http_port: 80,
        ssh_user: "root".to_owned(),
        may_become_root: true,
    }
}

/// A call of an operation, by its name: what it says when it fails.
type Operation<T> = (&'static str, for<'a> fn(&'a T) -> BoxFuture<'a, Option<String>>);

/// [`Operation`]s.
macro_rules! operations {
    ($($name:ident($($argument:expr),*);)*) => {
        [$((stringify!($name), |port| {
            Box::pin(async move { port.$name($($argument),*).await.err().map(|e| e.message) })
        })),*]
    };
}

fn spec() -> MachineSpec {
    MachineSpec {
        key: Uuid::nil(),
        name: "edxapp".to_owned(),
        flavor: json!({}),
        image: json!({}),
        keyname: String::new(),
        security_groups: vec![],
    }
}

const OF_CLOUDS: [Operation<Guarded<dyn Cloud>>; 13] = operations! {
    ensure_security_groups(&[]);
    find_security_groups(&[]);
    check_selectors(&json!({}), &json!({}));
    read_quotas(&json!({}));
    create_machine(&spec());
    find_machine(Uuid::nil());
    read_machine("m");
    reboot_machine("m");
    delete_machine("m");
    read_console("m");
    list_machines();
    list_floating_addresses();
    release_floating_address("a");
};

fn source() -> Source {
    Source::Git { repository: "https://git.example.com/a".to_owned(), version: "main".to_owned() }
}

fn play() -> PlaybookRun {
    PlaybookRun {
        key: Uuid::nil(),
        source: source(),
        playbook: "site.yml".to_owned(),
        requirements: "requirements.txt".to_owned(),
        target: Target { groups: vec![], address: address(), host_keys: vec![] },
        variables: json!({}),
        line_timeout: Duration::ZERO,
        total_timeout: Duration::ZERO,
        traceparent: None,
    }
}

fn wanted(source: &Source) -> Playable<'_> {
    Playable { region: "north", source, playbook: "site.yml", requirements: "requirements.txt" }
}

/// What asks a source's host; the rest goes on on this machine.
const OF_SOURCES: [Operation<Guarded<dyn Playbooks>>; 2] = operations! {
    resolve_playbook(wanted(&source()));
    start_playbook(&play());
};

const OF_PLAYS: [Operation<Guarded<dyn Playbooks>>; 4] = operations! {
    read_playbook(Uuid::nil());
    read_output(Uuid::nil(), 0);
    cancel_playbook(Uuid::nil());
    forget_playbook(Uuid::nil());
};

fn host() -> BalancerHost {
    BalancerHost {
        domain: "balancer.example.com".to_owned(),
        address: address(),
        host_keys: vec![],
        also_listens: None,
        https_port: None,
    }
}

const OF_BALANCERS: [Operation<Guarded<dyn LoadBalancer>>; 6] = operations! {
    read_balancer(&host());
    prepare_balancer(&host());
    apply_fragment(&host(), &Fragment::default());
    read_fragment(&host(), "a");
    switch_servers(&host(), "be-a", &[], &[]);
    count_connections(&host(), "be-a", "s");
};

fn own_name() -> OwnName {
    OwnName { name: "a.example.com".to_owned(), targets: vec![] }
}

const OF_NAMES: [Operation<Guarded<dyn Dns>>; 5] = operations! {
    set_names(&[]);
    find_name(&own_name());
    find_names(&[]);
    remove_names(&[]);
    list_zones();
};

const OF_MONITORS: [Operation<Guarded<dyn Monitoring>>; 7] = operations! {
    find_monitors(&[]);
    create_monitor("a", "https://a.example.com/", false);
    read_monitor("1");
    mute_monitor("1", true);
    remove_monitor("1");
    list_recipients("1");
    add_recipients("1", &[]);
};

const OF_METADATA: [Operation<Guarded<dyn MetadataStore>>; 3] = operations! {
    write_site("1", &SiteMetadata::default());
    remove_site("1");
    list_sites();
};

fn swift() -> Service {
    Service::Swift(SwiftAccount::default())
}

fn container() -> Item {
    Item::SwiftContainer("a".to_owned())
}

fn script() -> Script {
    Script { key: Uuid::nil(), database: "a".to_owned(), statements: vec![] }
}

const OF_SHARED_SERVERS: [Operation<Guarded<dyn Provisioning>>; 6] = operations! {
    ensure(&swift(), &[container()]);
    find(&swift(), &container().id());
    remove(&swift(), &container().id());
    find_among(&swift(), &[]);
    check(&swift());
    run_script(&swift(), &script());
};

fn mail() -> OutgoingMail {
    OutgoingMail {
        message_id: "1@example.com".to_owned(),
        from: "ocim@example.com".to_owned(),
        to: vec!["ops@example.com".to_owned()],
        subject: String::new(),
        text: String::new(),
        html: String::new(),
        attachment: None,
        date: Timestamp::UNIX_EPOCH,
        is_overdue: false,
    }
}

const OF_MAILS: [Operation<Guarded<dyn Mailer>>; 1] = operations! {
    send_mail(&mail());
};

/// Fails each operation in each way: outages open the circuit of a provider that was asked, and what is said
/// names it.
async fn try_all<T>(
    operations: &[Operation<T>],
    asks_provider: bool,
    port: impl Fn(&Breakers, &'static str, Fault) -> T,
) {
    for (name, call) in operations {
        for class in classes() {
            let breakers = breakers();
            let port = port(&breakers, name, Fault::Before(class.clone()));
            for _ in 0..LIMITS.failures_max {
                let said = call(&port).await;
                let said = said.unwrap_or_else(|| panic!("{name} does not fail as ordered"));
                let asked = breakers.snapshot();
                assert_eq!(asked.len(), usize::from(asks_provider), "{name}");
                assert!(asked.iter().all(|it| said.contains(&it.provider)), "{name}: {said}");
            }
            let is_outage = PortError::new(class.clone(), "").blame == Blame::Provider;
            assert_eq!(is_open(&breakers), is_outage && asks_provider, "{name} {class:?}");
        }
    }
}

#[tokio::test]
async fn every_operation_of_every_port_is_charged_to_its_provider_or_to_nobody() {
    try_all(&OF_CLOUDS, true, |breakers, name, fault| {
        let cloud = FakeCloud::default();
        cloud.faults.fail_always(name, fault);
        Guarded::<dyn Cloud>::new(Arc::new(cloud), breakers, "region north")
    })
    .await;
    let playbooks = |breakers: &Breakers, name: &'static str, fault| {
        let playbooks = FakePlaybooks::default();
        playbooks.faults.fail_always(name, fault);
        Guarded::<dyn Playbooks>::per_call(Arc::new(playbooks), breakers)
    };
    try_all(&OF_SOURCES, true, playbooks).await;
    try_all(&OF_PLAYS, false, playbooks).await;
    try_all(&OF_NAMES, true, |breakers, name, fault| {
        let dns = FakeDns::default();
        dns.faults.fail_always(name, fault);
        Guarded::<dyn Dns>::new(Arc::new(dns), breakers, "DNS")
    })
    .await;
    try_all(&OF_MONITORS, true, |breakers, name, fault| {
        let monitoring = FakeMonitoring::default();
        monitoring.faults.fail_always(name, fault);
        Guarded::<dyn Monitoring>::new(Arc::new(monitoring), breakers, "New Relic")
    })
    .await;
    try_all(&OF_METADATA, true, |breakers, name, fault| {
        let metadata = FakeMetadata::default();
        metadata.faults.fail_always(name, fault);
        Guarded::<dyn MetadataStore>::new(Arc::new(metadata), breakers, "Consul")
    })
    .await;
    try_all(&OF_SHARED_SERVERS, true, |breakers, name, fault| {
        let servers = FakeServers::default();
        servers.faults.fail_always(name, fault);
        Guarded::<dyn Provisioning>::per_call(Arc::new(servers), breakers)
    })
    .await;
    try_all(&OF_MAILS, true, |breakers, name, fault| {
        let mailer = FakeMailer::default();
        mailer.faults.fail_always(name, fault);
        Guarded::<dyn Mailer>::new(Arc::new(mailer), breakers, "mail server")
    })
    .await;
    try_all(&OF_BALANCERS, true, |breakers, name, fault| {
        let balancer = FakeLoadBalancer::default();
        balancer.faults.fail_always(name, fault);
        Guarded::<dyn LoadBalancer>::per_call(Arc::new(balancer), breakers)
    })
    .await;
}
