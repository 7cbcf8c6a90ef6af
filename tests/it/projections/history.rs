//! Histories for the projections to read: whole lives of sites, many at once.

use super::fake_log::FakeLog;
use ocim_domain::appserver::{self, Launched};
use ocim_domain::event::{DomainEvent, Position, StreamId};
use ocim_domain::ids::{AppserverId, InstanceId, LoadBalancerId, RunId, ServerId};
use ocim_domain::instance::{self, LaunchOutcome};
use ocim_domain::load_balancer::{self, Registration};
use ocim_domain::names::RoutedNames;
use ocim_domain::protected::Protected;
use ocim_domain::saga::{self, Cause, ErrorClass};
use ocim_domain::server::{self, BootCause, Requested, ServerAddress};
use ocim_domain::settings::InstanceSettings;
use serde_json::{Value, json};
use uuid::Uuid;

/// A UUID v7 that sorts by its number; `space` keeps kinds of objects apart.
pub(crate) fn id(space: u128, number: u128) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) + (number << 8) + space)
}

pub(crate) fn instance_id(number: u128) -> InstanceId {
    InstanceId(id(1, number))
}

pub(crate) fn settings(name: &str) -> Box<InstanceSettings> {
    let sealed = include_str!("../../../projections/tests/sealed_settings.json");
    let mut settings: InstanceSettings = serde_json::from_str(sealed).unwrap();
    settings.name = name.to_owned();
    Box::new(settings)
}

/// One event on its way into a log.
pub(crate) type Step = (StreamId, String, Value);

fn step<E: DomainEvent>(stream: StreamId, event: &E) -> Step {
    let (kind, _, data) = event.encode().unwrap();
    (stream, kind, data)
}

pub(crate) fn record_all(log: &FakeLog, steps: impl IntoIterator<Item = Step>) -> Position {
    let ends = steps.into_iter().map(|(stream, kind, data)| log.record_raw(&stream, &kind, data));
    ends.last().unwrap()
}

/// The objects of one site in a history.
pub(crate) struct Site {
    pub(crate) instance: InstanceId,
    pub(crate) appserver: AppserverId,
    pub(crate) server: ServerId,
    pub(crate) run: RunId,
    pub(crate) balancer: LoadBalancerId,
}

impl Site {
    pub(crate) fn new(number: u128) -> Self {
        Self {
            instance: instance_id(number),
            appserver: AppserverId(id(2, number)),
            server: ServerId(id(3, number)),
            run: RunId(id(4, number)),
            balancer: LoadBalancerId(id(5, number)),
        }
    }

    /// From its creation to the request of its first launch.
    pub(crate) fn creation(&self) -> Vec<Step> {
        let registration = Registration {
            also_listens: None,
            domain: "lb.example.com".to_owned(),
            address: address(),
            host_keys: vec![],
            fragment_name_prefix: "ocim-".to_owned(),
            fragment_name_postfix: "main".to_owned(),
            accepts_new_backends: true,
        };
        let requested = instance::Event::LaunchRequested {
            appserver: self.appserver,
            run: self.run,
            number: 1,
            queued: false,
            then: instance::OnSuccess { activate: true, deactivate_others: false },
            attempts: instance::Attempts::ONE,
        };
        let started = saga::Event::Started {
            definition: "launch_appserver".to_owned(),
            version: 1,
            input: json!({}),
            subject: self.appserver.to_string(),
            deadline: None,
        };
        let created = instance::Event::Created { settings: settings("Alpha") };
        let assigned = instance::Event::LoadBalancerAssigned { load_balancer: self.balancer };
        vec![
            step(self.balancer.stream(), &load_balancer::Event::Registered(registration)),
            step(self.instance.stream(), &created),
            step(self.instance.stream(), &assigned),
            step(self.instance.stream(), &requested),
            step(self.run.stream(), &started),
        ]
    }

    /// From the first step of its launch to its first visitor.
    pub(crate) fn launch(&self) -> Vec<Step> {
        use appserver::Event as A;
        use saga::Event as R;
        use server::Event as S;
        let run = |event: R| step(self.run.stream(), &event);
        let server = |event: S| step(self.server.stream(), &event);
        let appserver = |event: A| step(self.appserver.stream(), &event);
        let retry_at = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let boot = S::BootingStarted { address: Some(address()), cause: BootCause::Built };
        let ready = S::BecameReady { host_keys: vec![], boot_id: "b".to_owned() };
        let outcome = LaunchOutcome::Running;
        vec![
            run(self.intend("freeze", 1)),
            appserver(A::Launched(Box::new(self.launched()))),
            run(R::StepDone { step: "freeze".to_owned(), output: json!({}) }),
            run(R::StepSkipped { step: "dns".to_owned(), reason: "not configured".to_owned() }),
            run(self.intend("server", 1)),
            server(S::Requested(Box::new(self.requested()))),
            appserver(A::WaitingStarted {}),
            run(R::StepFailed {
                step: "server".to_owned(),
                attempt: 1,
                class: ErrorClass::Transient,
                code: None,
                error: "busy".to_owned(),
                retry_at,
                at: None,
            }),
            run(self.intend("server", 2)),
            server(S::BuildingStarted {}),
            server(S::MachineRecorded { machine: "m-1".to_owned() }),
            server(boot),
            server(ready),
            run(R::StepDone { step: "server".to_owned(), output: json!({}) }),
            appserver(A::ConfiguringStarted {}),
            appserver(A::RunningStarted {}),
            run(R::Completed {}),
            step(
                self.instance.stream(),
                &instance::Event::LaunchSettled {
                    appserver: self.appserver,
                    outcome,
                    run: self.run,
                    next_run: None,
                },
            ),
            appserver(A::Activated { at: "2026-11-22T11:00:00Z".parse().unwrap() }),
            step(
                self.instance.stream(),
                &instance::Event::TrafficAssigned {
                    active: vec![self.appserver],
                    added: vec![self.appserver],
                    removed: vec![],
                    names: RoutedNames::default(),
                },
            ),
        ]
    }

    /// A launch that is cancelled before its settings were frozen.
    pub(crate) fn cancelled_launch(&self) -> Vec<Step> {
        use saga::Event as R;
        let run = |event: R| step(self.run.stream(), &event);
        let reason = || "a mistake".to_owned();
        let outcome = LaunchOutcome::Cancelled;
        vec![
            run(self.intend("freeze", 1)),
            run(R::CancelRequested { reason: reason() }),
            run(R::UnwindBegan(Cause::Cancelled { reason: reason() })),
            run(R::UndoSkipped { step: "freeze".to_owned(), reason: "nothing to undo".to_owned() }),
            run(R::Unwound {}),
            step(
                self.instance.stream(),
                &instance::Event::LaunchSettled {
                    appserver: self.appserver,
                    outcome,
                    run: self.run,
                    next_run: None,
                },
            ),
        ]
    }

    fn intend(&self, name: &str, attempt: u32) -> saga::Event {
        saga::Event::StepIntended {
            step: name.to_owned(),
            attempt,
            key: saga::step_key(self.run, name),
            deadline: "2026-11-22T12:00:00Z".parse().unwrap(),
            at: None,
        }
    }

    fn launched(&self) -> Launched {
        Launched {
            instance: self.instance,
            number: 1,
            server: self.server,
            run: self.run,
            settings: settings("Alpha"),
            settings_version: 1,
            variables: Protected::new(self.instance.to_string(), "{}"),
            provenance: Protected::new(self.instance.to_string(), "{}"),
            users_variables: Protected::new(self.instance.to_string(), "{}"),
            common_variables: Protected::new(self.instance.to_string(), "{}"),
            configuration_commit: None,
            hostname: "alpha-1".to_owned(),
        }
    }

    fn requested(&self) -> Requested {
        Requested {
            appserver: self.appserver,
            region: "local".to_owned(),
            name: "alpha-1".to_owned(),
            flavor: json!({}),
            image: json!({}),
            keyname: String::new(),
            security_groups: vec![],
        }
    }
}

fn address() -> ServerAddress {
    ServerAddress {
        ip: [127, 0, 3, 1].into(),
        ssh_port: 2203,
        http_port: 8003,
        ssh_user: "ubuntu".to_owned(),
        may_become_root: true,
    }
}

/// The lives of `count` sites, each in its order, mixed with those of the others.
pub(crate) fn mixed_history(count: u128) -> Vec<Step> {
    let mut lives: Vec<_> = (1..=count)
        .map(|number| {
            let site = Site::new(number);
            let rest = if number % 3 == 0 { site.cancelled_launch() } else { site.launch() };
            site.creation().into_iter().chain(rest).peekable()
        })
        .collect();
    let mut steps = vec![];
    // A linear congruence: any order does, so long as it is the same each time.
    let mut choice = 7_usize;
    while !lives.is_empty() {
        choice = (choice * 1_103 + 12_345) % 65_536;
        let index = choice % lives.len();
        steps.extend(lives[index].next());
        if lives[index].peek().is_none() {
            drop(lives.swap_remove(index));
        }
    }
    steps
}
