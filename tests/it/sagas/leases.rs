//! Leases: one holder at a time on every engine, whoever dies, sleeps or is slow.

use super::stage::VirtualClock;
use crate::support::postgres::Database;
use futures_util::future::join_all;
use ocim::processes::world::Limits;
use ocim_adapters::system::SystemClock;
use ocim_domain::ids::RunId;
use ocim_engine::leases::memory::MemoryLeases;
use ocim_engine::leases::postgres::PostgresLeases;
use ocim_engine::leases::{Claim, Leases, Tenure};
use ocim_engine::sagas::node_leases::{NodeLeases, Take};
use ocim_engine::sagas::runner::Fence;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const INSTANT: Duration = Duration::from_millis(1);

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn tenure(node: u128, epoch: u64) -> Tenure {
    Tenure { owner: id(node), epoch }
}

/// Takes the lease for the node as soon as it can be had.
async fn take(leases: &dyn Leases, resource: Uuid, node: u128, ttl: Duration) -> Tenure {
    loop {
        match leases.acquire(resource, id(node), ttl).await.unwrap() {
            Claim::Taken { tenure, .. } => return tenure,
            Claim::Held { ends_in, .. } => tokio::time::sleep(ends_in).await,
        }
    }
}

/// What every engine must do.
async fn check_engine(leases: &dyn Leases) {
    let run = id(7);
    assert_eq!(leases.holder(run).await.unwrap(), None);
    assert_eq!(take(leases, run, 1, HOUR).await, tenure(1, 1));
    let Claim::Held { by, ends_in } = leases.acquire(run, id(2), HOUR).await.unwrap() else {
        panic!("two have it")
    };
    assert_eq!(by, tenure(1, 1));
    assert!(ends_in <= HOUR && ends_in > HOUR / 2, "{ends_in:?}");
    assert_eq!(take(leases, id(8), 2, HOUR).await, tenure(2, 1), "another run is free");

    // A node that was started anew is alone with its id; its earlier life has lost the lease.
    assert_eq!(take(leases, run, 1, HOUR).await, tenure(1, 2));
    assert_eq!(leases.renew(id(1), &[(run, 1)], HOUR).await.unwrap(), BTreeSet::new());
    leases.release(run, tenure(1, 1)).await.unwrap();
    assert_eq!(leases.holder(run).await.unwrap().unwrap().0, tenure(1, 2));

    let all = [(run, 2), (id(8), 1), (id(9), 1)];
    assert_eq!(leases.renew(id(1), &all, HOUR).await.unwrap(), BTreeSet::from([run]));
    leases.release(run, tenure(1, 2)).await.unwrap();
    assert_eq!(leases.holder(run).await.unwrap(), None);
    assert_eq!(leases.renew(id(1), &[(run, 2)], HOUR).await.unwrap(), BTreeSet::new());

    // One that has ended is another's to take, and never to be lengthened.
    assert_eq!(take(leases, run, 2, INSTANT).await, tenure(2, 3));
    assert_eq!(take(leases, run, 1, HOUR).await, tenure(1, 4));
    assert_eq!(leases.renew(id(2), &[(run, 3)], HOUR).await.unwrap(), BTreeSet::new());
    assert_eq!(leases.renew(id(2), &[], HOUR).await.unwrap(), BTreeSet::new());

    // Of a run that is over nothing stays; whoever lost the lease can't end it.
    leases.end(run, tenure(2, 3)).await.unwrap();
    assert_eq!(leases.holder(run).await.unwrap().unwrap().0, tenure(1, 4));
    leases.end(run, tenure(1, 4)).await.unwrap();
    assert_eq!(leases.holder(run).await.unwrap(), None);
    assert_eq!(take(leases, run, 2, HOUR).await, tenure(2, 1), "as if nobody had ever had it");
}

#[tokio::test]
async fn leases_in_memory_conform() {
    check_engine(&MemoryLeases::new(Arc::new(SystemClock))).await;
}

#[tokio::test]
async fn leases_in_postgresql_conform() {
    check_engine(&PostgresLeases::new(Database::migrated().await.pool())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_nodes_that_ask_at_once_one_has_it() {
    let database = Database::migrated().await;
    let leases = PostgresLeases::new(database.pool());
    for run in 0..10 {
        let claims = (1..=8).map(|node| {
            let leases = leases.clone();
            tokio::spawn(async move { leases.acquire(id(run), id(node), HOUR).await.unwrap() })
        });
        let claims = join_all(claims).await;
        let taken = claims.iter().filter(|claim| matches!(claim, Ok(Claim::Taken { .. }))).count();
        assert_eq!(taken, 1, "{claims:?}");
    }
}

/// What nodes do, and what happens to them.
#[derive(Debug, Clone)]
enum Move {
    Take(usize, u128),
    Renew(usize),
    Release(usize, u128),
    /// The node dies; the next one with its id knows nothing.
    Restart(usize),
    Sleep(u64),
}

fn any_move() -> impl Strategy<Value = Move> {
    let (node, run) = (0..3_usize, 0..2_u128);
    prop_oneof![
        6 => (node.clone(), run.clone()).prop_map(|(node, run)| Move::Take(node, run)),
        3 => node.clone().prop_map(Move::Renew),
        2 => (node.clone(), run).prop_map(|(node, run)| Move::Release(node, run)),
        1 => node.prop_map(Move::Restart),
        4 => (1..40_u64).prop_map(Move::Sleep),
    ]
}

async fn check_moves(moves: Vec<Move>) -> Result<(), TestCaseError> {
    let clock = Arc::new(VirtualClock::start());
    let shared = Arc::new(MemoryLeases::new(clock));
    let start = |node: usize| {
        let node = id(1 + u128::try_from(node).unwrap());
        NodeLeases::new(shared.clone(), node, Limits::default().runner())
    };
    let mut nodes: Vec<NodeLeases> = (0..3).map(start).collect();
    for step in moves {
        match step {
            Move::Take(node, run) => {
                let free = shared.holder(id(run)).await.unwrap().is_none();
                let take = nodes[node].take(RunId(id(run))).await.unwrap();
                prop_assert!(!free || matches!(take, Take::Taken { .. }), "a free lease");
            }
            Move::Renew(node) => nodes[node].renew_all().await.unwrap(),
            Move::Release(node, run) => nodes[node].release(RunId(id(run))).await,
            Move::Restart(node) => nodes[node] = start(node),
            Move::Sleep(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
        for run in 0..2 {
            let mut holders = vec![];
            for node in &nodes {
                if node.holds(RunId(id(run))) {
                    holders.push(node.node());
                }
            }
            prop_assert!(holders.len() <= 1, "two hold it: {holders:?}");
            if let Some(holder) = holders.first() {
                let known = shared.holder(id(run)).await.unwrap().map(|(tenure, _)| tenure.owner);
                prop_assert_eq!(known, Some(*holder));
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_lease_is_never_held_by_two_at_once(
        moves in prop::collection::vec(any_move(), 1..60),
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check_moves(moves))?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_trusts_its_lease_until_shortly_before_its_end_and_is_told_of_the_loss() {
    let limits = Limits::default();
    let shared = Arc::new(MemoryLeases::new(Arc::new(VirtualClock::start())));
    let (one, other) = (
        NodeLeases::new(shared.clone(), id(1), limits.runner()),
        NodeLeases::new(shared, id(2), limits.runner()),
    );
    let run = RunId(id(7));
    let Take::Taken { lost, .. } = one.take(run).await.unwrap() else { panic!("it is free") };
    for _ in 0..5 {
        tokio::time::sleep(limits.lease_renewal).await;
        one.renew_all().await.unwrap();
        assert!(one.holds(run));
    }
    tokio::time::sleep(limits.lease_ttl - limits.lease_margin).await;
    assert!(!one.holds(run), "nothing is begun so shortly before the end");
    let Take::Held { ends_in } = other.take(run).await.unwrap() else { panic!("it is held") };
    assert_eq!(ends_in, limits.lease_margin);
    tokio::time::sleep(ends_in).await;
    assert!(
        matches!(other.take(run).await.unwrap(), Take::Taken { tenure, .. } if tenure.epoch == 2)
    );
    one.renew_all().await.unwrap();
    tokio::time::timeout(INSTANT, lost.notified()).await.expect("nobody was told");
    assert_eq!((one.count(), other.holds(run)), (0, true));
}
