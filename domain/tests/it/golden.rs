//! Every payload ever written still reads: one file per event kind and schema, none changed, none lost.
//!
//! A new kind or schema: add its sample, then run this test once with `BLESS=1`. An existing file
//! is never rewritten: when one differs, the schema number must go up and an upcaster be written.

use crate::sample::each_aggregate;
use crate::{run_record, sample, settings_page};
use ocim_domain::decider::Decider;
use ocim_domain::event::{DecodeError, DomainEvent};
use ocim_domain::ids;
use ocim_domain::{instance, inventory, load_balancer, region};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[expect(clippy::disallowed_methods, reason = "a switch for people who run the test by hand")]
pub(crate) fn is_blessing() -> bool {
    std::env::var("BLESS").is_ok_and(|value| value == "1")
}

/// Compares an aggregate's samples with their files, reads all its files back, and names them.
fn check_aggregate<D: Decider>(samples: &[D::Event]) -> Vec<String>
where
    D::State: std::fmt::Debug + PartialEq,
{
    let sampled: BTreeSet<_> = samples.iter().map(|event| event.encode().unwrap().0).collect();
    let kinds: BTreeSet<_> = D::Event::KINDS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(sampled, kinds, "each kind has one sample");
    assert_eq!(samples.len(), kinds.len(), "each kind has one sample");

    for event in samples {
        let (kind, schema, data) = event.encode().unwrap();
        let path = folder().join(format!("{kind}.v{schema}.json"));
        if !path.exists() && is_blessing() {
            let text = serde_json::to_string_pretty(&data).unwrap();
            std::fs::write(&path, format!("{text}\n")).unwrap();
        }
        assert_eq!(read(&path), data, "{kind} is no longer written as schema {schema} was");
    }

    let mut names = vec![];
    let mut state = D::State::default();
    let mut states_seen = 0;
    for (kind, newest) in D::Event::KINDS {
        for schema in 1..=*newest {
            let name = format!("{kind}.v{schema}.json");
            let event = D::Event::decode(kind, schema, &read(&folder().join(&name))).unwrap();
            let before = state.clone();
            state = D::evolve(state, &event);
            states_seen += usize::from(state != before);
            if schema == *newest {
                assert!(samples.contains(&event), "{name} reads as what was written");
            }
            names.push(name);
        }
        let beyond = D::Event::decode(kind, newest + 1, &Value::Null);
        assert!(beyond.is_err(), "{kind}: a schema from the future is refused");
    }
    assert!(states_seen > 0, "the files add up to something");
    names
}

/// The state that all files of an aggregate add up to, as it is kept in snapshots: when it changes, the
/// number of their form must go up, and the file with the old number go.
fn check_snapshot<D: Decider>() -> String
where
    D::State: std::fmt::Debug + PartialEq,
{
    let format = D::SNAPSHOT.as_ref().unwrap();
    let kinds = D::Event::KINDS.iter();
    let files = kinds.flat_map(|(kind, newest)| (1..=*newest).map(move |schema| (*kind, schema)));
    let events = files.map(|(kind, schema)| {
        D::Event::decode(kind, schema, &read(&folder().join(format!("{kind}.v{schema}.json"))))
            .unwrap()
    });
    let state = D::fold(&events.collect::<Vec<_>>());
    let name = format!("{}.v{}.json", D::CATEGORY, format.schema);
    let path = folder().join("../snapshots").join(&name);
    let written = (format.write)(&state).unwrap();
    if !path.exists() && is_blessing() {
        let text = serde_json::to_string_pretty(&written).unwrap();
        std::fs::write(&path, format!("{text}\n")).unwrap();
    }
    assert_eq!(read(&path), written, "{name}: what was kept in snapshots means something else now");
    assert_eq!((format.read)(written).unwrap(), state);
    name
}

#[test]
fn snapshots_hold_what_their_events_add_up_to() {
    let mut names = [
        check_snapshot::<load_balancer::LoadBalancer>(),
        check_snapshot::<ocim_domain::incident::Incident>(),
        check_snapshot::<region::Region>(),
        check_snapshot::<inventory::Inventory>(),
        check_snapshot::<ocim_domain::timer::Timer>(),
    ];
    names.sort();
    let files = std::fs::read_dir(folder().join("../snapshots")).unwrap();
    let mut files: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, names, "no snapshot of an old form is kept");
}

fn read(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}; see the head of golden.rs", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_sealed_or_shredded_payload_still_reads() {
    let (kind, schema, open) = sample::instance_events()[1].encode().unwrap();
    let text = open.to_string();
    for (written, is_shredded) in [
        (text.replace("\"open\":", "\"sealed\":"), false),
        (text.replace("\"open\":", "\"unknown\":"), true),
    ] {
        let data = serde_json::from_str(&written).unwrap();
        let event = instance::Event::decode(&kind, schema, &data).unwrap();
        let instance::Event::Created { settings } = &event else { panic!("{event:?}") };
        assert_eq!(settings.email.open(), None);
        assert_eq!(settings.email.is_shredded(), is_shredded);
        assert_eq!(settings.email.subject(), sample::instance_id().to_string());
        assert_eq!(event.encode().unwrap().2 == data, !is_shredded, "sealed texts stay sealed");
    }
}

#[test]
fn an_event_that_names_a_setting_of_a_newer_ocim_is_unknown() {
    fn decode<E: DomainEvent>(event: &E, member: &str, setting: &str) -> Result<E, DecodeError> {
        let (kind, schema, mut data) = event.encode().unwrap();
        data[member][setting] = "x".into();
        E::decode(&kind, schema, &data)
    }
    let [_, created, changed, ..] = &sample::instance_events()[..] else { panic!() };
    let launched = &sample::appserver_events()[0];
    let decode_all = |setting| {
        [
            decode(created, "settings", setting).map(|event| assert_ne!(&event, created)),
            decode(changed, "changes", setting).map(|event| assert_ne!(&event, changed)),
            decode(launched, "settings", setting).map(|event| assert_ne!(&event, launched)),
        ]
    };
    for read in decode_all("name") {
        read.unwrap();
    }
    for refused in decode_all("of_tomorrow") {
        assert!(matches!(refused, Err(DecodeError::Unknown { schema: 1, .. })), "{refused:?}");
    }
}

#[test]
fn every_event_kind_and_schema_still_reads() {
    let expected: BTreeSet<String> = each_aggregate!(check_aggregate)
        .into_iter()
        .flatten()
        .chain(settings_page::golden_names())
        .chain(run_record::golden_names())
        .collect();
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected, "no file is missing, and none belongs to no event");
    for (category, _) in ids::ALL {
        let is_its = |file: &String| {
            file.strip_prefix(category)
                .is_some_and(|kind| kind.starts_with('.') && kind.contains(".v"))
        };
        let add =
            "add samples of its events to sample.rs, and the aggregate to its `each_aggregate`";
        assert!(expected.iter().any(is_its), "`{category}` has no golden file: {add}");
    }
}
