//! Faults that tests order from the in-memory fakes, and the count of each fake's calls.

use ocim_domain::port_error::{Class, PortError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// When a call fails, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Before it has any effect.
    Before(Class),
    /// After its effect: the reply is lost. The class is usually [`Class::Ambiguous`].
    After(Class),
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

    /// Counts a call of the operation.
    ///
    /// # Errors
    /// The one that [`Fault::Before`] orders for this call.
    pub fn before(&self, operation: &str) -> Result<(), PortError> {
        let mut all = self.lock();
        let orders = all.entry(operation.to_owned()).or_default();
        orders.calls += 1;
        match orders.current() {
            Some(Fault::Before(class)) => Err(ordered(operation, class)),
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
            Some(Fault::Before(_)) | None => Ok(()),
        }
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

    #[test]
    fn only_the_ordered_call_fails_and_at_the_ordered_moment() {
        let faults = Faults::default();
        faults.fail("create", 2, Fault::Before(Class::Transient));
        faults.fail("create", 3, Fault::After(Class::Ambiguous));
        let outcomes: Vec<_> = (0..4)
            .map(|_| {
                let before = faults.before("create").map_err(|error| error.class);
                (before, faults.after("create").map_err(|error| error.class))
            })
            .collect();
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

    #[test]
    fn a_lasting_fault_ends_when_orders_are_cleared() {
        let faults = Faults::default();
        faults.fail_always("read", Fault::Before(Class::Permanent));
        assert!(faults.before("read").is_err() && faults.before("read").is_err());
        assert!(faults.before("list").is_ok());
        faults.clear();
        assert!(faults.before("read").is_ok());
        assert_eq!(faults.calls("read"), 3);
    }
}
