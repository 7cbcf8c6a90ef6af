//! Which Appservers go by themselves, and until when and why the others stay.

use crate::given::given;
use crate::sample::{appserver_id, at, hold, run_id, settings};
use chrono::TimeDelta;
use ocim_domain::Timestamp;
use ocim_domain::appserver::Status;
use ocim_domain::instance::clean_up::{
    DAYS_MAX, Goes, Refused, Rule, Site, Standing, Stays, Verdict, judge,
};
use ocim_domain::instance::hold::Command as HoldAsk;
use ocim_domain::instance::lifecycle::Command as Life;
use ocim_domain::instance::lifecycle::Refused as NotLive;
use ocim_domain::instance::{Command, Event, Instance, Stage};
use proptest::prelude::*;
use std::cmp::Reverse;

/// Hours after the beginning.
fn hour(hours: i64) -> Timestamp {
    at(0) + TimeDelta::hours(hours)
}

/// One that was made then, runs and serves nobody.
fn running(number: u32, made: i64) -> Standing {
    Standing {
        appserver: appserver_id(u128::from(number)),
        number,
        made: hour(made),
        status: Status::Running,
        active: false,
        last_activated: None,
        kept_until: None,
        at_work: None,
    }
}

/// One that serves since then.
fn serving(number: u32, made: i64, since: i64) -> Standing {
    Standing { active: true, last_activated: Some(hour(since)), ..running(number, made) }
}

fn of(status: Status, standing: Standing) -> Standing {
    Standing { status, ..standing }
}

fn site(days: u16) -> Site {
    Site { rule: Rule::Days(days), hold: None, is_live: true }
}

/// What becomes of them at that hour, where the rule is two days.
fn at_hour(standing: &[Standing], now: i64) -> Vec<Verdict> {
    judge(&site(2), standing, hour(now)).into_iter().map(|(_, verdict)| verdict).collect()
}

fn stays(why: Stays, until: Option<i64>) -> Verdict {
    Verdict::Stays { why, until: until.map(hour) }
}

fn goes(why: Goes) -> Verdict {
    Verdict::Goes { why, days: 2 }
}

#[test]
fn the_newest_that_ran_before_what_serves_is_the_fallback_until_that_has_proved_itself() {
    let all = [running(1, 0), running(2, 10), serving(3, 20, 100)];
    let fallback = || Stays::Fallback { serving: 3, since: hour(100) };
    let replaced = || goes(Goes::Replaced { serving: 3, since: hour(100) });
    let serves = || stays(Stays::Serves, None);
    assert_eq!(at_hour(&all, 147), [replaced(), stays(fallback(), Some(148)), serves()]);
    assert_eq!(at_hour(&all, 148), [replaced(), replaced(), serves()]);
    // Whoever is young stays, also beside a fallback.
    let all = [running(1, 95), running(2, 96), serving(3, 97, 100)];
    assert_eq!(
        at_hour(&all, 142)[..2],
        [stays(Stays::Young, Some(143)), stays(fallback(), Some(148))]
    );
    assert_eq!(at_hour(&all, 143)[0], replaced());
    // One that does not run is no fallback.
    let all = [running(1, 0), of(Status::Error, running(2, 10)), serving(3, 20, 100)];
    assert_eq!(at_hour(&all, 101), [stays(fallback(), Some(148)), replaced(), serves()]);
}

#[test]
fn the_newest_that_runs_and_is_newer_than_what_serves_stays_however_old_it_is() {
    let candidate = || stays(Stays::ReleaseCandidate, None);
    let overtaken = || goes(Goes::Overtaken { candidate: 3 });
    let all =
        [serving(1, 0, 5), running(2, 10), running(3, 20), of(Status::Cancelled, running(4, 30))];
    assert_eq!(at_hour(&all, 9_000)[1..], [overtaken(), candidate(), goes(Goes::NotRunning)]);
    assert_eq!(at_hour(&all, 57)[1], stays(Stays::Young, Some(58)));
    // Where nobody serves, the newest that runs is one, whatever is beside it.
    assert_eq!(at_hour(&all[1..], 9_000), [overtaken(), candidate(), goes(Goes::NotRunning)]);
    // Made in the very moment that the other began to serve is not before that.
    assert_eq!(at_hour(&[serving(1, 0, 5), running(2, 5)], 9_000)[1], candidate());
    // One that does not run is not overtaken, whatever was made after it.
    let all = [serving(1, 0, 5), of(Status::Cancelled, running(2, 10)), running(3, 20)];
    assert_eq!(at_hour(&all, 9_000)[1..], [goes(Goes::NotRunning), candidate()]);
}

#[test]
fn of_several_that_serve_the_one_that_began_last_counts() {
    let all = [serving(1, 0, 100), serving(2, 10, 40), running(3, 50)];
    let fallback = Stays::Fallback { serving: 1, since: hour(100) };
    assert_eq!(at_hour(&all, 120)[2], stays(fallback, Some(148)));
    assert_eq!(at_hour(&all, 148)[2], goes(Goes::Replaced { serving: 1, since: hour(100) }));
}

#[test]
fn a_failed_one_has_its_own_date_and_no_other_rule_contradicts_it() {
    let failed =
        |kept: i64| Standing { kept_until: Some(hour(kept)), ..of(Status::Failed, running(1, 0)) };
    assert_eq!(at_hour(&[failed(900)], 800)[0], stays(Stays::Debugging, Some(900)));
    assert_eq!(at_hour(&[failed(900)], 900)[0], stays(Stays::DateOver, None));
    assert_eq!(at_hour(&[failed(1)], 800)[0], stays(Stays::DateOver, None));
    // One without a date is as any that does not run.
    let undated = of(Status::Failed, running(1, 0));
    assert_eq!(at_hour(std::slice::from_ref(&undated), 47)[0], stays(Stays::Young, Some(48)));
    assert_eq!(at_hour(&[undated], 48)[0], goes(Goes::NotRunning));
}

#[test]
fn what_is_so_just_now_keeps_only_what_would_go() {
    let all = [running(1, 0), running(2, 10), serving(3, 20, 100)];
    let judged = |site: &Site, all: &[Standing]| -> Vec<_> {
        judge(site, all, hour(120)).into_iter().map(|(_, verdict)| verdict).collect()
    };
    let fallback = stays(Stays::Fallback { serving: 3, since: hour(100) }, Some(148));
    let held = Site { hold: Some(hold()), ..site(2) };
    let until = Some(hold().until);
    let kept = Verdict::Stays { why: Stays::Held(hold()), until };
    assert_eq!(judged(&held, &all)[..2], [kept, fallback.clone()]);
    let archiving = Site { is_live: false, ..site(2) };
    assert_eq!(judged(&archiving, &all)[..2], [stays(Stays::NotLive, None), fallback.clone()]);
    let mut busy = all.to_vec();
    for it in &mut busy {
        it.at_work = Some(run_id(1));
    }
    assert_eq!(judged(&site(2), &busy)[..2], [stays(Stays::AtWork(run_id(1)), None), fallback]);
    for status in [Status::New, Status::Waiting, Status::Configuring] {
        let launching = [of(status, running(1, 0))];
        assert_eq!(judged(&site(2), &launching), [stays(Stays::Launching, None)]);
    }
    let at_work = |run| Stays::AtWork(run_id(run)).is_run(run_id(1));
    assert!(at_work(1) && !at_work(2) && !Stays::Off.is_run(run_id(1)));
    let hindrances = [Stays::AtWork(run_id(1)), Stays::Held(hold()), Stays::NotLive];
    assert!(hindrances.iter().all(Stays::is_hindrance));
    let rules = [Stays::Serves, Stays::ReleaseCandidate, Stays::Young, Stays::Off];
    assert!(!rules.iter().any(Stays::is_hindrance));
    let off = Site { rule: Rule::Off, ..site(2) };
    let kept = [stays(Stays::Off, None), stays(Stays::Off, None), stays(Stays::Serves, None)];
    assert_eq!(judged(&off, &all), kept);
    let failed = Standing { kept_until: Some(hour(1)), ..of(Status::Failed, running(1, 0)) };
    assert_eq!(judged(&off, &[failed]), [stays(Stays::Off, None)]);
}

#[test]
fn each_verdict_tells_people_what_until_when_and_why() {
    let all =
        [running(1, 0), running(2, 10), serving(3, 20, 100), running(4, 102), running(5, 103)];
    let words: Vec<_> = at_hour(&all, 120).iter().map(Verdict::word).collect();
    assert_eq!(words, ["obsolete", "fallback", "serves", "young", "release_candidate"]);
    let untils: Vec<_> = at_hour(&all, 120).iter().map(Verdict::until).collect();
    assert_eq!(untils, [None, Some(hour(148)), None, Some(hour(150)), None]);
    let told: Vec<_> = at_hour(&all, 120).iter().map(Verdict::tell).collect();
    assert_eq!(
        told,
        [
            "goes, because it was made 2 days ago or earlier, and AppServer 3 \
             serves since Sunday 2023-11-19 02:13 UTC",
            "kept as fallback until Tuesday 2023-11-21 02:13 UTC, because AppServer 3 serves only \
             since Sunday 2023-11-19 02:13 UTC",
            "kept, because it receives traffic",
            "kept until Tuesday 2023-11-21 04:13 UTC, because it is not old enough to go",
            "kept as release candidate until a newer one runs or it is taken into traffic, because it \
             is the newest that runs",
        ]
    );
}

/// An instance that is there, at second 9.
fn created() -> Event {
    Event::Created { settings: Box::new(settings()) }
}

fn change(rule: Option<Rule>) -> Command {
    Command::ChangeCleanUp { rule, reason: "a reason".to_owned() }
}

fn changed_to(rule: Option<Rule>) -> Event {
    Event::CleanUpChanged { rule, reason: "a reason".to_owned() }
}

#[test]
fn an_instance_has_a_rule_of_its_own_until_it_goes_by_that_of_all_again() {
    let given = given::<Instance>([created()]);
    given.when_silent(change(None));
    for rule in [Rule::Days(1), Rule::Days(DAYS_MAX), Rule::Off] {
        given.when_then(change(Some(rule)), [changed_to(Some(rule))]);
        let changed = given.after(change(Some(rule)));
        changed.when_silent(change(Some(rule)));
        changed.when_then(change(None), [changed_to(None)]);
        let site = |given: &crate::given::Given<Instance>| {
            given.state().present().unwrap().clean_up_site(Rule::Days(2), at(9)).rule
        };
        assert_eq!((site(&changed), site(&changed.after(change(None)))), (rule, Rule::Days(2)));
    }
    for days in [0, DAYS_MAX + 1] {
        given.when_refused(change(Some(Rule::Days(days))), Refused::Days.into());
    }
    // An archived one may be told beforehand; a deleted one is only history.
    let deleted = Event::Deleted { run: run_id(1), residue: vec![] };
    let gone = ocim_domain::instance::Event::DeletionRequested {
        run: run_id(1),
        reason: "a reason".to_owned(),
        ignore: vec![],
        again: false,
    };
    let refused = NotLive::NotLive { stage: Stage::Deleted, run: None };
    crate::given::given::<Instance>([created(), gone, deleted])
        .when_refused(change(Some(Rule::Off)), refused.into());
}

#[test]
fn who_holds_an_instance_keeps_others_from_its_rule_and_its_machines() {
    let held = given::<Instance>([created()]).after(Command::Hold(HoldAsk::Place(hold())));
    let ask = |actor: &str| Command::AskedBy {
        actor: actor.to_owned(),
        command: Box::new(change(Some(Rule::Off))),
    };
    let refused = ocim_domain::instance::hold::Refused::Held(hold());
    held.when_refused(ask("token:bob"), refused.into());
    held.when_then(ask("token:ada"), [changed_to(Some(Rule::Off))]);
    let site = held.state().present().unwrap().clean_up_site(Rule::Days(2), at(9));
    assert_eq!((site.hold, site.is_live), (Some(hold()), true));
    let archive = Life::RequestArchive { run: run_id(1), reason: "a reason".to_owned() };
    let archiving = held.after(Command::Lifecycle(archive));
    let present = archiving.state().present().unwrap();
    assert!(!present.clean_up_site(Rule::Days(2), at(9)).is_live);
    let late = hold().until;
    assert_eq!(present.clean_up_site(Rule::Days(2), late).hold, None);
}

/// The table of core §4.4 as it is written, word for word: who is terminated.
fn transcribed(standing: &[Standing], days: i64, now: Timestamp) -> Vec<u32> {
    let old = |x: Timestamp| (now - x).num_days() >= days;
    let l = standing.iter().filter(|x| x.active).max_by_key(|x| x.last_activated);
    let mut walk: Vec<&Standing> = standing.iter().collect();
    walk.sort_by_key(|x| Reverse((x.made, x.number)));
    let (mut fallback, mut release_candidate) = (None, None);
    let mut terminated = vec![];
    for x in walk {
        if x.active {
            continue;
        }
        let is_running = x.status == Status::Running;
        let l_activated = l.and_then(|l| l.last_activated);
        if l_activated.is_some_and(|activated| x.made < activated) {
            if !old(l_activated.unwrap()) && fallback.is_none() && is_running {
                fallback = Some(x.number);
            } else if old(x.made) {
                terminated.push(x.number);
            }
        } else if release_candidate.is_none() && is_running {
            release_candidate = Some(x.number);
        } else if old(x.made) {
            terminated.push(x.number);
        }
    }
    terminated.sort_unstable();
    terminated
}

fn any_standing() -> impl Strategy<Value = Vec<Standing>> {
    let statuses =
        [Status::Running, Status::Running, Status::Error, Status::Failed, Status::Cancelled];
    let one = (0..200_i64, prop::sample::select(statuses.to_vec()), 0..4_u8, 0..200_i64);
    prop::collection::vec(one, 0..8).prop_map(|all| {
        let standing =
            |(number, (made, status, active, after)): (usize, (i64, Status, u8, i64))| {
                let number = u32::try_from(number).unwrap() + 1;
                let idle = of(status, running(number, made));
                if active > 0 { idle } else { of(status, serving(number, made, made + after)) }
            };
        all.into_iter().enumerate().map(standing).collect()
    })
}

proptest! {
    #[test]
    fn who_goes_is_whom_the_originals_table_terminates(
        standing in any_standing(), days in 1..5_u16, now in 0..500_i64,
    ) {
        let now = hour(now);
        let verdicts = judge(&site(days), &standing, now);
        let order: Vec<_> = standing.iter().map(|it| it.appserver).collect();
        prop_assert_eq!(verdicts.iter().map(|(id, _)| *id).collect::<Vec<_>>(), order);
        let judged = standing.iter().zip(&verdicts).filter(|(_, (_, verdict))| verdict.goes());
        let goes: Vec<_> = judged.map(|(it, _)| it.number).collect();
        prop_assert_eq!(goes, transcribed(&standing, i64::from(days), now));
        // What is said of the future holds, if nothing happens until then.
        for (it, (_, verdict)) in standing.iter().zip(&verdicts) {
            let Some(until) = verdict.until() else { continue };
            prop_assert!(until > now);
            for (then, expected) in [(until - TimeDelta::milliseconds(1), false), (until, true)] {
                let later = judge(&site(days), &standing, then);
                let (_, later) = later.iter().find(|(id, _)| *id == it.appserver).unwrap();
                prop_assert_eq!(later.goes(), expected, "{:?} {:?}", it, verdict);
            }
        }
    }
}
