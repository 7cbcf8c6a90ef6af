//! Servers that are to be added, as people and settings tell of them.

use super::{Address, Registration};
use crate::protected::Protected;
use std::fmt;

/// A server that is to be added.
#[derive(Clone, PartialEq, Eq)]
pub struct NewServer<A> {
    /// What people call it; where it is blank, what its address says.
    pub name: String,
    /// What people should know of it.
    pub description: String,
    /// Where it is.
    pub address: A,
    /// The account that administers it.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Whether it may be given to instances.
    pub accepts_new_clients: bool,
}

impl<A: fmt::Debug> fmt::Debug for NewServer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<A: Address> NewServer<A> {
    /// What is to be known of it, written as it is compared, and its id.
    #[must_use]
    pub fn registration(self) -> (A::Id, Registration<A>) {
        let address = self.address.normalized();
        let id = address.server_id();
        let name = match self.name.trim() {
            "" => address.default_name(),
            name => name,
        };
        let registration = Registration {
            name: name.to_owned(),
            description: self.description,
            username: self.username,
            password: Protected::new(id.to_string(), self.password),
            accepts_new_clients: self.accepts_new_clients,
            address,
        };
        (id, registration)
    }
}
