//! Each kind of fault occurs, and what Ocim then does is right.

use ocim::simulation::{Plan, simulate};
use ocim_adapters::simulated::FaultKind;
use std::collections::BTreeSet;

#[test]
fn every_kind_of_fault_is_met_and_survived() {
    let mut left: BTreeSet<_> = FaultKind::ALL.into();
    for seed in 100..140 {
        let plan = Plan { seed, launches: 8, faults: 0.6, crashes: 0.0 };
        let report = simulate(&plan).unwrap();
        assert_eq!(report.violations, [], "seed {seed}");
        left.retain(|kind| !report.faults.contains_key(kind));
        if left.is_empty() {
            return;
        }
    }
    panic!("never met: {left:?}");
}
