//! The rules by which visitors get a page instead of a site, and the page.

use crate::given::given;
use crate::sample::{at, hold, instance_id, load_balancer_id, maintenance, run_id, settings};
use ocim_domain::fragment::{FragmentInput, FragmentServer, compose_fragment};
use ocim_domain::instance::lifecycle::Command as Life;
use ocim_domain::instance::maintenance::{Command as Ask, DAYS_MAX, MESSAGE_CHARS_MAX, Refused};
use ocim_domain::instance::{Command, Event, Instance, Maintenance, hold as holds};
use ocim_domain::names::RoutedNames;

fn created() -> Event {
    Event::Created { settings: Box::new(settings()) }
}

fn with_balancer() -> Vec<Event> {
    vec![created(), Event::LoadBalancerAssigned { load_balancer: load_balancer_id() }]
}

fn request(run: u128, page: Option<Maintenance>) -> Command {
    Command::Maintenance(Ask::Request { run: run_id(run), page })
}

fn requested(run: u128, page: Option<Maintenance>) -> Event {
    Event::MaintenanceRequested { run: run_id(run), page }
}

fn changed(run: u128, page: Option<Maintenance>) -> Event {
    Event::MaintenanceChanged { run: run_id(run), page }
}

fn record(run: u128) -> Command {
    Command::Maintenance(Ask::Record { run: run_id(run) })
}

fn stop(run: u128) -> Command {
    Command::Maintenance(Ask::Stop { run: run_id(run) })
}

fn under() -> Vec<Event> {
    let page = || Some(maintenance());
    [with_balancer(), vec![requested(1, page()), changed(1, page())]].concat()
}

#[test]
fn what_is_asked_for_and_what_is_are_told_apart() {
    let asked = given::<Instance>(with_balancer()).after(request(1, Some(maintenance())));
    let state = asked.state().present().unwrap();
    assert_eq!(state.maintenance, None);
    assert_eq!(state.maintenance_change.as_ref().unwrap().page, Some(maintenance()));
    asked.when_silent(request(1, Some(maintenance())));
    asked.when_refused(request(2, None), Refused::InFlight { run: run_id(1) }.into());
    let done = asked.after(record(1));
    let state = done.state().present().unwrap();
    assert_eq!(state.maintenance, Some(maintenance()));
    assert_eq!(state.maintenance_change, None);
    done.when_silent(record(1));
    done.when_refused(record(2), Refused::Overtaken { run: run_id(2) }.into());
    done.when_silent(stop(1));
}

#[test]
fn a_run_that_turns_back_leaves_it_as_it_was() {
    let asked = given::<Instance>(under()).after(request(2, None));
    asked.when_silent(stop(3));
    asked.when_then(stop(2), [Event::MaintenanceChangeStopped { run: run_id(2) }]);
    let back = asked.after(stop(2));
    assert_eq!(back.state().present().unwrap().maintenance, Some(maintenance()));
    back.when_then(request(3, None), [requested(3, None)]);
}

#[test]
fn there_is_something_to_do() {
    let page = Some(maintenance());
    given::<Instance>([created()])
        .when_refused(request(1, page.clone()), Refused::NoBalancer.into());
    given::<Instance>(with_balancer()).when_refused(request(1, None), Refused::NotUnder.into());
    given::<Instance>(under()).when_refused(request(2, page), Refused::IsSo.into());
    let other = Some(Maintenance { message: "It takes longer.".to_owned(), ..maintenance() });
    given::<Instance>(under()).when_then(request(2, other.clone()), [requested(2, other)]);
}

#[test]
fn visitors_can_read_the_message_and_wait_for_the_end() {
    let page = |message: &str| Some(Maintenance { message: message.to_owned(), ..maintenance() });
    let long = "é".repeat(MESSAGE_CHARS_MAX);
    let history = with_balancer();
    for fine in ["Back soon.\nSorry!", &long] {
        given::<Instance>(history.clone())
            .when_then(request(1, page(fine)), [requested(1, page(fine))]);
    }
    for wrong in ["", " \n", "a\rb", "a\u{0}b", "\u{1b}[2J", &format!("{long}x")] {
        given::<Instance>(history.clone())
            .when_refused(request(1, page(wrong)), Refused::Message.into());
    }
    let until = |until| Some(Maintenance { until, ..maintenance() });
    let longest = at(9) + chrono::TimeDelta::days(DAYS_MAX);
    given::<Instance>(history.clone()).when_refused(request(1, until(at(9))), Refused::Past.into());
    given::<Instance>(history.clone())
        .when_then(request(1, until(longest)), [requested(1, until(longest))]);
    let over = longest + chrono::TimeDelta::seconds(1);
    given::<Instance>(history).when_refused(request(1, until(over)), Refused::TooLong.into());
}

#[test]
fn who_is_out_of_service_has_no_maintenance_and_a_hold_forbids_any() {
    let archive = |run| {
        Command::Lifecycle(Life::RequestArchive {
            run: run_id(run),
            reason: "nobody learns here any more".to_owned(),
        })
    };
    let archived = given::<Instance>(under())
        .after(request(2, None))
        .after(archive(5))
        .after(Command::Lifecycle(Life::RecordArchived { run: run_id(5) }));
    let state = archived.state().present().unwrap();
    assert_eq!((&state.maintenance, &state.maintenance_change), (&None, &None));
    archived.when_refused(record(2), Refused::Overtaken { run: run_id(2) }.into());
    let asked =
        Command::AskedBy { actor: "token:bob".to_owned(), command: Box::new(request(3, None)) };
    let held = [under(), vec![Event::Held(hold())]].concat();
    given::<Instance>(held).when_refused(asked, holds::Refused::Held(hold()).into());
}

fn input(message: &str, servers: usize) -> FragmentInput {
    let names = RoutedNames {
        redirects: vec!["studio-lms.example.com".to_owned()],
        ..RoutedNames::new(&settings())
    };
    let server = |number: usize| FragmentServer {
        name: format!("appserver-{number}"),
        ip: [192, 0, 2, 7].into(),
        port: 80,
        cookie: format!("appserver-{number}"),
        disabled: false,
    };
    FragmentInput {
        servers: (1..=servers).map(server).collect(),
        maintenance: Some(Maintenance { message: message.to_owned(), ..maintenance() }),
        ..FragmentInput::new(&settings(), names, instance_id(), "a1b2").unwrap()
    }
}

#[test]
fn every_name_leads_to_the_page_with_and_without_servers() {
    for servers in [0, 2] {
        let text = compose_fragment(&input("Back soon.", servers)).unwrap();
        let names = RoutedNames::new(&settings()).domains.len() + 1;
        assert_eq!(text.map.lines().count(), names, "{}", text.map);
        let pages = text.configuration.matches("http-request return status 503").count();
        assert_eq!(pages, 2, "the site\'s backend and that of its redirects");
        assert!(text.configuration.contains("hdr Retry-After \'Wed, 15 Nov 2023 00:13:20 GMT\'"));
        assert_eq!(text.configuration.matches("    server ").count(), servers);
    }
    let archived = FragmentInput { maintenance: None, ..input("", 0) };
    assert_eq!(compose_fragment(&archived).unwrap().configuration, "");
}

#[test]
fn a_message_is_text_whatever_stands_in_it() {
    let hostile = "\'\n    server evil 192.0.2.66:80\nbackend be-evil # </p><script>alert(1)</script>\n\\ \
                   $HOME \"${HOME}\" %[env(HOME)] &amp; \u{2028}é";
    let text = compose_fragment(&input(hostile, 1)).unwrap().configuration;
    let plain = compose_fragment(&input("Back soon.", 1)).unwrap().configuration;
    assert_eq!(text.lines().count(), plain.lines().count(), "{text}");
    let page = text.lines().find(|line| line.contains("http-request return")).unwrap();
    let shown = page.split("pre-line").nth(1).unwrap().split("</p>").next().unwrap();
    let (_, message) = shown.split_once('>').unwrap();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '&' | '#' | ';');
    assert!(message.chars().all(is_plain), "{message}");
    assert_eq!(page.matches('\'').count() % 2, 0, "{page}");
    assert!(message.contains("&#60;script&#62;alert&#40;1&#41;"), "{message}");
    let longest = "\u{10ffff}".repeat(MESSAGE_CHARS_MAX);
    let text = compose_fragment(&input(&longest, 1)).unwrap().configuration;
    assert!(text.lines().all(|line| line.len() < 15_000), "it has to fit into a buffer");
}
