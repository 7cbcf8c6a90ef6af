//! The rules of links that lead single browsers to one Appserver.

use crate::given::given;
use crate::sample::{at, load_balancer_id, run_id, settings, test_link};
use ocim_domain::instance::test_links::{Command as Ask, DAYS_MAX, LINKS_MAX, Refused};
use ocim_domain::instance::{Command, Event, Instance, TestLink};
use std::collections::BTreeSet;
use uuid::Uuid;

fn history() -> Vec<Event> {
    let created = Event::Created { settings: Box::new(settings()) };
    vec![created, Event::LoadBalancerAssigned { load_balancer: load_balancer_id() }]
}

fn make(link: TestLink) -> Command {
    Command::TestLink(Ask::Make { run: run_id(11), link })
}

fn made(link: TestLink, second: i64) -> Event {
    Event::TestLinkMade { run: run_id(11), link, at: at(second) }
}

fn link(number: u128, until: i64) -> TestLink {
    TestLink { id: Uuid::from_u128(number), until: at(until), ..test_link() }
}

#[test]
fn links_are_made_for_a_time_that_people_see_the_end_of() {
    given::<Instance>(history()).when_then(make(test_link()), [made(test_link(), 9)]);
    let given_made = given::<Instance>(history()).after(make(test_link()));
    given_made.when_silent(make(test_link()));
    let longest = 9 + DAYS_MAX * 86_400;
    given::<Instance>(history()).when_then(make(link(1, longest)), [made(link(1, longest), 9)]);
    for wrong in [9, longest + 1] {
        given::<Instance>(history()).when_refused(make(link(1, wrong)), Refused::Until.into());
    }
    given::<Instance>(history()[..1].to_vec())
        .when_refused(make(test_link()), Refused::NoBalancer.into());
}

#[test]
fn those_that_are_over_make_room_for_others() {
    let mut events = history();
    events.extend((0..LINKS_MAX).map(|number| made(link(number as u128, 60), 0)));
    let full = given::<Instance>(events.clone());
    full.when_refused(make(link(99, 60)), Refused::TooMany.into());
    let dropped = Event::TestLinkDropped { run: run_id(11), link: Uuid::from_u128(3) };
    full.when_then(
        Command::TestLink(Ask::Drop { run: run_id(11), link: Uuid::from_u128(3) }),
        [dropped.clone()],
    );
    full.when_silent(Command::TestLink(Ask::Drop { run: run_id(11), link: Uuid::from_u128(77) }));
    let room = given::<Instance>([events.clone(), vec![dropped]].concat());
    room.when_then(make(link(99, 60)), [made(link(99, 60), 9)]);
    // What is over is forgotten with the next one, so that they never add up.
    events.push(made(link(99, 120), 60));
    let state = given::<Instance>(events);
    assert_eq!(state.state().present().unwrap().test_links, [link(99, 120)]);
}

#[test]
fn each_link_has_a_secret_of_its_own_that_follows_from_the_sites() {
    let secrets: BTreeSet<_> =
        (0..4).map(|number| link(number, 60).secret(&settings()).unwrap()).collect();
    assert_eq!(secrets.len(), 4);
    for secret in &secrets {
        assert_eq!(secret.len(), 40);
        assert!(secret.chars().all(|c| c.is_ascii_hexdigit()), "{secret}");
    }
    assert!(secrets.contains(&link(2, 90).secret(&settings()).unwrap()), "its end has no part");
}

#[test]
fn no_link_leads_to_a_site_that_is_archived_or_deleted() {
    let (run, reason) = (run_id(2), "nobody learns here any more".to_owned());
    let open = given::<Instance>([history(), vec![made(link(1, 60), 0)]].concat());
    assert_eq!(open.state().present().unwrap().open_links(at(59)).count(), 1);
    assert_eq!(open.state().present().unwrap().open_links(at(60)).count(), 0);
    for end in [
        [Event::ArchiveRequested { run, reason: reason.clone() }, Event::Archived { run }],
        [
            Event::DeletionRequested { run, reason, ignore: vec![], again: false },
            Event::Deleted { run, residue: vec![] },
        ],
    ] {
        let events = [history(), vec![made(link(1, 60), 0)], end.to_vec()].concat();
        let gone = given::<Instance>(events);
        assert_eq!(gone.state().present().unwrap().test_links, []);
    }
}
