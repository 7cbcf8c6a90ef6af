//! Sentences about load balancers and reserved names.

use super::{Teller, because};
use ocim_domain::{load_balancer, name};

pub(super) fn tell(teller: &Teller<'_>, event: &load_balancer::Event) -> String {
    use load_balancer::Event as E;
    let (who, it) = (teller.who(), teller.own_name());
    match event {
        E::Registered(known) => format!("{who} registered the load balancer {}", known.domain),
        E::RegistrationChanged(known) => {
            format!("{who} changed what is known of the load balancer {}", known.domain)
        }
        E::AcceptanceChanged { accepts_new_backends: true } => {
            format!("The load balancer {it} takes new sites")
        }
        E::AcceptanceChanged { accepts_new_backends: false } => {
            format!("The load balancer {it} takes no new sites")
        }
        E::ClientAdmitted { client } => {
            format!("{who} let {} use the load balancer {it}", teller.name(client))
        }
        E::ClientReleased { client } => {
            format!("{} uses the load balancer {it} no more", teller.name(client))
        }
        E::Retired {} => {
            let why = because(teller.recorded.meta.reason.as_deref());
            format!("{who} retired the load balancer {it}{why}")
        }
        E::FragmentApplied { fragment, digest: Some(_) } => {
            format!("The load balancer {it} serves the newest version of {fragment}")
        }
        E::FragmentApplied { fragment, digest: None } => {
            format!("The load balancer {it} has no {fragment} any more")
        }
        E::Troubled { troubles } => {
            let told: Vec<_> = troubles.iter().map(ToString::to_string).collect();
            format!("The load balancer {it} is not as it should be: {}", told.join("; "))
        }
        E::Recovered {} => format!("The load balancer {it} is as it should be again"),
        E::PreparationRequested { reason, .. } => format!(
            "{who} asked to have everything at the load balancer {it} as it should be{}",
            because(reason.as_deref())
        ),
    }
}

pub(super) fn tell_name(teller: &Teller<'_>, event: &name::Event) -> String {
    use name::Event as E;
    let who = teller.who();
    match event {
        E::Reserved { name, owner, .. } => {
            format!("{who} reserved the name {name} for {}", teller.name(owner))
        }
        E::Renewed { owner } => format!("{who} holds on to a name of {}", teller.name(owner)),
        E::Reclaimed { from, owner } => {
            let (from, owner) = (teller.name(from), teller.name(owner));
            format!("{who} gave {owner} a name that {from} never came to want")
        }
        E::Released { owner } => format!("{who} released a name of {}", teller.name(owner)),
    }
}
