//! What nothing accounts for and what is missing: found at each provider by itself, adopted, taken away.

use super::newer::append_newer;
use super::reconciler::stray;
use super::scenarios::confirmed;
use super::stage::{BALANCER, REGION, Stage, because, create_instance, somebody};
use ocim::app::AppError;
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim::resource_scan::{ResourceScanner, Scan, ScanAsk};
use ocim_adapters::balancer::Fragment;
use ocim_adapters::cloud::{Cloud, FloatingAddress};
use ocim_adapters::dns::Target;
use ocim_adapters::faults::Fault;
use ocim_adapters::provisioning::fake::Held;
use ocim_domain::event::Recorded;
use ocim_domain::ids::RunId;
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Kind, Sight, ledger_id};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Cause, Phase, Run};
use ocim_domain::shared_server::Mysql;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const SITE: &str = "alpha.example.com";
const STUDIO: &str = "studio.alpha.example.com";

fn scanner(stage: &Stage) -> ResourceScanner {
    ResourceScanner::new(stage.world.clone())
}

async fn scan(stage: &Stage) -> Scan {
    scanner(stage).scan(ScanAsk::default()).await.unwrap()
}

fn id(text: &str) -> OrphanId {
    text.parse().unwrap()
}

fn orphans(scan: &Scan) -> Vec<String> {
    scan.orphans.iter().map(|orphan| orphan.id.to_string()).collect()
}

fn missing(scan: &Scan) -> Vec<(Kind, &str)> {
    scan.missing.iter().map(|it| (it.resource.id.kind, it.resource.name.as_str())).collect()
}

async fn told(stage: &Stage, kind: &str) -> Vec<Recorded> {
    stage.events(&[kind]).await
}

async fn remove(stage: &Stage, id: &OrphanId) -> Run {
    let run: RunId = scanner(stage).delete(&because(), id).await.unwrap().value;
    stage.start(run).await;
    stage.drive(run).await
}

fn detail(refused: Result<impl std::fmt::Debug, AppError>) -> String {
    match refused.unwrap_err() {
        AppError::Rejected { detail, .. } => detail,
        other => panic!("{other:?}"),
    }
}

/// A site that was deleted, and of which each provider has got something back since, as from a backup.
async fn given_leftovers(stage: &Stage) -> Held {
    stage.launch_active().await;
    let data = stage.servers.held();
    let run = stage.begin_change(LifecycleAsk::Delete(DeleteAsk { ..confirmed() })).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    stage.servers.change(|held| *held = data.clone());
    stage.dns.change(STUDIO, Some(Target::Name(BALANCER.to_owned())));
    data
}

async fn given_stray_machine(stage: &Stage) -> String {
    stage.cloud.create_machine(&stray(7)).await.unwrap().id
}

fn given_stray_fragment(stage: &Stage) -> String {
    let mine = stage.balancer.fragments(BALANCER).into_keys().next();
    let name = format!("{}-stray", mine.unwrap_or_else(|| "ocim--main".to_owned()));
    let (configuration, map) = ("backend be-stray\n".to_owned(), String::new());
    stage.balancer.tamper(BALANCER, &Fragment { name: name.clone(), configuration, map });
    name
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_as_it_should_be_has_neither_orphans_nor_anything_missing() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.launch().await;
    let before = stage.events(&[]).await.len();
    assert_eq!(scan(&stage).await, Scan::default());
    assert_eq!(stage.events(&[]).await.len(), before, "a scan changes nothing");
}

#[tokio::test(start_paused = true)]
async fn what_bears_our_mark_or_was_once_a_sites_is_found_at_every_provider() {
    let stage = Stage::new().await;
    let data = given_leftovers(&stage).await;
    let machine = given_stray_machine(&stage).await;
    let fragment = given_stray_fragment(&stage);
    // Somebody else's of the same kinds.
    stage.dns.change("hers.example.com", Some(Target::Name(BALANCER.to_owned())));
    stage.dns.change(SITE, Some(Target::Name("hers.example.net".to_owned())));
    let theirs = Fragment {
        name: "ocim--other-1".to_owned(),
        configuration: "#".to_owned(),
        map: String::new(),
    };
    stage.balancer.tamper(BALANCER, &theirs);
    let lent = |id: &str, machine: &str| FloatingAddress {
        id: id.to_owned(),
        address: "203.0.113.7".to_owned(),
        machine: machine.to_owned(),
        made_at: None,
    };
    stage.cloud.lend(lent("in-use", &machine));
    stage.cloud.lend(lent("left", "long-gone"));

    let found = scan(&stage).await;
    let mut expected = [
        format!("machine/{REGION}/{machine}"),
        format!("fragment/{BALANCER}/{fragment}"),
        format!("floating_address/{REGION}/left"),
        format!("dns_name/dns/{STUDIO}"),
    ];
    let (mut of_data, mut rest): (Vec<_>, Vec<_>) = orphans(&found)
        .into_iter()
        .partition(|id| ["mysql", "mongodb", "rabbitmq"].iter().any(|it| id.starts_with(it)));
    expected.sort();
    rest.sort();
    assert_eq!(rest, expected);
    of_data.dedup();
    assert_eq!(of_data.len(), data.len(), "{of_data:#?}");
    assert_eq!((missing(&found), &found.unanswered), (vec![], &vec![]));
    let owner = |id: &str| {
        let orphan = found.orphans.iter().find(|it| it.id.to_string() == id).unwrap();
        (orphan.owner, orphan.left_at.is_some())
    };
    assert_eq!(owner(&format!("dns_name/dns/{STUDIO}")), (Some(stage.instance), true));
    assert_eq!(owner(&format!("machine/{REGION}/{machine}")), (None, false));

    // One kind alone, and one instance's.
    let ask = ScanAsk { kind: Some(Kind::DnsName), instance: None };
    let names = scanner(&stage).scan(ask).await.unwrap();
    assert_eq!(orphans(&names), [format!("dns_name/dns/{STUDIO}")]);
    let ask = ScanAsk { instance: Some(create_instance(stage.app(), "beta").await), kind: None };
    assert_eq!(orphans(&scanner(&stage).scan(ask).await.unwrap()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_ledgers_believe_in_and_providers_do_not_have_is_missing() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let machine = stage.cloud.machines()[0].id.clone();
    stage.cloud.vanish_machine(&machine);
    stage.dns.change(SITE, None);
    stage.dns.change(STUDIO, Some(Target::Name("hers.example.net".to_owned())));
    let mut lost = None;
    stage.servers.change(|held| {
        let is_lost = |id: &ocim_domain::provisioning::ItemId| id.kind == Kind::MysqlDatabase;
        lost = held.keys().map(|(_, id)| id.clone()).find(is_lost);
        held.retain(|(_, id), _| Some(id) != lost.as_ref() && id.kind != Kind::MongodbDatabase);
    });
    let fragment = stage.balancer.fragments(BALANCER).into_keys().next().unwrap();
    let empty = Fragment { name: fragment.clone(), ..Fragment::default() };
    stage.balancer.tamper(BALANCER, &empty);

    let found = scan(&stage).await;
    let (lost, missing) = (lost.unwrap(), missing(&found));
    let kinds: Vec<_> = missing.iter().map(|(kind, _)| *kind).collect();
    let expected =
        [Kind::Machine, Kind::Fragment, Kind::DnsName, Kind::DnsName, Kind::MysqlDatabase];
    assert_eq!(kinds, expected, "{missing:?}");
    for name in [fragment.as_str(), SITE, STUDIO, lost.name.as_str()] {
        assert!(missing.iter().any(|(_, it)| *it == name), "{name}: {missing:?}");
    }
    let studio = found.missing.iter().find(|it| it.resource.name == STUDIO).unwrap();
    assert_eq!(studio.instead.as_deref(), Some("CNAME hers.example.net"));
    assert_eq!(orphans(&found), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_told_and_hinders_no_other() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    let silent = Fault::Before(Class::Transient);
    stage.cloud.faults.fail_always("list_machines", silent.clone());
    stage.balancer.faults.fail_always("read_balancer", silent.clone());
    stage.servers.faults.fail_always("find_among", silent.clone());
    let found = scan(&stage).await;
    assert_eq!(orphans(&found), [format!("dns_name/dns/{STUDIO}")]);
    let silent: Vec<_> = found.unanswered.iter().map(|it| it.provider.as_str()).collect();
    assert_eq!(silent.len(), 5, "{silent:?}");
    for provider in [format!("region {REGION}"), format!("balancer {BALANCER}")] {
        assert!(silent.contains(&provider.as_str()), "{provider}: {silent:?}");
    }
    stage.cloud.faults.clear();
    stage.balancer.faults.clear();
    stage.servers.faults.clear();
    stage.dns.faults.fail_always("find_names", Fault::Before(Class::Transient));
    let found = scan(&stage).await;
    assert!(!found.orphans.is_empty());
    assert!(found.unanswered[0].error.contains("names were not looked at"), "{found:#?}");
}

/// What a newer program has recorded may be what it needs.
#[tokio::test(start_paused = true)]
async fn nothing_is_called_an_orphan_while_a_ledger_tells_what_only_a_newer_program_knows() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    let asked = scanner(&stage).delete(&because(), &id(&format!("dns_name/dns/{STUDIO}"))).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    append_newer(&stage, &ledger_id(stage.instance).stream(), "ledger.resource_lent", 1).await;
    let refused = scanner(&stage).scan(ScanAsk::default()).await;
    assert!(matches!(refused, Err(AppError::Newer(_))), "{refused:?}");
    let runner = stage.start_runner();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    runner.stop().await;
    assert_eq!(stage.dns.aliases().len(), 1, "it is left to whoever knows");
}

#[tokio::test(start_paused = true)]
async fn a_retired_server_is_not_asked_once_no_site_has_anything_there() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    let (mysql, _) = stage.app().list_shared_servers::<Mysql>().await.unwrap().remove(0);
    stage.app().retire_server::<Mysql>(&because(), mysql).await.unwrap();
    let found = scan(&stage).await;
    assert!(!found.orphans.is_empty() && found.unanswered.is_empty(), "{found:#?}");
    assert!(orphans(&found).iter().all(|id| !id.starts_with("mysql")), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_orphan_is_taken_away_by_a_run_and_seen_to_be_gone() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    given_stray_machine(&stage).await;
    given_stray_fragment(&stage);
    let (id, address) = ("left".to_owned(), "203.0.113.7".to_owned());
    let lent = FloatingAddress { id, address, machine: "gone".to_owned(), made_at: None };
    stage.cloud.lend(lent);
    let found = scan(&stage).await;
    let kinds: BTreeSet<_> = found.orphans.iter().map(|it| it.id.key.kind).collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    let events = stage.events(&[]).await.len();
    for orphan in &found.orphans {
        let planned = scanner(&stage).plan_deletion(&because(), &orphan.id).await.unwrap();
        assert_eq!(planned.id, orphan.id.key);
    }
    assert_eq!(stage.events(&[]).await.len(), events, "a plan changes nothing");
    for orphan in &found.orphans {
        let run = remove(&stage, &orphan.id).await;
        assert_eq!(run.phase, Phase::Completed, "{}: {run:#?}", orphan.id);
        let again = detail(scanner(&stage).delete(&because(), &orphan.id).await);
        assert!(again.contains("has no") || again.contains("lists no"), "{}: {again}", orphan.id);
    }
    assert_eq!(scan(&stage).await, Scan::default());
    assert!(stage.servers.held().is_empty() && stage.cloud.machines().is_empty());
    let (asked, settled) = (
        told(&stage, "inventory.orphan_deletion_requested").await,
        told(&stage, "inventory.orphan_settled").await,
    );
    assert_eq!((asked.len(), settled.len()), (found.orphans.len(), found.orphans.len()));
    assert!(asked.iter().all(|event| event.meta.actor == somebody().actor));
}

#[tokio::test(start_paused = true)]
async fn what_a_ledger_knows_is_anothers_or_was_never_ours_is_not_taken_away() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let machine = stage.cloud.machines()[0].id.clone();
    let fragment = stage.balancer.fragments(BALANCER).into_keys().next().unwrap();
    let lent = FloatingAddress {
        id: "in-use".to_owned(),
        address: "203.0.113.7".to_owned(),
        machine: machine.clone(),
        made_at: None,
    };
    stage.cloud.lend(lent);
    let ledger = stage.app().ledger_of(stage.instance).await.unwrap();
    let entry = ledger.iter().find(|it| it.resource.id.kind == Kind::MysqlDatabase).unwrap();
    let before = stage.events(&[]).await.len();
    for (orphan, expected) in [
        (format!("machine/{REGION}/{machine}"), "something accounts for the machine"),
        (format!("machine/{REGION}/nothing"), "lists no machine"),
        ("machine/moon/nothing".to_owned(), "is not configured"),
        (format!("floating_address/{REGION}/in-use"), "is there, whose it is"),
        (format!("fragment/{BALANCER}/{fragment}"), "has it"),
        (format!("fragment/{BALANCER}/ocim--other-1"), "does not bear our mark"),
        (format!("dns_name/dns/{SITE}"), "has it"),
        ("dns_name/dns/hers.example.com".to_owned(), "no instance ever had it"),
        (format!("mysql_database/{}/{}", entry.resource.place, entry.resource.name), "has it"),
        (format!("mysql_database/{}/mysql", entry.resource.place), "no instance ever had it"),
        (format!("security_groups/{REGION}/default"), "nobody looks for"),
    ] {
        let refused = detail(scanner(&stage).delete(&because(), &id(&orphan)).await);
        assert!(refused.contains(expected), "{orphan}: {refused}");
    }
    let reasonless = scanner(&stage).delete(&somebody(), &id("dns_name/dns/a")).await;
    assert!(matches!(reasonless, Err(AppError::Invalid(_))), "{reasonless:?}");
    assert_eq!(stage.events(&[]).await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn an_adopted_thing_is_looked_after_and_goes_with_its_instance() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    let heir = create_instance(stage.app(), "alpha").await;
    let name = id(&format!("dns_name/dns/{STUDIO}"));
    let database = {
        let found = scan(&stage).await;
        let is_it = |it: &&ocim::resource_scan::FoundOrphan| it.id.key.kind == Kind::MysqlDatabase;
        found.orphans.iter().find(is_it).unwrap().id.clone()
    };
    for orphan in [&name, &database] {
        scanner(&stage).adopt(&because(), orphan, heir).await.unwrap();
        let again = detail(scanner(&stage).adopt(&because(), orphan, heir).await);
        assert!(again.contains("has it"), "{again}");
        let refused = detail(scanner(&stage).delete(&because(), orphan).await);
        assert!(refused.contains("has it"), "{refused}");
    }
    let entries = stage.app().ledger_of(heir).await.unwrap();
    assert!(entries.iter().all(|it| it.sight == Sight::Present), "{entries:#?}");
    assert_eq!(entries.len(), 2);
    let adopted = told(&stage, "ledger.resource_adopted").await;
    assert_eq!((adopted.len(), &adopted[0].data["reason"]), (2, &json!(because().reason.unwrap())));
    let found = scan(&stage).await;
    assert!(!orphans(&found).contains(&name.to_string()));

    let stage = Stage { instance: heir, ..stage };
    let run = stage.begin_change(LifecycleAsk::Delete(confirmed())).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(!stage.dns.aliases().contains_key(STUDIO));
    let left = stage.servers.held().into_keys();
    assert!(left.map(|(_, it)| it).all(|it| it.name != database.key.key));
}

#[tokio::test(start_paused = true)]
async fn what_another_has_or_is_not_there_is_not_adopted() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let beta = create_instance(stage.app(), "beta").await;
    let machine = given_stray_machine(&stage).await;
    // Taken out of the ledger by hand, and still there: nobody but its site may have it.
    let studio = ocim_domain::ledger::ResourceKey::new(Kind::DnsName, STUDIO);
    let resolve =
        ocim_domain::ledger::Command::Resolve { id: studio, reason: "by hand".to_owned() };
    stage.app().observe_resource(stage.instance, resolve).await.unwrap();
    let adopt = async |text: &str, instance| {
        detail(scanner(&stage).adopt(&because(), &id(text), instance).await)
    };
    let name = format!("dns_name/dns/{STUDIO}");
    for (orphan, expected) in [
        (format!("machine/{REGION}/{machine}"), "delete it, and launch anew"),
        (format!("floating_address/{REGION}/a"), "goes with its machine"),
        (format!("fragment/{BALANCER}/a"), "ocim balancer prepare"),
        (format!("security_groups/{REGION}/default"), "no single instance"),
        (format!("dns_name/dns/{SITE}"), "has it"),
        ("dns_name/dns/hers.example.com".to_owned(), "no instance ever had it"),
        (name.clone(), "that one alone may have it"),
    ] {
        let refused = adopt(&orphan, beta).await;
        assert!(refused.contains(expected), "{orphan}: {refused}");
    }
    stage.dns.change(STUDIO, None);
    assert!(adopt(&name, stage.instance).await.contains("has no dns name"));
    stage.dns.change(STUDIO, Some(Target::Name(BALANCER.to_owned())));
    scanner(&stage).adopt(&because(), &id(&name), stage.instance).await.unwrap();
    assert_eq!(scan(&stage).await.orphans.len(), 1, "the machine is left");
}

/// Between the order and the deed somebody else came to have it.
#[tokio::test(start_paused = true)]
async fn an_orphan_that_a_ledger_has_by_then_is_left() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    let name = id(&format!("dns_name/dns/{STUDIO}"));
    let run = scanner(&stage).delete(&because(), &name).await.unwrap().value;
    let busy = detail(scanner(&stage).delete(&because(), &name).await);
    assert!(busy.contains(&run.to_string()), "{busy}");
    let scanned = scan(&stage).await;
    assert!(scanned.orphans.iter().any(|it| it.deletion == Some(run)), "{scanned:#?}");
    let heir = create_instance(stage.app(), "alpha").await;
    let busy = detail(scanner(&stage).adopt(&because(), &name, heir).await);
    assert!(busy.contains(&run.to_string()), "{busy}");
    let heir = Stage { instance: heir, ..stage };
    heir.launch().await;
    heir.start(run).await;
    let ended = heir.drive(run).await;
    let Phase::Unwound(Cause::StepFailed { error, .. }) = &ended.phase else {
        panic!("{ended:#?}")
    };
    assert!(error.contains("has it"), "{error}");
    assert_eq!(heir.dns.aliases()[STUDIO], BALANCER);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_asked_again_until_the_orphan_is_gone() {
    let stage = Stage::new().await;
    given_leftovers(&stage).await;
    let name = id(&format!("dns_name/dns/{STUDIO}"));
    for fault in [Fault::Before(Class::Transient), Fault::After(Class::Ambiguous)] {
        stage.dns.change(STUDIO, Some(Target::Name(BALANCER.to_owned())));
        stage.dns.faults.clear();
        let calls = stage.dns.faults.calls("remove_names");
        stage.dns.faults.fail("remove_names", calls + 1, fault);
        assert_eq!(remove(&stage, &name).await.phase, Phase::Completed);
        assert!(!stage.dns.aliases().contains_key(STUDIO));
    }
    stage.dns.faults.fail_always("find_name", Fault::Before(Class::Transient));
    let unavailable = scanner(&stage).delete(&because(), &name).await;
    assert!(matches!(unavailable, Err(AppError::Unavailable { .. })), "{unavailable:?}");
}
