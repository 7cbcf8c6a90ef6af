//! What pages and other reads of the API take of the database: rows and statements, however long the
//! past is.

use super::bygone::record_past;
use super::{FEW, MANY};
use crate::support::postgres::Database;
use ocim::app::load_balancers::load_balancer_id;
use ocim::read_models::{
    AppserverFilter, EventQuery, InstanceFilter, Order, QueryError, ReadModels, Reads, RunFilter,
    ServerFilter,
};
use ocim_adapters::system::{SystemClock, SystemIds};
use ocim_domain::event::{DomainEvent, Metadata, NewEvent};
use ocim_domain::load_balancer;
use ocim_domain::right::ReadScope;
use ocim_domain::system::{Clock, Ids};
use ocim_engine::projector::ProjectorRuntime;
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::{EventStore, Expected};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::types::ToSql;

/// Longest wait for the read models on a busy machine.
const BUILT: Duration = Duration::from_secs(120);
/// Things on a page.
const PAGE: usize = 10;

/// What PostgreSQL did: rows read of our tables, and statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    rows: i64,
    statements: i64,
}

/// By what was asked.
type Costs = BTreeMap<&'static str, Work>;

/// All there is to read of one connection, whose work is counted.
struct Meter {
    pool: deadpool_postgres::Pool,
    models: ReadModels,
    costs: Costs,
}

impl Meter {
    /// What the reads take once their statements are prepared: the least of three times, since
    /// PostgreSQL's own workers commit beside.
    async fn measure<T>(
        &mut self,
        name: &'static str,
        read: impl AsyncFn(Reads<'_>) -> Result<T, QueryError>,
    ) -> T {
        let mut found = read(self.models.seen_by(ReadScope::Everything)).await.unwrap();
        let mut least = Work { rows: i64::MAX, statements: i64::MAX };
        for _ in 0..3 {
            let before = self.count().await;
            found = read(self.models.seen_by(ReadScope::Everything)).await.unwrap();
            let after = self.count().await;
            least.rows = least.rows.min(after.rows - before.rows);
            // Of the statements that count, those of one counting lie in between.
            let statements = after.statements - before.statements - COUNTING;
            least.statements = least.statements.min(statements);
        }
        self.costs.insert(name, least);
        found
    }

    /// What other sessions did is told at their ends.
    async fn wait_until_alone(&self) {
        let sql = "select count(*) from pg_stat_activity \
                   where datname = current_database() and pid <> pg_backend_pid()";
        let client = self.pool.get().await.unwrap();
        while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn count(&self) -> Work {
        let client = self.pool.get().await.unwrap();
        let none: &[&(dyn ToSql + Sync)] = &[];
        // What this very session has done is told only once it is flushed.
        client.query("select pg_stat_force_next_flush()", none).await.unwrap();
        let sql = "select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint, \
                   (select xact_commit from pg_stat_database where datname = current_database()) \
                   from pg_stat_user_tables";
        let row = client.query_one(sql, none).await.unwrap();
        Work { rows: row.get(0), statements: row.get(1) }
    }
}

/// Transactions between one count and the next that are the counts' own.
const COUNTING: i64 = 4;

/// All reads, of read models that were made of a past of so many events.
async fn measure_all(events: usize) -> Costs {
    let database = Database::migrated().await;
    let client = database.client().await;
    // By the shape of what is asked, not by how small a table is.
    let name = client.query_one("select current_database()", &[]).await.unwrap();
    let name: &str = name.get(0);
    let set = format!("alter database \"{name}\" set enable_seqscan = off");
    client.batch_execute(&set).await.unwrap();
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let balancer = load_balancer_id("lb.example.com");
    record_balancer(&*store, balancer).await;
    record_past(&*store, events, balancer, "local").await;
    let built = ProjectorRuntime::start(store.clone(), database.pool(), ocim_projections::ALL);
    let head = store.head().await.unwrap();
    assert!(built.freshness().wait_for(head, BUILT).await, "the read models are not made");
    let freshness = built.freshness();
    built.stop().await;
    client.batch_execute("analyze").await.unwrap();
    drop(client);

    let pool = database.pool();
    pool.resize(1);
    let models = ReadModels::new(pool.clone(), freshness);
    let mut meter = Meter { pool, models, costs: Costs::new() };
    meter.wait_until_alone().await;
    read_all(&mut meter, &balancer.to_string()).await;
    meter.costs
}

async fn record_balancer(store: &dyn EventStore, id: ocim_domain::ids::LoadBalancerId) {
    let event = load_balancer::Event::Registered(crate::sagas::stage::registration());
    let (kind, schema, data) = event.encode().unwrap();
    let (id_of_event, meta) = (SystemIds.new_id(), Metadata::by("system"));
    let event = NewEvent { id: id_of_event, kind, schema, data, meta };
    store.append(&id.stream(), Expected::NoStream, vec![event]).await.unwrap();
}

async fn read_all(meter: &mut Meter, balancer: &str) {
    let every = InstanceFilter::default();
    let instances = meter
        .measure("a page of instances", async |it| it.list_instances(&every, PAGE, None).await)
        .await;
    assert_eq!(instances.len(), PAGE);
    let next = instances[PAGE - 1].id.clone();
    let after = Some(next.as_str());
    meter.measure("the next page", async |it| it.list_instances(&every, PAGE, after).await).await;
    let one = instances[0].id.as_str();
    meter.measure("an instance", async |it| it.read_instance(one).await).await;
    let its = AppserverFilter { instance: Some(one.to_owned()), ..AppserverFilter::default() };
    let of_one = async |it: Reads<'_>| it.list_appservers(&its, PAGE, None).await;
    let appservers = meter.measure("appservers of an instance", of_one).await;
    let appserver = appservers[0].id.clone();
    meter
        .measure("appservers", async |it| {
            it.list_appservers(&AppserverFilter::default(), PAGE, None).await
        })
        .await;
    meter
        .measure("servers", async |it| it.list_servers(&ServerFilter::default(), PAGE, None).await)
        .await;
    meter.measure("balancers", async |it| it.list_load_balancers(PAGE, None).await).await;
    meter.measure("regions", async |it| it.list_regions().await).await;
    meter.measure("orphans", async |it| it.list_orphans(None).await).await;

    let all = RunFilter::default();
    let runs = meter.measure("runs", async |it| it.list_runs(&all, PAGE, None).await).await;
    assert_eq!(runs.len(), PAGE);
    let run = runs[0].id.clone();
    meter.measure("a run", async |it| it.read_run(&run).await).await;
    meter.measure("steps of a run", async |it| it.list_run_steps(&run).await).await;
    let ids = [run.clone()];
    meter.measure("attempts of a run", async |it| it.list_run_attempts(&ids).await).await;
    meter.measure("runs started by a run", async |it| it.list_started_runs(&run).await).await;
    let about = RunFilter { subject: Some(appserver.clone()), ..RunFilter::default() };
    meter.measure("runs about a thing", async |it| it.list_runs(&about, PAGE, None).await).await;
    let open = RunFilter { open_only: true, ..RunFilter::default() };
    let found = meter.measure("open runs", async |it| it.list_runs(&open, PAGE, None).await).await;
    assert!(found.is_empty());
    let stuck = RunFilter { phase: Some("stuck".to_owned()), ..RunFilter::default() };
    meter.measure("stuck runs", async |it| it.list_runs(&stuck, PAGE, None).await).await;
    let troubled = async |it: Reads<'_>| it.list_troubled_appservers(PAGE).await;
    meter.measure("appservers in trouble", troubled).await;
    meter.measure("misled instances", async |it| it.list_misled_instances(PAGE).await).await;
    let troubled = async |it: Reads<'_>| it.list_troubled_balancers(PAGE).await;
    meter.measure("balancers in trouble", troubled).await;
    read_what_people_did(meter).await;

    for (name, subject) in [
        ("a run's timeline", run.as_str()),
        ("an appserver's timeline", &appserver),
        ("an instance's timeline", one),
        ("a balancer's timeline", balancer),
    ] {
        let read =
            async |it: Reads<'_>| it.list_timeline(subject, Order::NewestFirst, PAGE, None).await;
        meter.measure(name, read).await;
    }
    let everything = EventQuery::default();
    let read =
        async |it: Reads<'_>| it.list_events(&everything, Order::NewestFirst, PAGE, None).await;
    meter.measure("events", read).await;
    let kinds = vec!["instance.created".to_owned()];
    let of_kind = EventQuery { kinds, ..EventQuery::default() };
    let read = async |it: Reads<'_>| it.list_events(&of_kind, Order::NewestFirst, PAGE, None).await;
    meter.measure("events of a kind", read).await;
    let names = [one.to_owned(), appserver, run];
    meter.measure("names", async |it| it.read_names(&names).await).await;
}

/// Holds, maintenance, mails and incidents of the past; none of it is open.
async fn read_what_people_did(meter: &mut Meter) {
    let now = SystemClock.now();
    let held = async |it: Reads<'_>| it.list_held_instances(now, PAGE).await;
    assert!(meter.measure("instances that are held", held).await.is_empty());
    let maintained = async |it: Reads<'_>| it.list_maintained_instances(PAGE).await;
    assert!(meter.measure("instances under maintenance", maintained).await.is_empty());
    let late = async |it: Reads<'_>| it.list_late_mails(now, PAGE).await;
    assert!(meter.measure("mails that are late", late).await.is_empty());
    let mails = async |it: Reads<'_>| it.list_mails(None, None, PAGE, None).await;
    let mails = meter.measure("mails", mails).await;
    let after = mails.last().map(|mail| mail.id.clone());
    let next = async |it: Reads<'_>| it.list_mails(None, None, PAGE, after.as_ref()).await;
    assert_eq!(meter.measure("the next mails", next).await.len(), PAGE);
    let open = async |it: Reads<'_>| it.list_incidents(Some(true), PAGE, None).await;
    assert!(meter.measure("open incidents", open).await.is_empty());
    let incidents = async |it: Reads<'_>| it.list_incidents(None, PAGE, None).await;
    meter.measure("incidents", incidents).await;
    let operations = async |it: Reads<'_>| it.list_bulk_operations(PAGE, None).await;
    meter.measure("bulk operations", operations).await;
}

/// Reads that take more the more there is, and why that is right.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "events of a kind",
    "PostgreSQL takes kinds for evenly spread over the log, and walks back from its end to the kind's \
     last events where those seem near",
)];
/// Rows that a plan may take more of: pages of an index are read as they are filled.
const ROWS_SPARE: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_take_the_rows_that_they_show() {
    let (few, many) = tokio::join!(measure_all(FEW), measure_all(MANY));
    for (name, work) in &few {
        println!("{name}: {work:?}, after many events {:?}", many[name]);
    }
    let is_exception = |name: &str| EXCEPTIONS.iter().any(|(known, _)| *known == name);
    let takes_more = |few: &Work, many: &Work| {
        many.rows > few.rows + ROWS_SPARE || many.statements > few.statements
    };
    let more: Vec<_> = few
        .iter()
        .filter(|(name, work)| !is_exception(name) && takes_more(work, &many[*name]))
        .map(|(name, work)| format!("{name}: {work:?}, after many events {:?}", many[name]))
        .collect();
    assert!(more.is_empty(), "\n{}", more.join("\n"));
}
