//! Commands on instances, on a store in memory: names, settings, and who comes first.

use ocim::app::{App, AppError, AppSetting, Caller, DetailsAsk, ExecuteError};
use ocim::logs::Logs;
use ocim::read_models::ReadModels;
use ocim_adapters::logs::memory::MemoryLogs;
use ocim_adapters::system::{CountingIds, FixedClock};
use ocim_domain::Timestamp;
use ocim_domain::event::Metadata;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::clean_up::{DAYS_DEFAULT, Rule};
use ocim_domain::instance::{self, Instance};
use ocim_domain::name::{self, Name, name_id};
use ocim_domain::settings::Defaults;
use ocim_domain::system::{Clock, Ids};
use ocim_domain::timer::Job;
use ocim_engine::projector::Freshness;
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::sealed::{MemoryKeys, SealedStore};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const KIND: name::Kind = name::Kind::Domain;

/// An Ocim without anything outside, at a time that the test sets.
pub(crate) struct Stage {
    pub(crate) app: App,
    pub(crate) clock: Arc<FixedClock>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH));
        let ids: Arc<dyn Ids> = Arc::new(CountingIds::default());
        let time: Arc<dyn Clock> = clock.clone();
        let store = Arc::new(MemoryStore::with_gaps(time.clone()));
        let keys = Arc::new(MemoryKeys::new(ids.clone()));
        let sealed = Arc::new(SealedStore::new(store, keys, ids.clone()));
        let logs = Arc::new(Logs::new(Arc::new(MemoryLogs::default()), time.clone()));
        let manager =
            deadpool_postgres::Manager::new(tokio_postgres::Config::new(), tokio_postgres::NoTls);
        let nowhere = deadpool_postgres::Pool::builder(manager).build().unwrap();
        let reads = ReadModels::new(nowhere, Freshness::new([]));
        let defaults = Defaults::new("example.com", "RegionOne");
        let regions = vec!["RegionOne".to_owned()];
        let (fragment_name_prefix, plan_of) = ("ocim-".to_owned(), ocim::processes::plan_of);
        let setting = AppSetting {
            jobs: Job::ALL.to_vec(),
            defaults,
            regions,
            fragment_name_prefix,
            clean_up: Rule::Days(DAYS_DEFAULT),
            has_aws_account: false,
            plan_of,
        };
        let app = App::new(sealed, reads, logs, time, ids, setting);
        Self { app, clock }
    }

    pub(crate) async fn create(&self, input: Value) -> Result<InstanceId, AppError> {
        Ok(self.app.create_instance(&by(), object(input), DetailsAsk::default()).await?.value)
    }

    pub(crate) async fn change(
        &self,
        id: InstanceId,
        input: Value,
        seen: Option<u64>,
    ) -> Result<u64, AppError> {
        Ok(self.app.change_settings(&by(), id, object(input), seen).await?.value)
    }

    /// What a creation leaves that dies after its first reservation.
    pub(crate) async fn leave_reservation(&self, domain: &str, owner: InstanceId) {
        let (name, owner) = (domain.to_owned(), owner.to_string());
        let reserve = name::Command::Reserve { kind: KIND, name, owner };
        let stream = name_id(KIND, domain).stream();
        let meta = Metadata::by("system");
        self.app.journal().execute::<Name>(&stream, &meta, reserve).await.unwrap();
    }

    pub(crate) async fn settings(&self, id: InstanceId) -> ocim_domain::settings::InstanceSettings {
        let loaded = self.app.journal().load::<Instance>(&id.stream()).await.unwrap();
        loaded.state.present().unwrap().settings.clone()
    }
}

pub(crate) fn by() -> Caller {
    Caller::new("local:test")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}

fn fields(error: AppError) -> Vec<String> {
    match error {
        AppError::Invalid(violations) | AppError::NamesTaken(violations) => {
            violations.into_iter().map(|it| it.field).collect()
        }
        other => panic!("not a broken rule: {other}"),
    }
}

#[tokio::test]
async fn a_name_left_by_a_crash_is_reclaimed_and_its_owner_never_comes_to_be() {
    let stage = Stage::new();
    let ghost = InstanceId(Uuid::from_u128(7));
    stage.leave_reservation("alpha.example.com", ghost).await;
    // It might only be slow.
    let refused = stage.create(json!({ "sub_domain": "alpha" })).await.unwrap_err();
    assert_eq!(fields(refused), ["internal_lms_domain"]);
    stage.clock.advance(Duration::from_secs(31));
    let id = stage.create(json!({ "sub_domain": "alpha" })).await.unwrap();
    assert_eq!(stage.app.find_instance("alpha.example.com").await.unwrap(), Some(id));
    let settings = Box::new(stage.settings(id).await);
    let late = instance::Command::Create { settings, details: Box::default() };
    let meta = Metadata::by("system");
    let refused = stage.app.journal().execute::<Instance>(&ghost.stream(), &meta, late).await;
    assert!(matches!(refused, Err(ExecuteError::Rejected(instance::Rejected::Exists))));
}

#[tokio::test]
async fn a_taken_name_is_refused_by_its_field_and_the_others_are_free_again() {
    let stage = Stage::new();
    let first = stage.create(json!({ "sub_domain": "alpha" })).await.unwrap();
    let wish = json!({
        "sub_domain": "beta", "internal_studio_domain": "studio.alpha.example.com"
    });
    let refused = stage.create(wish).await.unwrap_err();
    assert_eq!(fields(refused), ["internal_studio_domain"]);
    assert_eq!(stage.app.find_instance("beta.example.com").await.unwrap(), None);
    let second = stage.create(json!({ "sub_domain": "beta" })).await.unwrap();
    assert_ne!(first, second);
    // The redirecting names are held as well, wanted or not.
    let refused = stage.create(json!({ "sub_domain": "studio-beta" })).await.unwrap_err();
    assert!(matches!(refused, AppError::NamesTaken(_)), "{refused:?}");
    assert_eq!(fields(refused), ["internal_lms_domain"]);
}

#[tokio::test]
async fn two_changes_of_different_settings_at_once_both_stay() {
    let stage = Stage::new();
    let id = stage.create(json!({ "sub_domain": "alpha" })).await.unwrap();
    let name = stage.change(id, json!({ "name": "Alpha" }), None);
    let release = stage.change(id, json!({ "openedx_release": "ficus.1" }), None);
    let (one, other) = tokio::join!(name, release);
    assert_ne!(one.unwrap(), other.unwrap());
    let settings = stage.settings(id).await;
    assert_eq!((settings.name.as_str(), settings.openedx_release.as_str()), ("Alpha", "ficus.1"));
}

#[tokio::test]
async fn a_change_of_what_has_changed_since_is_stale() {
    let stage = Stage::new();
    let id = stage.create(json!({ "sub_domain": "alpha" })).await.unwrap();
    let seen = stage.change(id, json!({ "name": "Alpha" }), Some(1)).await.unwrap();
    let stale = stage.change(id, json!({ "name": "Beta" }), Some(1)).await;
    let Err(AppError::Stale { current, changes }) = stale else { panic!("{stale:?}") };
    assert_eq!((current, changes.len()), (seen, 1));
    assert_eq!((changes[0].version, &changes[0].changed[..]), (seen, &["name".to_owned()][..]));
    // What is so already changes nothing, and keeps its version.
    assert_eq!(stage.change(id, json!({ "name": "Alpha" }), Some(seen)).await.unwrap(), seen);
}

#[tokio::test]
async fn every_unknown_and_wrong_field_is_named_and_nothing_is_written() {
    let stage = Stage::new();
    let before = stage.app.journal().store().head().await.unwrap();
    let refused = stage.create(json!({ "sub_domain": "alpha", "colour": 1, "name": 2 })).await;
    let mut named = fields(refused.unwrap_err());
    named.sort();
    assert_eq!(named, ["colour", "name"]);
    assert_eq!(stage.app.journal().store().head().await.unwrap(), before);
}
