//! Which position readers see of each projection, for whoever waits for their own write.

use ocim_domain::event::Position;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// What readers see of one projection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// All events up to here are in its tables.
    pub position: Position,
    /// It stands at a poison event: waiting for it is of no use.
    pub paused: bool,
}

/// The positions that readers see, by name of the projection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Freshness(watch::Sender<BTreeMap<&'static str, Served>>);

impl Freshness {
    /// Nothing is served yet.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        let start = names.into_iter().map(|name| (name, Served::default())).collect();
        Self(watch::Sender::new(start))
    }

    /// Changes of the positions, the present ones first.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<BTreeMap<&'static str, Served>> {
        self.0.subscribe()
    }

    /// Waits until every projection has passed `position`. False when that took longer than
    /// `wait`, or at once when one of them stands still.
    pub async fn wait_for(&self, position: Position, wait: Duration) -> bool {
        self.wait(|_| true, position, wait).await
    }

    /// The same for the projections with these names alone; true at once where none is named.
    pub async fn wait_for_some(&self, names: &[&str], position: Position, wait: Duration) -> bool {
        self.wait(|name| names.contains(&name), position, wait).await
    }

    async fn wait(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        position: Position,
        wait: Duration,
    ) -> bool {
        let passed = |served: &Served| served.position >= position;
        let wanted = |all: &BTreeMap<&'static str, Served>| -> Vec<Served> {
            all.iter().filter(|(name, _)| is_wanted(name)).map(|(_, served)| *served).collect()
        };
        let settled = |all: &BTreeMap<_, Served>| {
            let wanted = wanted(all);
            wanted.iter().all(passed) || wanted.iter().any(|it| it.paused && !passed(it))
        };
        let mut changes = self.0.subscribe();
        let reached = tokio::time::timeout(wait, changes.wait_for(settled)).await;
        reached.is_ok_and(|all| all.is_ok_and(|all| wanted(&all).iter().all(passed)))
    }

    /// Readers see everything up to here; never goes back.
    pub(super) fn publish(&self, name: &'static str, position: Position) {
        self.change(name, |served| Served {
            position: served.position.max(position),
            paused: false,
        });
    }

    /// The projection that readers see stands still.
    pub(super) fn pause(&self, name: &'static str) {
        self.change(name, |served| Served { paused: true, ..served });
    }

    fn change(&self, name: &'static str, next: impl FnOnce(Served) -> Served) {
        self.0.send_if_modified(|all| {
            let Some(served) = all.get_mut(name) else { return false };
            let before = *served;
            *served = next(before);
            *served != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn at(position: u64) -> Position {
        Position([position, 0])
    }

    #[tokio::test]
    async fn waits_for_the_slowest() {
        let freshness = Freshness::new(["a", "b"]);
        freshness.publish("a", at(7));
        assert!(!freshness.wait_for(at(7), Duration::from_millis(20)).await);

        let waiting = freshness.clone();
        let waiting = tokio::spawn(async move { waiting.wait_for(at(7), LONG).await });
        freshness.publish("b", at(8));
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn does_not_wait_for_what_stands_still() {
        let freshness = Freshness::new(["a", "b"]);
        freshness.publish("a", at(7));
        freshness.pause("a");
        freshness.publish("b", at(9));
        let start = tokio::time::Instant::now();
        assert!(!freshness.wait_for(at(8), LONG).await);
        assert!(freshness.wait_for(at(7), LONG).await, "what it has passed, it has passed");
        assert!(start.elapsed() < LONG);
    }

    #[tokio::test]
    async fn waits_for_those_alone_that_are_named() {
        let freshness = Freshness::new(["a", "b"]);
        freshness.publish("a", at(7));
        freshness.pause("b");
        assert!(freshness.wait_for_some(&["a"], at(7), LONG).await);
        assert!(freshness.wait_for_some(&[], at(9), LONG).await);
        assert!(!freshness.wait_for_some(&["a", "b"], at(7), LONG).await, "one stands still");
        assert!(!freshness.wait_for_some(&["a"], at(8), Duration::from_millis(20)).await);
    }

    #[tokio::test]
    async fn never_goes_back() {
        let freshness = Freshness::new(["a"]);
        freshness.publish("a", at(7));
        freshness.publish("a", at(3));
        assert_eq!(freshness.watch().borrow()["a"].position, at(7));
    }
}
