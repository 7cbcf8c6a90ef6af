//! Sentences about mails.

use super::{Teller, because};
use ocim_domain::mail::{About, Event};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    match event {
        Event::Requested { about, recipients, .. } => {
            let About::LaunchFailed { appserver, .. } = about;
            let people = people(*recipients);
            format!("Ocim writes to {people} that the launch of {} failed", teller.name(appserver))
        }
        Event::Delivered { refused: 0 } => "The mail server has taken a mail".to_owned(),
        Event::Delivered { refused } => {
            format!("The mail server has taken a mail, but not for {}", people(*refused))
        }
        Event::GivenUp { reason } => {
            format!("{} did not send a mail{}", teller.who(), because(Some(reason)))
        }
    }
}

fn people(count: u32) -> String {
    if count == 1 { "1 address".to_owned() } else { format!("{count} addresses") }
}
