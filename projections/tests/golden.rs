//! What every kind of event changes in the read models, as reviewed text in `tests/golden`.
//!
//! `BLESS=1 cargo test -p ocim-projections` writes the files anew.

#![expect(clippy::unwrap_used, reason = "a test fails by breaking off")]

#[path = "samples/events.rs"]
mod samples;

use ocim_domain::event::Recorded;
use ocim_domain::name;
use ocim_projections::{ALL, Columns, RowChange};
use samples::{INSTANCE, all_events, instance_events, recorded};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

fn project_all(event: &Recorded) -> Vec<(&'static str, RowChange)> {
    ALL.iter()
        .filter(|projector| {
            let categories = projector.categories;
            categories.is_empty() || categories.contains(&event.stream.category())
        })
        .flat_map(|projector| {
            let changes = (projector.project)(event).unwrap();
            changes.into_iter().map(|change| (projector.name, change))
        })
        .collect()
}

fn render(changes: &[(&'static str, RowChange)]) -> String {
    let mut text = String::new();
    for (projector, change) in changes {
        let (verb, parts): (_, &[(&str, &Columns)]) = match change {
            RowChange::Upsert { initial, set, .. } => {
                ("upsert", &[("initial", initial), ("set", set)])
            }
            RowChange::Update { set, .. } => ("update", &[("set", set)]),
            RowChange::Merge { set, into, .. } => {
                writeln!(text, "{projector}: merge into {into}").unwrap();
                ("update", &[("set", set)])
            }
            RowChange::Delete { .. } => ("delete", &[]),
        };
        let key = json!(change.key());
        writeln!(text, "{projector}: {verb} {} {key}", change.table()).unwrap();
        for (part, columns) in parts {
            for (name, value) in *columns {
                writeln!(text, "  {part} {name} = {value}").unwrap();
            }
        }
    }
    if text.is_empty() { "nothing\n".to_owned() } else { text }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "BLESS is for people who run this test")]
fn every_kind_changes_the_rows_it_should() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut actual = std::collections::BTreeMap::<String, String>::new();
    for event in all_events() {
        actual.entry(event.kind.clone()).or_default().push_str(&render(&project_all(&event)));
    }
    if std::env::var_os("BLESS").is_some() {
        for (kind, text) in &actual {
            std::fs::write(folder.join(format!("{kind}.txt")), text).unwrap();
        }
    }
    for (kind, text) in &actual {
        let golden = std::fs::read_to_string(folder.join(format!("{kind}.txt")));
        assert_eq!(golden.ok().as_ref(), Some(text), "{kind}");
    }
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name());
    let stray: Vec<_> = files
        .filter_map(|file| file.into_string().ok())
        .filter(|file| !actual.contains_key(file.trim_end_matches(".txt")))
        .collect();
    assert_eq!(stray, Vec::<String>::new(), "golden files without an event");
}

/// The kinds of the events that have golden files in the domain. Settings and what runs record have
/// such files, too, and are no events.
fn known_kinds() -> BTreeSet<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/golden");
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.split_once(".v").map(|(kind, _)| kind.to_owned()))
        .filter(|kind| kind.contains('.') && !kind.starts_with("run."))
        .collect()
}

#[test]
fn every_kind_is_sampled() {
    let sampled: BTreeSet<_> = all_events().into_iter().map(|event| event.kind).collect();
    let missing: Vec<_> = known_kinds().difference(&sampled).cloned().collect();
    assert_eq!(missing, Vec::<String>::new(), "add them to `all_events`");
}

#[test]
fn changes_name_only_columns_of_their_tables() {
    for event in all_events() {
        for (projector, change) in project_all(&event) {
            let projector = ALL.iter().find(|it| it.name == projector).unwrap();
            let table = projector.tables.iter().find(|it| it.name == change.table()).unwrap();
            let key: BTreeSet<_> = change.key().keys().copied().collect();
            assert_eq!(key, table.key.iter().copied().collect(), "{}", event.kind);
            let (initial, set) = match &change {
                RowChange::Upsert { initial, set, .. } => (initial.clone(), set.clone()),
                RowChange::Update { set, .. } | RowChange::Merge { set, .. } => {
                    (Columns::new(), set.clone())
                }
                RowChange::Delete { .. } => (Columns::new(), Columns::new()),
            };
            for name in initial.keys().chain(set.keys()) {
                let is_column = table.columns.iter().any(|(column, _)| column == name);
                assert!(is_column && !table.key.contains(name), "{}: {name}", event.kind);
            }
        }
    }
}

#[test]
fn names_are_unique_and_fit_for_schemas() {
    let mut names = BTreeSet::new();
    for projector in ALL {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(projector.name.len() <= 40 && projector.name.chars().all(plain));
        assert!(names.insert(projector.name), "{} is there twice", projector.name);
    }
    let tables: Vec<_> = ALL.iter().flat_map(|it| it.tables).map(|table| table.name).collect();
    assert_eq!(tables.iter().collect::<BTreeSet<_>>().len(), tables.len());
}

#[test]
fn foreign_kinds_are_ignored_and_broken_payloads_are_not() {
    let reserved = name::Event::Released { owner: INSTANCE.to_string() };
    let mut event = recorded(INSTANCE.stream(), &reserved);
    for projector in ALL.iter().filter(|it| !it.categories.is_empty()) {
        assert_eq!((projector.project)(&event).unwrap(), vec![], "{}", projector.name);
    }
    event.kind = "instance.load_balancer_assigned".to_owned();
    let instances = &ALL[0];
    assert_eq!(instances.name, "instances");
    (instances.project)(&event).unwrap_err();
}

#[test]
fn sealed_values_stay_as_they_were_written() {
    let event = recorded(INSTANCE.stream(), &instance_events()[0]);
    let changes = project_all(&event);
    let RowChange::Upsert { set, .. } = &changes[0].1 else { panic!("{changes:?}") };
    let written: serde_json::Value =
        serde_json::from_str(include_str!("sealed_settings.json")).unwrap();
    assert_eq!(set["settings"], written);
}
