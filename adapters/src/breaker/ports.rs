//! Ports behind circuits: each call goes through the circuit of its provider, and what is answered comes
//! through fit to be stored. A port is a row here: its calls, and whom each of them asks.

use super::Breakers;
use crate::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use crate::cloud::{Cloud, Machine, MachineSpec};
use crate::dns::{Alias, Dns};
use crate::playbooks::{OutputLine, Playable, PlaybookRun, Playbooks, RunState, Source};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::text::make_storable;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A port behind circuits.
#[derive(Debug)]
pub struct Guarded<P: ?Sized> {
    inner: Arc<P>,
    breakers: Breakers,
    provider: String,
}

impl<P: ?Sized> Guarded<P> {
    /// A port of one provider, which is called so, e.g. `region north`.
    #[must_use]
    pub fn new(inner: Arc<P>, breakers: &Breakers, provider: impl Into<String>) -> Self {
        Self { inner, breakers: breakers.clone(), provider: provider.into() }
    }

    /// A port of many providers: each call says which one it asks.
    #[must_use]
    pub fn per_call(inner: Arc<P>, breakers: &Breakers) -> Self {
        Self::new(inner, breakers, "")
    }

    async fn call<T: Answer>(
        &self,
        asked: Asked,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let provider = match asked {
            Asked::Own => &self.provider,
            Asked::Provider(ref provider) => provider,
            Asked::Nobody => return Ok(call.await?.made_storable()),
        };
        Ok(self.breakers.of(provider).call(call).await?.made_storable())
    }
}

/// Whom a call asks.
enum Asked {
    /// The port's own provider.
    Own,
    /// The one of this name.
    Provider(String),
    /// What it is about is on this machine.
    Nobody,
}

/// What a provider answers.
trait Answer: Sized {
    /// The same, fit to be stored.
    fn made_storable(self) -> Self {
        self
    }
}

impl Answer for () {}
impl Answer for bool {}
impl Answer for u64 {}
impl Answer for BalancerState {}
impl Answer for Fragment {}
impl Answer for OutputLine {}
impl Answer for RunState {}

impl Answer for String {
    fn made_storable(self) -> Self {
        make_storable(&self).into_owned()
    }
}

impl Answer for Machine {
    fn made_storable(self) -> Self {
        Self::made_storable(self)
    }
}

impl<T: Answer> Answer for Option<T> {
    fn made_storable(self) -> Self {
        self.map(T::made_storable)
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn made_storable(self) -> Self {
        self.into_iter().map(T::made_storable).collect()
    }
}

impl<T: Answer, U: Answer> Answer for (T, U) {
    fn made_storable(self) -> Self {
        (self.0.made_storable(), self.1.made_storable())
    }
}

/// A port's calls; those of the first block ask nobody, and do not wait.
macro_rules! guarded {
    ($port:ident {
        $($told:ident($($told_argument:ident: $told_type:ty),*) -> $told_answer:ty;)*
    } {
        $($call:ident($($argument:ident: $type:ty),*) -> $answer:ty, asks $asked:expr;)*
    }) => {
        #[async_trait]
        impl $port for Guarded<dyn $port> {
            $(fn $told(&self, $($told_argument: $told_type),*) -> $told_answer {
                self.inner.$told($($told_argument),*)
            })*

            $(async fn $call(&self, $($argument: $type),*) -> Result<$answer, PortError> {
                self.call($asked, self.inner.$call($($argument),*)).await
            })*
        }
    };
}

guarded! { Cloud {
    lacks_security_groups() -> Option<&'static str>;
} {
    ensure_security_groups(names: &[String]) -> (), asks Asked::Own;
    find_security_groups(names: &[String]) -> bool, asks Asked::Own;
    create_machine(spec: &MachineSpec) -> Machine, asks Asked::Own;
    find_machine(key: Uuid) -> Option<Machine>, asks Asked::Own;
    read_machine(id: &str) -> Option<Machine>, asks Asked::Own;
    reboot_machine(id: &str) -> (), asks Asked::Own;
    delete_machine(id: &str) -> (), asks Asked::Own;
    read_console(id: &str) -> String, asks Asked::Own;
    list_machines() -> Vec<Machine>, asks Asked::Own;
}}

guarded! { Dns {
    may_point_at(balancer: IpAddr) -> bool;
} {
    set_alias(alias: &Alias) -> (), asks Asked::Own;
    read_alias(name: &str) -> Option<String>, asks Asked::Own;
    remove_alias(name: &str) -> (), asks Asked::Own;
}}

guarded! { Playbooks {} {
    resolve_playbook(wanted: Playable<'_>) -> Option<String>, asks host_of(wanted.source);
    start_playbook(run: &PlaybookRun) -> (), asks host_of(&run.source);
    read_playbook(key: Uuid) -> RunState, asks Asked::Nobody;
    read_output(key: Uuid, offset: u64) -> (Vec<OutputLine>, u64), asks Asked::Nobody;
    cancel_playbook(key: Uuid) -> (), asks Asked::Nobody;
    forget_playbook(key: Uuid) -> (), asks Asked::Nobody;
}}

guarded! { LoadBalancer {} {
    read_balancer(host: &BalancerHost) -> BalancerState, asks balancer(host);
    prepare_balancer(host: &BalancerHost) -> (), asks balancer(host);
    apply_fragment(host: &BalancerHost, fragment: &Fragment) -> Vec<String>, asks balancer(host);
    read_fragment(host: &BalancerHost, name: &str) -> Option<Fragment>, asks balancer(host);
    switch_servers(host: &BalancerHost, backend: &str, to: &[String], from: &[String]) -> (),
        asks balancer(host);
    count_connections(host: &BalancerHost, backend: &str, server: &str) -> u64, asks balancer(host);
}}

/// Where a playbook comes from.
fn host_of(source: &Source) -> Asked {
    Asked::Provider(match source {
        Source::Bundled(name) => format!("playbooks bundled:{name}"),
        Source::Git { repository, .. } => format!("playbooks {}", without_login(repository)),
    })
}

fn balancer(host: &BalancerHost) -> Asked {
    Asked::Provider(format!("balancer {}", host.domain))
}

/// A repository's URL without user and password: it goes into messages.
fn without_login(repository: &str) -> String {
    match (repository.split_once("://"), repository.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => repository.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_name_holds_no_password() {
        let cases = [
            ("https://user:secret@git.example.com/a.git", "https://git.example.com/a.git"),
            ("https://git.example.com/a.git", "https://git.example.com/a.git"),
            ("git@git.example.com:a.git", "git@git.example.com:a.git"),
        ];
        for (repository, shown) in cases {
            assert_eq!(without_login(repository), shown);
        }
    }
}
