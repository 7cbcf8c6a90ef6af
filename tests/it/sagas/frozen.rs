//! What is called after settings, and what becomes of that when the settings change.

use super::stage::{SITE, Stage, somebody};
use ocim::app::{AppError, DetailsAsk, LaunchAsk};
use ocim_adapters::faults::Fault;
use ocim_adapters::sites::SiteAnswer;
use ocim_domain::Timestamp;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::{Instance, Present};
use ocim_domain::name::Kind;
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Cause, Phase};
use ocim_domain::settings::SETTINGS;
use serde_json::{Value, json};

impl Stage {
    async fn change(&self, settings: Value) -> Result<(), AppError> {
        let Value::Object(settings) = settings else { panic!("{settings}") };
        let changed = self.app().change_settings(&somebody(), self.instance, settings, None).await;
        changed.map(drop)
    }

    async fn site(&self) -> Present {
        let stream = self.instance.stream();
        let loaded = self.app().journal().load::<Instance>(&stream).await.unwrap();
        loaded.state.present().unwrap().clone()
    }
}

/// Another value for every setting that can change: its example, or one that these tests look for.
fn other_settings() -> Value {
    let examples = SETTINGS.iter().filter(|it| !FIXED.contains(&it.name));
    let mut values: Value =
        examples.map(|setting| (setting.name.to_owned(), (setting.example)())).collect();
    let own = json!({
        "external_lms_domain": "kurse.über.example.org",
        "external_lms_preview_domain": "preview.example.org",
        "external_studio_domain": "studio.example.org",
        "external_discovery_domain": "discovery.example.org",
        "external_ecommerce_domain": "shop.example.org",
        "email": "root@localhost",
        "configuration_source_repo_url": "git@example.org:configuration.git",
        "edx_platform_repository_url": "git@github.com:org/edx-platform.git",
    });
    values.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    values
}

/// Settings that never change, and the region, of which this world has one.
const FIXED: [&str; 8] = [
    "internal_lms_domain",
    "internal_lms_preview_domain",
    "internal_studio_domain",
    "internal_discovery_domain",
    "internal_ecommerce_domain",
    "openstack_region",
    "secret_key_b64encoded",
    "secret_key_rsa_private",
];

#[tokio::test(start_paused = true)]
async fn databases_and_buckets_keep_their_names_whatever_settings_change() {
    let stage = Stage::new().await;
    assert_eq!(stage.site().await.resources, None, "they are named when they are needed");
    stage.launch().await;
    let names = stage.site().await.resources.unwrap();
    assert_eq!(names.database, "alpha_example_com");
    let changed = other_settings();
    for setting in SETTINGS.iter() {
        let field = setting.name;
        assert_ne!(changed.get(field).is_some(), FIXED.contains(&field), "{field}");
    }
    stage.change(changed).await.unwrap();
    stage.answer("kurse.xn--ber-goa.example.org", None);
    stage.launch().await;
    assert_eq!(stage.site().await.resources.unwrap(), names);
    assert_eq!(stage.events(&["instance.resources_named"]).await.len(), 1);
    // What bears a name of the site outside bears it in A-labels.
    assert!(stage.dns.aliases().keys().all(|name| name.is_ascii()));
}

#[tokio::test(start_paused = true)]
async fn settings_that_change_during_a_launch_stay_and_are_the_next_ones() {
    let stage = Stage::new().await;
    let release = stage.site().await.settings.openedx_release;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until(launched.run, |run| run.steps.contains_key("create_server")).await;
    stage.change(json!({ "openedx_release": "my-release", "name": "Beta" })).await.unwrap();
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    let site = stage.site().await;
    assert_eq!(site.settings.openedx_release, "my-release");
    assert_eq!((site.settings.name.as_str(), site.settings_version), ("Beta", 2));
    let frozen = async |id: AppserverId| {
        let loaded = stage.app().journal().load::<Appserver>(&id.stream()).await.unwrap();
        let launched = loaded.state.present().unwrap().launched.clone();
        (launched.settings.openedx_release, launched.settings_version)
    };
    assert_eq!(frozen(launched.appserver).await, (release, 1));
    let next = stage.launch().await;
    assert_eq!(frozen(next.appserver).await, ("my-release".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_domain_is_let_go_when_the_balancer_serves_it_no_more() {
    let stage = Stage::new().await;
    let name = "courses.example.org";
    stage.answer(name, None);
    stage.change(json!({ "external_lms_domain": name })).await.unwrap();
    stage.launch_active().await;
    stage.change(json!({ "external_lms_domain": "" })).await.unwrap();
    let other = async || {
        let Value::Object(wish) = json!({ "internal_lms_domain": name }) else { panic!() };
        stage.app().create_instance(&somebody(), wish, DetailsAsk::default()).await
    };
    // Visitors of that name still reach the site.
    assert!(stage.site().await.holds(Kind::Domain, name));
    assert!(matches!(other().await, Err(AppError::NamesTaken(_))));
    // The next change of its balancer's entry is composed of the settings of now.
    stage.launch_active().await;
    assert_eq!(stage.events(&["instance.domains_released"]).await.len(), 1);
    assert!(!stage.site().await.holds(Kind::Domain, name));
    other().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_site_that_only_redirects_is_not_up() {
    let stage = Stage::new().await;
    let away = SiteAnswer {
        status: 302,
        location: Some("https://login.example.org/".to_owned()),
        ..SiteAnswer::default()
    };
    stage.site.set_answer(SITE, Some(away));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let started = stage.app().journal().now();
    let run = stage.drive(launched.run).await;
    let Phase::Unwound(Cause::StepFailed { step, .. }) = &run.phase else { panic!("{run:?}") };
    assert_eq!(step, "await_heartbeat");
    assert!(stage.app().journal().now() - started >= chrono::TimeDelta::seconds(1800));
}

#[tokio::test(start_paused = true)]
async fn the_dns_is_asked_again_after_1_2_and_4_seconds_at_least() {
    let stage = Stage::new().await;
    for nth in 1..=3 {
        stage.dns.faults.fail("set_names", nth, Fault::Before(Class::Transient));
    }
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    let failed = stage.events(&["saga.step_failed"]).await;
    let pauses: Vec<_> = failed
        .iter()
        .map(|event| {
            let retry: Timestamp = serde_json::from_value(event.data["retry_at"].clone()).unwrap();
            (retry - event.recorded_at).as_seconds_f64()
        })
        .collect();
    assert_eq!(pauses.len(), 3, "{failed:?}");
    for (pause, floor) in pauses.iter().zip([1.0, 2.0, 4.0]) {
        assert!(*pause >= floor - 0.01 && *pause <= 1.5 * floor + 0.01, "{pauses:?}");
    }
}
