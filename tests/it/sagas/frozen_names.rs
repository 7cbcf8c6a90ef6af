//! Settings that change between two launches: what is out there keeps its names, or is replaced as a
//! whole.

use super::stage::{BALANCER, SITE, Stage, somebody};
use ocim::app::ForceAsk;
use ocim_adapters::balancer::Fragment;
use ocim_adapters::sites::SiteAnswer;
use ocim_domain::appserver::{Appserver, Present};
use ocim_domain::fragment::probe_host;
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::Instance;
use ocim_domain::names::RoutedNames;
use ocim_domain::saga::Phase;
use ocim_domain::settings::{InstanceSettings, SETTINGS, Setting};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What can't change once the instance was launched.
const FIXED: [&str; 7] = [
    "internal_lms_domain",
    "internal_lms_preview_domain",
    "internal_studio_domain",
    "internal_discovery_domain",
    "internal_ecommerce_domain",
    "secret_key_b64encoded",
    "secret_key_rsa_private",
];

/// Another value of every other setting; `round` sets two changes apart.
fn other_settings(round: usize) -> Value {
    let is_asked = |it: &&Setting| !FIXED.contains(&it.name) && it.name != "openstack_region";
    let value = |it: &Setting| if round % 2 == 1 { (it.example)() } else { it.usual_default() };
    let all = SETTINGS.iter().filter(is_asked).map(|it| (it.name.to_owned(), value(it)));
    let mut values: Value = all.collect();
    let own = json!({
        "name": format!("Tiny {round}"),
        "external_lms_domain": format!("tiny{round}.example.org"),
        "external_lms_preview_domain": format!("preview.tiny{round}.example.org"),
        "external_studio_domain": format!("studio.tiny{round}.example.org"),
        "external_discovery_domain": format!("discovery.tiny{round}.example.org"),
        "external_ecommerce_domain": format!("ecommerce.tiny{round}.example.org"),
        "email": format!("tiny{round}@example.org"),
        "openedx_release": format!("open-release/tiny.{round}"),
        "configuration_source_repo_url": format!("https://git.example.org/configuration{round}.git"),
        "configuration_version": format!("tiny-{round}"),
        "configuration_playbook_name": format!("playbooks/tiny{round}.yml"),
        "configuration_extra_settings": format!("TINY: {round}"),
        "edx_platform_repository_url": format!("https://git.example.org/platform{round}.git"),
        "edx_platform_commit": format!("tiny-{round}"),
        "openstack_server_flavor": {"ram": 1024 * (round + 5)},
        "openstack_server_base_image": {"name": format!("Tiny {round}")},
        "openstack_server_ssh_keyname": format!("tiny-{round}"),
        "additional_security_groups": [format!("tiny-{round}")],
        "additional_monitoring_emails": [format!("ops{round}@example.org")],
    });
    values.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    values
}

async fn settings(stage: &Stage) -> InstanceSettings {
    let loaded = stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap();
    loaded.state.present().unwrap().settings.clone()
}

/// Changes every setting there is, but for the region: this world has one.
async fn change_all(stage: &Stage, round: usize) {
    let before = settings(stage).await;
    let Value::Object(input) = other_settings(round) else { panic!() };
    stage.app().change_settings(&somebody(), stage.instance, input, None).await.unwrap();
    let after = settings(stage).await;
    let changed = before.difference(&after).fields();
    let all = || SETTINGS.iter().map(|setting| setting.name);
    let kept: Vec<_> = all().filter(|field| !changed.contains(field)).collect();
    let expected: Vec<_> =
        all().filter(|field| FIXED.contains(field) || *field == "openstack_region").collect();
    assert_eq!(kept, expected, "a setting that this test does not change");
    let names = names(stage).await;
    for name in names.domains {
        stage.answer(&name, None);
    }
    for name in names.redirects {
        let answer = SiteAnswer { status: 301, ..SiteAnswer::default() };
        stage.site.set_answer(&name, Some(answer));
    }
}

async fn names(stage: &Stage) -> RoutedNames {
    RoutedNames::new(&settings(stage).await)
}

/// The one fragment that the balancer has.
fn fragment(stage: &Stage) -> Fragment {
    let fragments: Vec<_> = stage.balancer.fragments(BALANCER).into_values().collect();
    assert_eq!(fragments.len(), 1, "{fragments:?}");
    fragments.into_iter().next().unwrap()
}

/// The lines of the map, as names with their backends.
fn map(fragment: &Fragment) -> BTreeMap<String, String> {
    let lines = fragment.map.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(name, backend)| (name.to_owned(), backend.to_owned())).collect()
}

fn backends(fragment: &Fragment) -> BTreeSet<String> {
    let words = fragment.configuration.lines().filter_map(|line| line.strip_prefix("backend "));
    words.map(str::to_owned).collect()
}

/// The balancer has these names of the site and no others, and these Appservers behind them.
async fn assert_routed(stage: &Stage, names: &RoutedNames, serving: &[&str]) {
    let fragment = fragment(stage);
    let id = stage.instance;
    assert_eq!(fragment.name, format!("ocim--main-{id}"));
    let expected = names.domains.iter().map(|name| (name.clone(), format!("be-{id}-main")));
    let redirects = names.redirects.iter().map(|name| (name, format!("be-redirect-{id}-main")));
    let redirects = redirects.map(|(name, backend)| (name.clone(), backend));
    assert_eq!(map(&fragment), expected.chain(redirects).collect::<BTreeMap<_, _>>());
    let of_map: BTreeSet<_> = map(&fragment).into_values().collect();
    assert_eq!(backends(&fragment), of_map);
    for name in &names.domains {
        assert_eq!(stage.balancer.serving(BALANCER, name), serving, "{name}");
    }
    for name in &names.redirects {
        assert!(stage.balancer.is_redirected(BALANCER, name), "{name}");
    }
    let loaded = stage.app().journal().load::<Instance>(&id.stream()).await.unwrap();
    assert_eq!(loaded.state.present().unwrap().name_troubles, []);
}

async fn load(stage: &Stage, id: AppserverId) -> Present {
    let loaded = stage.app().journal().load::<Appserver>(&id.stream()).await.unwrap();
    loaded.state.present().unwrap().clone()
}

/// The names of all machines in the cloud.
fn machines(stage: &Stage) -> Vec<String> {
    let mut names: Vec<_> = stage.cloud.machines().into_iter().map(|it| it.name).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn every_setting_changes_between_two_launches_and_nothing_is_left_behind() {
    let stage = Stage::new().await;
    let first = stage.launch_active().await;
    let old = names(&stage).await;
    assert_routed(&stage, &old, &["appserver-1"]).await;
    let of_first = machines(&stage);
    assert_eq!(of_first.len(), 1);
    assert!(of_first[0].ends_with(&first.appserver.0.to_string()), "{of_first:?}");
    let frozen = load(&stage, first.appserver).await.launched;

    change_all(&stage, 1).await;
    assert_routed(&stage, &old, &["appserver-1"]).await;
    let second = stage.launch().await;
    assert_routed(&stage, &old, &["appserver-1"]).await;
    let new = names(&stage).await;
    let run = stage.begin_activation(second.appserver, true).await;
    // While it is being proved, visitors have the names that they had.
    stage.drive_until(run, |run| run.steps.contains_key("prove_site")).await;
    let proving = map(&fragment(&stage));
    let probe = probe_host(stage.instance, 2);
    assert_eq!(proving.get(&probe), Some(&format!("be-probe-{}-main", stage.instance)));
    assert_eq!(proving.len(), old.domains.len() + 1);
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_routed(&stage, &new, &["appserver-2"]).await;

    let run = stage.begin_termination(first.appserver).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_routed(&stage, &new, &["appserver-2"]).await;
    let of_second = machines(&stage);
    assert_eq!(of_second.len(), 1, "{of_second:?}");
    assert!(of_second[0].ends_with(&second.appserver.0.to_string()), "{of_second:?}");
    assert_eq!(load(&stage, first.appserver).await.launched, frozen);
    let ours: BTreeSet<_> = stage.dns.aliases().into_keys().collect();
    assert!(new.domains.iter().filter(|name| name.ends_with(SITE)).all(|it| ours.contains(it)));
    assert!(stage.playbooks.list_running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_moves_traffic_after_a_change_leaves_only_its_own_names() {
    let stage = Stage::new().await;
    let (first, second) = (stage.launch_active().await, stage.launch_active().await);
    let old = names(&stage).await;

    // A deactivation leaves the names as they were assigned.
    change_all(&stage, 1).await;
    let run = stage.begin_deactivation(first.appserver).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_routed(&stage, &old, &["appserver-2"]).await;

    // One who serves already, activated again, takes the names of now.
    let run = stage.begin_activation(second.appserver, false).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let new = names(&stage).await;
    assert_routed(&stage, &new, &["appserver-2"]).await;

    // An activation that turns back leaves those of before.
    change_all(&stage, 2).await;
    let run = stage.begin_activation(first.appserver, true).await;
    stage.drive_until(run, |run| run.steps.contains_key("switch_traffic")).await;
    stage.cancel(run).await;
    assert!(matches!(stage.drive(run).await.phase, Phase::Unwound(_)));
    assert_routed(&stage, &new, &["appserver-2"]).await;

    // Once nobody serves, the preliminary page has the names of the settings.
    let reason = Some("a test".to_owned());
    let by = ocim::app::Caller { reason, ..somebody() };
    let ask = ForceAsk { force: true };
    let asked = stage.app().terminate_appserver(&by, second.appserver, ask).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let page = fragment(&stage);
    let names = names(&stage).await;
    let expected: BTreeSet<_> = names.domains.into_iter().collect();
    assert_eq!(map(&page).into_keys().collect::<BTreeSet<_>>(), expected);
    let backend = format!("be-preliminary-page-{}-main", stage.instance);
    assert_eq!(backends(&page), BTreeSet::from([backend]));
}
