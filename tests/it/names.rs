//! Names that must be unique: who gets them, who keeps them, and what a crash leaves of them.

use crate::commands::{Stage, by};
use ocim::app::{AppError, JournalError};
use ocim_domain::decider::Decider;
use ocim_domain::event::Metadata;
use ocim_domain::ids::{InstanceId, LoadBalancerId, RunId};
use ocim_domain::instance::{self, Instance};
use ocim_domain::name::{self, Kind, Name, name_id};
use ocim_domain::names::reserved_domains;
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::settings::InstanceSettings;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The fields that ask for names which others have.
fn taken<T: std::fmt::Debug>(outcome: Result<T, AppError>) -> Vec<String> {
    match outcome {
        Err(AppError::NamesTaken(taken)) => taken.into_iter().map(|it| it.field).collect(),
        other => panic!("{other:?}"),
    }
}

fn external(domain: &str) -> Value {
    json!({ "external_lms_domain": domain })
}

impl Stage {
    async fn given_site(&self, sub_domain: &str) -> InstanceId {
        self.create(json!({ "sub_domain": sub_domain })).await.unwrap()
    }

    async fn execute(&self, id: InstanceId, command: instance::Command) {
        let meta = Metadata::by("system");
        self.app.journal().execute::<Instance>(&id.stream(), &meta, command).await.unwrap();
    }

    async fn holder(&self, kind: Kind, name: &str) -> Option<String> {
        let stream = name_id(kind, name).stream();
        match self.app.journal().load::<Name>(&stream).await.unwrap().state {
            name::State::Free => None,
            name::State::Held { owner } => Some(owner),
        }
    }

    async fn name_resources(&self, id: InstanceId, prefix: &str) -> ResourceNames {
        let prefixes = ResourcePrefixes { bucket: prefix.to_owned(), iam_user: prefix.to_owned() };
        self.app.name_resources(&by().metadata(), id, &prefixes).await.unwrap()
    }
}

fn assign_balancer() -> instance::Command {
    instance::Command::AssignLoadBalancer { load_balancer: LoadBalancerId(Uuid::from_u128(5)) }
}

#[tokio::test]
async fn no_name_of_another_site_is_given_in_any_spelling_at_creation_or_change() {
    let stage = Stage::new();
    let first = stage.given_site("alpha").await;
    stage.change(first, external("über.example.org"), None).await.unwrap();
    let second = stage.given_site("beta").await;
    for name in [
        "alpha.example.com",
        "ALPHA.Example.com",
        "studio.alpha.example.com",
        "ecommerce-alpha.example.com",
        "über.example.org",
        "Über.example.org",
        "xn--ber-goa.example.org",
    ] {
        let input = json!({ "sub_domain": "gamma", "external_studio_domain": name });
        assert_eq!(taken(stage.create(input).await), ["external_studio_domain"], "{name}");
        let changed = stage.change(second, external(name), None).await;
        assert_eq!(taken(changed), ["external_lms_domain"], "{name}");
    }
    // The other way round: an internal name that is another's external one.
    let internal = json!({ "internal_lms_domain": "XN--BER-GOA.example.org" });
    assert_eq!(taken(stage.create(internal).await), ["internal_lms_domain"]);
    // Nothing of what was refused is held.
    assert_eq!(stage.holder(Kind::Domain, "gamma.example.com").await, None);
    assert!(stage.given_site("gamma").await != second);
}

#[tokio::test]
async fn a_refusal_names_all_that_is_taken_and_by_whom() {
    let stage = Stage::new();
    let first = stage.given_site("alpha").await;
    let wish = json!({
        "sub_domain": "beta",
        "external_lms_domain": "alpha.example.com",
        "external_studio_domain": "studio.alpha.example.com",
    });
    let Err(AppError::NamesTaken(told)) = stage.create(wish).await else { panic!() };
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("`studio.alpha.example.com`"), "{told:?}");
    assert!(told.iter().all(|it| it.contains(&first.to_string())), "{told:?}");
}

#[tokio::test]
async fn a_dropped_name_is_free_once_no_balancer_can_serve_it() {
    let stage = Stage::new();
    let (first, second) = (stage.given_site("alpha").await, stage.given_site("beta").await);
    let name = "courses.example.org";
    // Without a balancer: at once.
    stage.change(first, external(name), None).await.unwrap();
    stage.change(first, external(""), None).await.unwrap();
    assert_eq!(stage.holder(Kind::Domain, name).await, None);
    stage.change(second, external(name), None).await.unwrap();
    stage.change(second, external(""), None).await.unwrap();
    // With one: once that is known to serve it no more.
    stage.execute(first, assign_balancer()).await;
    stage.change(first, external(name), None).await.unwrap();
    stage.change(first, external(""), None).await.unwrap();
    assert_eq!(taken(stage.change(second, external(name), None).await), ["external_lms_domain"]);
    let Err(AppError::NamesTaken(told)) = stage.change(second, external(name), None).await else {
        panic!("it is free");
    };
    let told = told[0].to_string();
    assert!(told.contains(&format!("which {first} has still")), "{told}");
    assert!(told.contains("until one of its appservers is activated or deactivated"), "{told}");
    let meta = Metadata::by("system");
    let run = RunId(Uuid::from_u128(6));
    stage.execute(first, instance::Command::ClaimTraffic { run }).await;
    stage.app.release_domains(&meta, first).await.unwrap();
    assert_eq!(taken(stage.change(second, external(name), None).await), ["external_lms_domain"]);
    stage.execute(first, instance::Command::ReleaseTraffic { run }).await;
    stage.app.release_domains(&meta, first).await.unwrap();
    stage.change(second, external(name), None).await.unwrap();
    // Its own names are never let go.
    assert_eq!(stage.app.find_instance("alpha.example.com").await.unwrap(), Some(first));
}

#[tokio::test]
async fn a_name_wanted_again_before_it_is_let_go_stays() {
    let stage = Stage::new();
    let site = stage.given_site("alpha").await;
    stage.execute(site, assign_balancer()).await;
    for name in ["a.example.org", "b.example.org", "a.example.org"] {
        stage.change(site, external(name), None).await.unwrap();
    }
    stage.app.release_domains(&Metadata::by("system"), site).await.unwrap();
    assert_eq!(stage.holder(Kind::Domain, "a.example.org").await, Some(site.to_string()));
    assert_eq!(stage.holder(Kind::Domain, "b.example.org").await, None);
}

#[tokio::test]
async fn a_change_that_crashed_leaves_its_name_to_whoever_asks_later() {
    let stage = Stage::new();
    let (first, second) = (stage.given_site("alpha").await, stage.given_site("beta").await);
    let name = "courses.example.org";
    let slow = stage.app.journal().load::<Instance>(&first.stream()).await.unwrap();
    stage.leave_reservation(name, first).await;
    // It might only be slow.
    assert_eq!(taken(stage.change(second, external(name), None).await), ["external_lms_domain"]);
    stage.clock.advance(Duration::from_secs(31));
    stage.change(second, external(name), None).await.unwrap();
    assert_eq!(stage.holder(Kind::Domain, name).await, Some(second.to_string()));
    // It was slow: its change is not written on what it read, and then meets the other.
    let settings =
        InstanceSettings { external_lms_domain: name.to_owned(), ..stage.settings(first).await };
    let command = instance::Command::ChangeSettings { settings: Box::new(settings) };
    let events = Instance::decide(&slow.state, command, stage.app.journal().now()).unwrap();
    let meta = Metadata::by("system");
    let late = stage.app.journal().append(&first.stream(), &meta, slow, events).await;
    assert!(matches!(late, Err(JournalError::VersionConflict)), "{late:?}");
    assert_eq!(taken(stage.change(first, external(name), None).await), ["external_lms_domain"]);
}

#[tokio::test]
async fn what_a_change_reserved_before_it_crashed_serves_its_repetition() {
    let stage = Stage::new();
    let site = stage.given_site("alpha").await;
    stage.leave_reservation("courses.example.org", site).await;
    stage.change(site, external("courses.example.org"), None).await.unwrap();
    stage.clock.advance(Duration::from_secs(31));
    let other = stage.given_site("beta").await;
    let refused = stage.change(other, external("courses.example.org"), None).await;
    assert_eq!(taken(refused), ["external_lms_domain"]);
}

/// Numbers that look like chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        from[usize::try_from(self.0 >> 33).unwrap() % from.len()]
    }
}

const SPELLINGS: [&str; 9] = [
    "a.example.com",
    "A.example.com",
    "studio.a.example.com",
    "studio-a.example.com",
    "b.example.com",
    "über.example.com",
    "Über.Example.com",
    "xn--ber-goa.example.com",
    "",
];

#[tokio::test]
async fn two_sites_never_share_a_name_whatever_is_asked() {
    let (mut refused, mut done) = (0, 0);
    for seed in 0..60 {
        let (stage, mut chance) = (Stage::new(), Chance(seed));
        let mut sites: Vec<InstanceId> = vec![];
        for step in 0..14 {
            let fields = json!({
                "external_lms_domain": chance.pick(&SPELLINGS),
                "external_studio_domain": chance.pick(&SPELLINGS),
            });
            let known = sites.get(step % 4).copied();
            let outcome = match known {
                None => {
                    let mut input = fields;
                    input["internal_lms_domain"] = chance.pick(&SPELLINGS[..8]).into();
                    stage.create(input).await.map(|id| sites.push(id))
                }
                Some(id) if step % 3 == 0 => {
                    stage.execute(id, assign_balancer()).await;
                    let meta = Metadata::by("system");
                    stage.app.release_domains(&meta, id).await
                }
                Some(id) => stage.change(id, fields, None).await.map(drop),
            };
            match outcome {
                Ok(()) => done += 1,
                Err(AppError::NamesTaken(_) | AppError::Invalid(_)) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
            assert_apart(&stage, &sites, seed).await;
        }
    }
    assert!(refused > 50 && done > 50, "{refused} were refused, {done} not");
}

/// Each host leads to one site alone, which holds it.
async fn assert_apart(stage: &Stage, sites: &[InstanceId], seed: u64) {
    let mut leads = BTreeMap::new();
    for site in sites {
        for (field, domain) in reserved_domains(&stage.settings(*site).await) {
            let key = Kind::Domain.key(&domain);
            let holder = stage.holder(Kind::Domain, &domain).await;
            assert_eq!(holder, Some(site.to_string()), "{field} {domain}, seed {seed}");
            assert_eq!(*leads.entry(key).or_insert(*site), *site, "{domain}, seed {seed}");
        }
    }
}

#[tokio::test]
async fn databases_and_buckets_keep_the_names_they_got_and_no_two_sites_share_any() {
    let stage = Stage::new();
    let (first, second) = (stage.given_site("a-b").await, stage.given_site("ab").await);
    let named = stage.name_resources(first, "ocim").await;
    assert_eq!(
        (named.database.as_str(), named.bucket.as_str()),
        ("ab_example_com", "ocim-ab-example-com")
    );
    let other = stage.name_resources(second, "ocim").await;
    let digits = other.database.strip_prefix("ab_example_com").unwrap();
    assert_eq!(digits.len(), 4, "{other:?}");
    assert_eq!(
        other,
        ResourceNames::propose("ab.example.com", &ResourcePrefixes::default(), second, 1)
    );
    for (mine, theirs) in named.reserved().iter().zip(other.reserved()) {
        assert_ne!(*mine, theirs);
    }
    // Whatever changes, what is out there keeps its name.
    assert_eq!(stage.name_resources(first, "another-prefix").await, named);
    stage.change(first, external("courses.example.org"), None).await.unwrap();
    assert_eq!(stage.name_resources(first, "ocim").await, named);
    // One site's forum is not another's main database.
    let forum =
        stage.create(json!({ "internal_lms_domain": "a-b.example.com.forum" })).await.unwrap();
    let third = stage.name_resources(forum, "ocim").await;
    assert!(third.database.starts_with("ab_example_com_forum") && third.database.len() == 24);
}

#[tokio::test]
async fn names_that_a_crash_left_unrecorded_are_given_again() {
    let stage = Stage::new();
    let site = stage.given_site("alpha").await;
    let names = ResourceNames::propose("alpha.example.com", &ResourcePrefixes::default(), site, 0);
    let (kind, name, owner) = (Kind::Database, names.database.clone(), site.to_string());
    let reserve = name::Command::Reserve { kind, name, owner };
    let stream = name_id(kind, &names.database).stream();
    let meta = Metadata::by("system");
    stage.app.journal().execute::<Name>(&stream, &meta, reserve).await.unwrap();
    assert_eq!(stage.name_resources(site, "ocim").await, names);
}
