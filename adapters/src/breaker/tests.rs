//! The breaker's three states, and what each lets through.

use super::*;
use crate::cloud::Cloud;
use crate::cloud::fake::FakeCloud;
use crate::faults::Fault;
use crate::system::FixedClock;
use futures_util::FutureExt;
use ocim_domain::port_error::Class;

const SECOND: Duration = Duration::from_secs(1);
pub(super) const LIMITS: BreakerLimits = BreakerLimits {
    failures_max: 3,
    open_base: Duration::from_secs(10),
    open_cap: Duration::from_secs(40),
};

fn breaker() -> (Arc<FixedClock>, Breaker) {
    let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH));
    (clock.clone(), Breaker::new("region north", clock, LIMITS))
}

async fn fail(breaker: &Breaker) -> Result<(), PortError> {
    breaker.call(async { Err(PortError::transient("no answer")) }).await
}

async fn succeed(breaker: &Breaker) -> Result<(), PortError> {
    breaker.call(async { Ok(()) }).await
}

/// Whether the call was made: a postponed one was not.
fn was_made(outcome: &Result<(), PortError>) -> bool {
    !outcome.as_ref().is_err_and(|error| error.message.contains("keeps failing"))
}

#[tokio::test]
async fn it_opens_after_failures_in_a_row_and_says_until_when() {
    let (clock, breaker) = breaker();
    for _ in 0..2 {
        assert!(was_made(&fail(&breaker).await));
    }
    succeed(&breaker).await.unwrap();
    let mut excused = vec![];
    for _ in 0..3 {
        let outcome = fail(&breaker).await;
        assert!(was_made(&outcome));
        excused.push(outcome.unwrap_err().free_for);
    }
    assert_eq!(excused, [None, None, Some(10 * SECOND)], "the one that opened it is excused");
    clock.advance(SECOND);
    let error = succeed(&breaker).await.unwrap_err();
    assert_eq!(error.free_for, Some(9 * SECOND));
    let told = "region north keeps failing: its circuit is open until 1970-01-01 00:00:10 UTC; \
                it said last: no answer";
    assert_eq!(error.message, told);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_it_open() {
    let (clock, breaker) = breaker();
    clock.advance(1_000 * SECOND);
    for _ in 0..3 {
        assert!(was_made(&fail(&breaker).await));
    }
    assert!(!was_made(&succeed(&breaker).await));
    clock.set(Timestamp::UNIX_EPOCH);
    assert!(was_made(&succeed(&breaker).await), "it was opened for ten seconds, not for thousand");
}

#[tokio::test]
async fn refusals_are_answers() {
    let (_, breaker) = breaker();
    let classes = [Class::Permanent, Class::Conflict, Class::RateLimited(SECOND)];
    for class in classes.iter().cycle().take(12).cloned() {
        let refused = breaker.call::<()>(async { Err(PortError::new(class, "no")) }).await;
        assert!(was_made(&refused));
    }
    assert_eq!(breaker.snapshot().state, BreakerState::Closed);
}

#[tokio::test]
async fn one_probe_decides_and_each_failed_one_doubles_the_pause_up_to_a_cap() {
    let (clock, breaker) = breaker();
    for _ in 0..3 {
        fail(&breaker).await.unwrap_err();
    }
    for pause in [10, 20, 40, 40] {
        clock.advance(pause * SECOND - Duration::from_millis(1));
        assert!(!was_made(&fail(&breaker).await), "{pause}");
        clock.advance(Duration::from_millis(1));
        assert!(was_made(&fail(&breaker).await), "{pause}");
        assert!(!was_made(&fail(&breaker).await), "{pause}");
    }
    clock.advance(40 * SECOND);
    succeed(&breaker).await.unwrap();
    assert_eq!(breaker.snapshot().state, BreakerState::Closed);
    assert!(was_made(&fail(&breaker).await));
    assert_eq!(breaker.snapshot().failures, 1);
}

#[tokio::test]
async fn while_the_probe_is_under_way_others_wait_and_a_dropped_probe_is_none() {
    let (clock, breaker) = breaker();
    for _ in 0..3 {
        fail(&breaker).await.unwrap_err();
    }
    clock.advance(10 * SECOND);
    let mut probe = Box::pin(breaker.call::<()>(std::future::pending()));
    assert!((&mut probe).now_or_never().is_none());
    assert_eq!(breaker.snapshot().state, BreakerState::HalfOpen);
    assert!(!was_made(&succeed(&breaker).await));
    drop(probe);
    succeed(&breaker).await.unwrap();
    assert_eq!(breaker.snapshot().state, BreakerState::Closed);
}

#[tokio::test]
async fn providers_do_not_share_a_breaker() {
    let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH));
    let breakers = Breakers::new(clock, LIMITS);
    let (dead, alive) = (Arc::new(FakeCloud::default()), Arc::new(FakeCloud::default()));
    dead.faults.fail_always("list_machines", Fault::Before(Class::Transient));
    let north = Guarded::<dyn Cloud>::new(dead.clone(), &breakers, "region north");
    let south = Guarded::<dyn Cloud>::new(alive, &breakers, "region south");
    for _ in 0..500 {
        north.list_machines().await.unwrap_err();
        south.list_machines().await.unwrap();
    }
    assert_eq!(dead.faults.calls("list_machines"), LIMITS.failures_max);
    let shown = breakers.snapshot();
    let providers: Vec<_> = shown.iter().map(|it| it.provider.as_str()).collect();
    assert_eq!(providers, ["region north", "region south"]);
    assert!(matches!(shown[0].state, BreakerState::Open { .. }), "{shown:?}");
    assert_eq!(shown[1].state, BreakerState::Closed);
}
