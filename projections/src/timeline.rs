//! Every event as one sentence for people: who did what, in words that need no manual.

mod appservers;
mod balancers;
mod bulk;
mod incidents;
mod instances;
mod mails;
mod regions;
mod resources;
mod runs;
mod servers;
mod shared_servers;
mod timers;
mod tokens;

use crate::decode;
use ocim_domain::event::{DomainEvent, Recorded};
use ocim_domain::shared_server::{Mongodb, Mysql, Rabbitmq};
use ocim_domain::{
    appserver, event_log, incident, instance, inventory, ledger, load_balancer, mail, name,
    projection, region, saga, server, shared_server, timer, token,
};
use std::collections::BTreeMap;
use std::fmt::Display;

/// What a sentence may say beside what its event holds.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// What people call the things with these ids, e.g. `AppServer 3`.
    pub names: BTreeMap<String, String>,
    /// How the attempts went that events end, by the run's id and the event's version.
    pub attempts: BTreeMap<(String, u64), Attempt>,
}

/// One attempt at a step, or at its undo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// The event as a sentence, without a full stop; `None` where this version does not know the kind
/// or can't read the payload.
#[must_use]
pub fn sentence(recorded: &Recorded, context: &Context) -> Option<String> {
    let teller = Teller { recorded, context };
    teller
        .tell::<instance::Event>(instances::tell)
        .or_else(|| teller.tell::<appserver::Event>(appservers::tell))
        .or_else(|| teller.tell::<server::Event>(servers::tell))
        .or_else(|| teller.tell::<load_balancer::Event>(balancers::tell))
        .or_else(|| teller.tell::<shared_server::Event<Mysql>>(shared_servers::tell))
        .or_else(|| teller.tell::<shared_server::Event<Mongodb>>(shared_servers::tell))
        .or_else(|| teller.tell::<shared_server::Event<Rabbitmq>>(shared_servers::tell))
        .or_else(|| teller.tell::<name::Event>(balancers::tell_name))
        .or_else(|| teller.tell::<incident::Event>(incidents::tell))
        .or_else(|| teller.tell::<region::Event>(regions::tell))
        .or_else(|| teller.tell::<inventory::Event>(regions::tell_inventory))
        .or_else(|| teller.tell::<ledger::Event>(resources::tell))
        .or_else(|| teller.tell::<projection::Event>(regions::tell_projection))
        .or_else(|| teller.tell::<mail::Event>(mails::tell))
        .or_else(|| teller.tell::<timer::Event>(timers::tell))
        .or_else(|| teller.tell::<token::Event>(tokens::tell))
        .or_else(|| teller.tell::<ocim_domain::bulk::Event>(bulk::tell))
        .or_else(|| teller.tell::<event_log::Event>(event_log_tell))
        .or_else(|| teller.tell::<saga::Event>(runs::tell))
}

fn event_log_tell(teller: &Teller<'_>, event: &event_log::Event) -> String {
    let event_log::Event::HeadAccepted { known, found, reason } = event;
    let seen = known
        .as_ref()
        .map_or_else(String::new, |known| format!(", though {} had been seen", known.position));
    let who = teller.who();
    format!(
        "{who} took the event log, which ends at {}, for the right one{seen}: {reason}",
        found.position
    )
}

/// What people call an actor: the name of a person or token, and Ocim itself for all the rest.
#[must_use]
pub fn actor_name(actor: &str) -> String {
    match actor.split_once(':') {
        Some(("token" | "local" | "user", name)) if !name.is_empty() => name.to_owned(),
        _ => "Ocim".to_owned(),
    }
}

/// An event on its way into words.
struct Teller<'a> {
    recorded: &'a Recorded,
    context: &'a Context,
}

impl Teller<'_> {
    fn tell<E: DomainEvent>(&self, say: fn(&Self, &E) -> String) -> Option<String> {
        decode::<E>(self.recorded).ok().flatten().map(|event| say(self, &event))
    }

    /// Who did it.
    fn who(&self) -> String {
        actor_name(&self.recorded.meta.actor)
    }

    /// What people call the thing with this id; the id itself where nobody knows.
    fn name(&self, id: impl Display) -> String {
        let id = id.to_string();
        self.context.names.get(&id).cloned().unwrap_or(id)
    }

    /// What people call the thing whose stream this is.
    fn own_name(&self) -> String {
        self.name(crate::history::subject_of(&self.recorded.stream))
    }

    /// ` (attempt 2, 41 s)`, where it is known and worth telling.
    fn attempt(&self) -> String {
        let run = crate::history::subject_of(&self.recorded.stream);
        let Some(attempt) = self.context.attempts.get(&(run, self.recorded.version)) else {
            return String::new();
        };
        let took = duration(attempt.seconds);
        if attempt.number > 1 {
            format!(" (attempt {}, {took})", attempt.number)
        } else {
            format!(" ({took})")
        }
    }
}

/// Seconds in the unit that suits them: `0.3 s`, `41 s`, `12 min 5 s`, `2 h 3 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive")]
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

/// `: reason`, where there is one.
fn because(reason: Option<&str>) -> String {
    reason
        .filter(|text| !text.trim().is_empty())
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}

/// `a`, `a and b`, `a, b and c`.
fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_a_unit_that_suits_them() {
        let told = [0.04, 9.94, 41.4, 125.0, 3599.6, 7380.0].map(duration);
        assert_eq!(told, ["0.0 s", "9.9 s", "41 s", "2 min 5 s", "1 h 0 min", "2 h 3 min"]);
    }

    #[test]
    fn actors_have_names_and_lists_have_an_and() {
        let named = ["token:alice", "local:bob", "saga:run_7", "system", ""].map(actor_name);
        assert_eq!(named, ["alice", "bob", "Ocim", "Ocim", "Ocim"]);
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!((list(&items), list(&items[..1]).as_str()), ("a, b and c".into(), "a"));
    }
}
