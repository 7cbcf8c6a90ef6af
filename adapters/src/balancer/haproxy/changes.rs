//! Changes of one balancer that come while another is carried out: they wait together, and go as one.

use crate::balancer::Fragment;
use ocim_domain::port_error::PortError;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// What became of one change: HAProxy's warnings, line by line.
pub(super) type Outcome = Result<Vec<String>, PortError>;

/// Changes that wait, by the balancer's domain.
#[derive(Debug, Default)]
pub(super) struct Changes {
    balancers: Mutex<BTreeMap<String, Arc<Balancer>>>,
}

#[derive(Debug, Default)]
struct Balancer {
    /// Held by who carries changes out.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    fragment: Fragment,
    answer: oneshot::Sender<Outcome>,
}

impl Changes {
    /// Has a change carried out: by whoever has the turn, with all that wait then. `carry_out` takes them
    /// in the order in which they came, and says of each what became of it.
    pub(super) async fn change<F>(
        &self,
        domain: &str,
        fragment: &Fragment,
        carry_out: impl Fn(Vec<Fragment>) -> F,
    ) -> Outcome
    where
        F: Future<Output = Result<Vec<Outcome>, PortError>>,
    {
        let balancer = self.of(domain);
        // Whoever has the turn may be told to stop: then nobody answers, and it is tried again.
        loop {
            let (answer, mut answered) = oneshot::channel();
            balancer.waiting().push(Waiting { fragment: fragment.clone(), answer });
            let _turn = balancer.turn.lock().await;
            if let Ok(outcome) = answered.try_recv() {
                return outcome;
            }
            balancer.carry_out(&carry_out).await;
            if let Ok(outcome) = answered.try_recv() {
                return outcome;
            }
        }
    }

    fn of(&self, domain: &str) -> Arc<Balancer> {
        let mut balancers = self.balancers.lock().unwrap_or_else(PoisonError::into_inner);
        balancers.retain(|_, balancer| Arc::strong_count(balancer) > 1);
        Arc::clone(balancers.entry(domain.to_owned()).or_default())
    }
}

impl Balancer {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out<F>(&self, carry_out: impl Fn(Vec<Fragment>) -> F)
    where
        F: Future<Output = Result<Vec<Outcome>, PortError>>,
    {
        // Who waits no more has given up, and may have asked for another one since.
        let mut waiting = take(&mut *self.waiting());
        waiting.retain(|it| !it.answer.is_closed());
        let fragments = waiting.iter().map(|it| it.fragment.clone()).collect();
        let outcomes = match carry_out(fragments).await {
            Ok(outcomes) => outcomes,
            Err(error) => waiting.iter().map(|_| Err(error.clone())).collect(),
        };
        for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
            // Who has given up does not want to know.
            let _ = waiting.answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::time::Duration;

    const DOMAIN: &str = "b.example.org";

    fn named(name: &str) -> Fragment {
        Fragment { name: name.to_owned(), ..Fragment::default() }
    }

    /// Says the name of each, and notes how many came together.
    async fn echo(
        sizes: &Mutex<Vec<usize>>,
        all: Vec<Fragment>,
    ) -> Result<Vec<Outcome>, PortError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sizes.lock().unwrap().push(all.len());
        let refused = || PortError::transient("no");
        let outcome = |it: &Fragment| match it.name.as_str() {
            "bad" => Err(refused()),
            name => Ok(vec![name.to_owned()]),
        };
        Ok(all.iter().map(outcome).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_meanwhile_goes_together_and_each_has_its_own_answer() {
        let (changes, sizes) = (Changes::default(), Mutex::default());
        let names: Vec<String> = (0..50).map(|n| format!("{n}")).chain(["bad".into()]).collect();
        let all = join_all(names.iter().map(async |name| {
            let fragment = named(name);
            changes.change(DOMAIN, &fragment, |all| echo(&sizes, all)).await
        }))
        .await;
        for (name, outcome) in names.iter().zip(all) {
            match name.as_str() {
                "bad" => assert_eq!(outcome.unwrap_err().message, "no"),
                name => assert_eq!(outcome.unwrap(), [name]),
            }
        }
        assert_eq!(*sizes.lock().unwrap(), [1, 50], "the first one goes at once");
        assert!(changes.of("another").waiting().is_empty());
        assert_eq!(changes.balancers.lock().unwrap().len(), 1, "nobody waits at the other one");
    }

    #[tokio::test(start_paused = true)]
    async fn those_of_one_who_is_stopped_are_carried_out_by_the_next() {
        let (changes, sizes) = (Changes::default(), Mutex::default());
        let change =
            async |name: &str| changes.change(DOMAIN, &named(name), |all| echo(&sizes, all)).await;
        let stopped = async {
            let late = tokio::time::timeout(Duration::from_millis(500), change("first")).await;
            assert!(late.is_err());
        };
        let ((), second) = tokio::join!(stopped, change("second"));
        assert_eq!(second.unwrap(), ["second"]);
        assert_eq!(*sizes.lock().unwrap(), [1], "nobody waits for the first one any more");
    }
}
