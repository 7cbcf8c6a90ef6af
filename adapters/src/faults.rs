//! Faults that tests order from the in-memory fakes, and the count of each fake's calls.

use ocim_domain::port_error::{Class, PortError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

tokio::task_local! {
    /// What calls are made for, as tests want it noted beside each: a step.
    pub static MADE_FOR: &'static str;
}

/// When a call fails, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Before it has any effect.
    Before(Class),
    /// After its effect: the reply is lost. The class is usually [`Class::Ambiguous`].
    After(Class),
    /// It never comes back, and has no effect.
    Hang,
}

/// The faults one fake has in store, by operation: the port method's name, e.g. `create_machine`.
///
/// A fake begins each operation with [`Faults::before`] and ends it with [`Faults::after`].
/// Cloning is not offered: tests hold the fake itself, and order through it.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<String, Orders>>);

#[derive(Debug, Default, Clone)]
struct Orders {
    calls: u32,
    made_for: Vec<&'static str>,
    nth: BTreeMap<u32, Fault>,
    always: Option<Fault>,
}

impl Orders {
    /// The fault of the call that was counted last.
    fn current(&self) -> Option<&Fault> {
        self.nth.get(&self.calls).or(self.always.as_ref())
    }
}

impl Faults {
    /// Orders a fault for the `nth` call of an operation, counted from 1 over the fake's life.
    pub fn fail(&self, operation: &str, nth: u32, fault: Fault) {
        self.lock().entry(operation.to_owned()).or_default().nth.insert(nth, fault);
    }

    /// Orders a fault for every call of an operation that has none of its own.
    pub fn fail_always(&self, operation: &str, fault: Fault) {
        self.lock().entry(operation.to_owned()).or_default().always = Some(fault);
    }

    /// Counts a call of the operation; one that is to hang never gets further.
    ///
    /// # Errors
    /// The one that [`Fault::Before`] orders for this call.
    pub async fn before(&self, operation: &str) -> Result<(), PortError> {
        let fault = {
            let mut all = self.lock();
            let orders = all.entry(operation.to_owned()).or_default();
            orders.calls += 1;
            orders.made_for.push(MADE_FOR.try_get().unwrap_or_default());
            orders.current().cloned()
        };
        match fault {
            Some(Fault::Before(class)) => Err(ordered(operation, &class)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::After(_)) | None => Ok(()),
        }
    }

    /// To be called once the effect is done.
    ///
    /// # Errors
    /// The one that [`Fault::After`] orders for the call that was counted last.
    pub fn after(&self, operation: &str) -> Result<(), PortError> {
        match self.lock().get(operation).and_then(Orders::current) {
            Some(Fault::After(class)) => Err(ordered(operation, class)),
            Some(Fault::Before(_) | Fault::Hang) | None => Ok(()),
        }
    }

    /// What each call of each operation was made for, in turn; blank where nobody said so.
    pub fn made_for(&self) -> BTreeMap<String, Vec<&'static str>> {
        self.lock().iter().map(|(name, orders)| (name.clone(), orders.made_for.clone())).collect()
    }

    /// How often each operation was called that was called at all.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        self.lock().iter().map(|(name, orders)| (name.clone(), orders.calls)).collect()
    }

    /// How often the operation was called, failed calls included.
    pub fn calls(&self, operation: &str) -> u32 {
        self.lock().get(operation).map_or(0, |orders| orders.calls)
    }

    /// The same orders and counts, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    /// Withdraws all orders; the counts stay.
    pub fn clear(&self) {
        for orders in self.lock().values_mut() {
            orders.nth.clear();
            orders.always = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Orders>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ordered(operation: &str, class: &Class) -> PortError {
    PortError::new(class.clone(), format!("`{operation}` failed as ordered"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_ordered_call_fails_and_at_the_ordered_moment() {
        let faults = Faults::default();
        faults.fail("create", 2, Fault::Before(Class::Transient));
        faults.fail("create", 3, Fault::After(Class::Ambiguous));
        let mut outcomes = vec![];
        for _ in 0..4 {
            let before = faults.before("create").await.map_err(|error| error.class);
            outcomes.push((before, faults.after("create").map_err(|error| error.class)));
        }
        assert_eq!(
            outcomes,
            [
                (Ok(()), Ok(())),
                (Err(Class::Transient), Ok(())),
                (Ok(()), Err(Class::Ambiguous)),
                (Ok(()), Ok(())),
            ]
        );
        assert_eq!((faults.calls("create"), faults.calls("delete")), (4, 0));
        assert_eq!(faults.counts(), BTreeMap::from([("create".to_owned(), 4)]));
    }

    #[tokio::test]
    async fn a_lasting_fault_ends_when_orders_are_cleared() {
        let faults = Faults::default();
        faults.fail_always("read", Fault::Before(Class::Permanent));
        let read = || faults.before("read");
        assert!(read().await.is_err() && read().await.is_err());
        assert!(faults.before("list").await.is_ok());
        faults.clear();
        assert!(MADE_FOR.scope("a step", read()).await.is_ok());
        assert_eq!(faults.made_for()["read"], ["", "", "a step"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_counted_and_never_comes_back() {
        let faults = Faults::default();
        faults.fail("read", 1, Fault::Hang);
        let longest = std::time::Duration::from_secs(3600);
        assert!(tokio::time::timeout(longest, faults.before("read")).await.is_err());
        assert!(faults.before("read").await.is_ok());
        assert_eq!(faults.calls("read"), 2);
    }
}
