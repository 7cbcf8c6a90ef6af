//! Every event means something: after some history it changes the state. Those that tell people alone are
//! listed, each with its reason.

use crate::sample::each_aggregate;
use ocim_domain::decider::Decider;
use ocim_domain::event::DomainEvent;
use std::collections::BTreeSet;

/// What changes nothing here.
const TOLD_ALONE: &[(&str, &str)] = &[
    ("instance.domains_released", "no sample drops a domain: `instance` tries that"),
    ("instance.name_disowned", "whose the name is stands in the stream of the name"),
    ("name.renewed", "its owner has it already"),
];

/// The kinds that change nothing after up to three other events, in any order.
fn without_meaning<D: Decider>(samples: &[D::Event]) -> BTreeSet<String>
where
    D::State: PartialEq,
{
    let kind_of = |event: &D::Event| event.encode().unwrap().0;
    let mut left: BTreeSet<_> = samples.iter().map(kind_of).collect();
    let mut states = vec![D::State::default()];
    for _ in 0..4 {
        let mut next = vec![];
        for state in &states {
            for event in samples {
                let after = D::evolve(state.clone(), event);
                if after != *state {
                    left.remove(&kind_of(event));
                    next.push(after);
                }
            }
        }
        if left.is_empty() || next.len() > 20_000 {
            break;
        }
        states = next;
    }
    left
}

#[test]
fn every_event_changes_the_state_after_some_history() {
    let silent: BTreeSet<_> = each_aggregate!(without_meaning).into_iter().flatten().collect();
    assert_eq!(silent, TOLD_ALONE.iter().map(|(kind, _)| (*kind).to_owned()).collect());
}
