//! Sentences about machines.

use super::Teller;
use ocim_domain::server::{BootCause, Event, Power};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let (who, it) = (teller.who(), teller.own_name());
    match event {
        Event::Requested(requested) => {
            format!("{who} wants a machine {} in {}", requested.name, requested.region)
        }
        Event::BuildingStarted {} => format!("{who} asks the cloud for the machine {it}"),
        Event::MachineRecorded { machine } => format!("{who} made the machine {it} ({machine})"),
        Event::BuildFailed { reason } => format!("The machine {it} could not be built: {reason}"),
        Event::BootingStarted { address, cause } => {
            let cause = match cause {
                BootCause::Built => "boots for the first time",
                BootCause::Rebooted => "boots again",
                BootCause::FoundAgain => "is in sight again, and boots",
            };
            let place = address.as_ref().map(|it| format!(" at {}", it.ip)).unwrap_or_default();
            format!("The machine {it} {cause}{place}")
        }
        Event::BecameReady { .. } => format!("The machine {it} answers SSH"),
        Event::SightLost { reason } => format!("{who} lost sight of the machine {it}: {reason}"),
        Event::FoundBuilding {} => format!("{who} sees the machine {it} again: it is being built"),
        Event::Terminated {} => format!("The machine {it} is gone"),
        Event::Vanished { .. } => format!("The machine {it} vanished, though nobody took it away"),
        Event::CameBack { after } => {
            format!("The machine {it} is there again, and {}", told(*after))
        }
        Event::PowerChanged { after, .. } => format!("The machine {it} {}", told(*after)),
        Event::ErrorSeen { fault, .. } => format!("The cloud gave up on the machine {it}: {fault}"),
    }
}

/// What a machine does, as the end of a sentence.
fn told(power: Power) -> &'static str {
    match power {
        Power::Building => "is being built",
        Power::Active => "is switched on",
        Power::Shutoff => "is switched off",
        Power::Error => "is in error",
    }
}
