//! What a long past costs: commands, looks, starts and pages after many events beside the same after few.

use crate::measure::{Ratio, measure_rate};
use crate::postgres::Database;
use futures_util::future::join_all;
use ocim::app::load_balancers::load_balancer_id;
use ocim::metrics::runs::Runs;
use ocim::read_models::{InstanceFilter, Order, ReadModels, RunFilter};
use ocim_adapters::system::{SystemClock, SystemIds};
use ocim_domain::event::{DomainEvent, Metadata, NewEvent, StreamId};
use ocim_domain::ids::{InstanceId, LoadBalancerId, RunId};
use ocim_domain::load_balancer::{self, LoadBalancer, Registration};
use ocim_domain::right::ReadScope;
use ocim_domain::saga::{self, step_key};
use ocim_domain::server::ServerAddress;
use ocim_domain::system::Ids;
use ocim_domain::{Timestamp, instance};
use ocim_engine::derived::Derived;
use ocim_engine::derived::postgres::PostgresDerived;
use ocim_engine::journal::Journal;
use ocim_engine::projector::ProjectorRuntime;
use ocim_engine::sagas::open_runs::OpenRuns;
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::{Engine, EventStore, Expected};
use ocim_engine::tracker::Tracker;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Events of a run: its start, eight steps with an intent and a result each, its end.
const RUN_EVENTS: usize = 18;
/// Streams that are appended at a time.
const AT_A_TIME: usize = 500;
/// How often each thing is done.
const REPEATS: usize = 200;
/// How often a start is.
const STARTS: usize = 20;
/// Longest wait for the read models.
const BUILT: Duration = Duration::from_secs(3600);

/// How much there is: events, and instances that have a fragment each.
#[derive(Debug, Clone, Copy)]
struct Size {
    events: usize,
    instances: usize,
}

const FEW: Size = Size { events: 10_000, instances: 100 };
const MANY: Size = Size { events: 1_000_000, instances: 10_000 };

/// A thing that is done, so many times a second.
type Rates = Vec<(&'static str, f64)>;

/// All ratios of this module; `--growth-events N` makes the long past shorter, for a quick look.
pub(crate) async fn measure_growth() -> Vec<Ratio> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--growth-events");
    let events = arguments.nth(1).map(|number| number.parse().expect("--growth-events N"));
    let many = events.map_or(MANY, |events| Size {
        events,
        instances: (events / 100).clamp(FEW.instances, MANY.instances),
    });
    let (few, many) = (measure_all(FEW).await, measure_all(many).await);
    let both = many.into_iter().zip(few);
    both.map(|((what, rate), (_, baseline_rate))| Ratio {
        what,
        rate,
        baseline: "the same after few events",
        baseline_rate,
        goal: 0.5,
    })
    .collect()
}

async fn measure_all(size: Size) -> Rates {
    let database = Database::migrated().await;
    let pool = database.pool();
    let store = PostgresStore::connect(database.address(), pool.clone()).await.unwrap();
    let balancer = load_balancer_id("balancer.example.com");
    record_past(&store, size, balancer).await;
    let raw: Arc<dyn EventStore> = Arc::new(store.clone());
    let projector = ProjectorRuntime::start(raw.clone(), pool.clone(), ocim_projections::ALL);
    let head = store.head().await.unwrap();
    assert!(projector.freshness().wait_for(head, BUILT).await, "the read models are not made");
    database.client().await.batch_execute("analyze").await.unwrap();
    let derived: Arc<dyn Derived> = Arc::new(PostgresDerived::new(pool.clone()));
    let open = || {
        Journal::new(raw.clone(), Arc::new(SystemClock), Arc::new(SystemIds))
            .with_derived(derived.clone())
    };
    let models = ReadModels::new(pool, projector.freshness());
    // A process that has been at work brings everything up to date.
    start(&open()).await;
    open().load::<LoadBalancer>(&balancer.stream()).await.unwrap();

    let (mut rates, run) = (Rates::new(), run_id(size.events / RUN_EVENTS - 1));
    let starts = measure_rate(STARTS, async {
        for _ in 0..STARTS {
            start(&open()).await;
        }
    });
    rates.push(("starts of what follows runs", starts.await));
    let loads = measure_rate(STARTS, async {
        for _ in 0..STARTS {
            open().load::<LoadBalancer>(&balancer.stream()).await.unwrap();
        }
    });
    rates.push(("first loads of a balancer", loads.await));
    let journal = open();
    let applied = measure_rate(REPEATS, async {
        for number in 0..REPEATS {
            let (fragment, digest) = (fragment_of(0), Some(format!("new {number}")));
            let command = load_balancer::Command::RecordApplied { fragment, digest };
            let (stream, meta) = (balancer.stream(), Metadata::by("bench"));
            journal.execute::<LoadBalancer>(&stream, &meta, command).await.unwrap();
        }
    });
    rates.push(("fragments recorded", applied.await));
    rates.extend(measure_pages(&models, &run.to_string()).await);
    projector.stop().await;
    store.shutdown().await;
    rates
}

/// What a start does that needs to know of runs.
async fn start(journal: &Journal) {
    Tracker::new(journal, OpenRuns::started()).catch_up(drop).await.unwrap();
    Tracker::new(journal, Runs).catch_up(drop).await.unwrap();
}

async fn measure_pages(models: &ReadModels, run: &str) -> Rates {
    let models = models.seen_by(ReadScope::Everything);
    let mut rates = Rates::new();
    let rate = measure_rate(REPEATS, async {
        for _ in 0..REPEATS {
            models.list_instances(&InstanceFilter::default(), 50, None).await.unwrap();
        }
    });
    rates.push(("pages of instances", rate.await));
    for (name, filter) in [
        ("pages of runs", RunFilter::default()),
        ("pages of open runs", RunFilter { open_only: true, ..RunFilter::default() }),
        ("pages of stuck runs", RunFilter { phase: Some("stuck".into()), ..RunFilter::default() }),
    ] {
        let rate = measure_rate(REPEATS, async {
            for _ in 0..REPEATS {
                models.list_runs(&filter, 50, None).await.unwrap();
            }
        });
        rates.push((name, rate.await));
    }
    let rate = measure_rate(REPEATS, async {
        for _ in 0..REPEATS {
            models.list_timeline(run, Order::NewestFirst, 50, None).await.unwrap();
        }
    });
    rates.push(("timelines of a run", rate.await));
    rates
}

fn id(space: u128, number: usize) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) + ((number as u128) << 8) + space)
}

fn run_id(number: usize) -> RunId {
    RunId(id(4, number))
}

fn fragment_of(number: usize) -> String {
    format!("ocim-{}-main", InstanceId(id(1, number)))
}

/// Instances with a fragment each, and runs that are over.
async fn record_past(store: &PostgresStore, size: Size, balancer: LoadBalancerId) {
    let registered = load_balancer::Event::Registered(registration());
    let applied = (0..size.instances).map(|number| load_balancer::Event::FragmentApplied {
        fragment: fragment_of(number),
        digest: Some("0".repeat(64)),
    });
    let of_balancer: Vec<_> = std::iter::once(registered).chain(applied).collect();
    let mut version = Expected::NoStream;
    for events in of_balancer.chunks(AT_A_TIME) {
        version = append(store, balancer.stream(), version, events).await;
    }
    let settings = include_str!("../../projections/tests/sealed_settings.json");
    let created: instance::Event =
        instance::Event::Created { settings: Box::new(serde_json::from_str(settings).unwrap()) };
    let instances: Vec<_> = (0..size.instances).collect();
    for some in instances.chunks(AT_A_TIME) {
        join_all(some.iter().map(|number| {
            let stream = InstanceId(id(1, *number)).stream();
            append(store, stream, Expected::NoStream, std::slice::from_ref(&created))
        }))
        .await;
    }
    let runs: Vec<_> = (0..size.events / RUN_EVENTS).collect();
    for some in runs.chunks(AT_A_TIME) {
        join_all(some.iter().map(|number| async move {
            let run = run_id(*number);
            append(store, run.stream(), Expected::NoStream, &live(run, *number)).await
        }))
        .await;
    }
}

async fn append<E: DomainEvent>(
    store: &PostgresStore,
    stream: StreamId,
    expected: Expected,
    events: &[E],
) -> Expected {
    let events = events.iter().map(|event| {
        let (kind, schema, data) = event.encode().unwrap();
        NewEvent { id: SystemIds.new_id(), kind, schema, data, meta: Metadata::by("bench") }
    });
    let appended = store.append(&stream, expected, events.collect()).await.unwrap();
    Expected::Exact(appended.version)
}

fn live(run: RunId, number: usize) -> Vec<saga::Event> {
    let mut events = vec![saga::Event::Started {
        definition: "launch_appserver".to_owned(),
        version: 1,
        input: serde_json::json!({}),
        subject: format!("apps_{}", id(2, number)),
        deadline: None,
    }];
    for step in 0..(RUN_EVENTS - 2) / 2 {
        let step = format!("step_{step}");
        events.push(saga::Event::StepIntended {
            key: step_key(run, &step),
            step: step.clone(),
            attempt: 1,
            deadline: Timestamp::UNIX_EPOCH,
            at: None,
        });
        events.push(saga::Event::StepDone { step, output: serde_json::json!({ "a": "b" }) });
    }
    events.push(saga::Event::Completed {});
    events
}

fn registration() -> Registration {
    Registration {
        domain: "balancer.example.com".to_owned(),
        address: ServerAddress {
            ip: [192, 0, 2, 1].into(),
            ssh_port: 22,
            http_port: 80,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: true,
        },
        also_listens: None,
        host_keys: vec![],
        fragment_name_prefix: "ocim-".to_owned(),
        fragment_name_postfix: "main".to_owned(),
        accepts_new_backends: true,
    }
}
