//! Every kind of event ever written is told in a sentence, and what is protected is never told.

#![expect(clippy::unwrap_used, reason = "a test fails by breaking off")]

use ocim_domain::event::{Metadata, Position, Recorded, StreamId};
use ocim_projections::timeline::{Attempt, Context, actor_name, duration, sentence};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);

fn event(kind: &str, schema: u16, data: Value, actor: &str) -> Recorded {
    let category = kind.split('.').next().unwrap();
    Recorded {
        position: Position([1, 0]),
        stream: StreamId::new(category, ID),
        version: 4,
        id: ID,
        kind: kind.to_owned(),
        schema,
        data,
        meta: Metadata::by(actor),
        recorded_at: "2026-11-22T10:30:00Z".parse().unwrap(),
    }
}

/// Kind, schema and payload of every golden file of an event. Settings and what runs record have such files,
/// too, and are no events.
fn all_payloads() -> Vec<(String, u16, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let (kind, schema) = name.rsplit_once(".v").unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let data = serde_json::from_str(&text).unwrap();
            (kind.to_owned(), schema.parse().unwrap(), data)
        })
        .filter(|(kind, ..)| kind.contains('.') && !kind.starts_with("run."))
        .collect()
}

#[test]
fn every_kind_is_told_in_a_sentence_of_its_own() {
    let mut told = BTreeMap::<String, String>::new();
    for (kind, schema, data) in all_payloads() {
        let event = event(&kind, schema, data, "token:alice");
        let text = sentence(&event, &Context::default());
        let text = text.unwrap_or_else(|| panic!("`{kind}` schema {schema} has no sentence"));
        assert!(text.split(' ').count() >= 3, "{kind}: {text}");
        assert!(!text.ends_with('.') && !text.contains("  "), "{kind}: {text}");
        let first = text.chars().next().unwrap();
        assert!(first.is_alphanumeric() || first == '“', "{kind}: {text}");
        if let Some(other) = told.insert(text.clone(), kind.clone()) {
            assert_eq!(other, kind, "{text}");
        }
    }
    assert!(told.len() >= 40, "{}", told.len());
}

/// What people read of each kind, in `sentences.txt`. `BLESS=1` writes it anew: read what has changed.
#[test]
fn the_sentences_are_those_that_somebody_has_read() {
    let mut told: Vec<_> = all_payloads()
        .into_iter()
        .map(|(kind, schema, data)| {
            let event = event(&kind, schema, data, "token:alice");
            format!("{kind}: {}\n", sentence(&event, &Context::default()).unwrap())
        })
        .collect();
    told.sort();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sentences.txt");
    if is_blessing() {
        std::fs::write(&path, told.concat()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), told.concat());
}

#[expect(clippy::disallowed_methods, reason = "a switch for people who run the test by hand")]
fn is_blessing() -> bool {
    std::env::var("BLESS").is_ok_and(|value| value == "1")
}

/// An event of a run, as `Ocim` or `alice` made it.
fn of_run(kind: &str, data: Value, actor: &str) -> String {
    let event = event(&format!("saga.{kind}"), 1, data, actor);
    let mut context = Context::default();
    context.names.insert(format!("run_{ID}"), "the launch".to_owned());
    sentence(&event, &context).unwrap()
}

#[test]
fn what_operators_do_is_told_by_what_it_does() {
    for (action, expected) in [
        ("retry_step", "alice had “await ssh” tried at once in the launch: mended"),
        ("skip_step", "alice declared “await ssh” done in the launch: mended"),
        ("mark_undone", "alice declared “await ssh” undone in the launch: mended"),
        ("force_unwind", "alice turned the launch back by force: mended"),
        ("resume_forward", "alice turned the launch forward again: mended"),
        ("abandon", "alice gave the launch up: mended"),
    ] {
        let data = json!({
            "actor": "token:alice", "action": action, "direction": "forward",
            "step": "await_ssh", "reason": "mended",
        });
        assert_eq!(of_run("operator_acted", data, "token:alice"), expected);
    }
}

#[test]
fn attempts_retries_and_causes_are_told_where_there_are_any() {
    let (due, key) = ("2026-11-22T10:31:05Z", ID);
    let intend =
        |attempt: u32| json!({"step": "a_b", "attempt": attempt, "key": key, "deadline": due});
    let failed = |retry_at: Value| {
        json!({
            "step": "a_b", "attempt": 1, "class": "transient", "code": null,
            "error": "no answer", "retry_at": retry_at,
        })
    };
    for (kind, data, expected) in [
        ("step_intended", intend(1), "Ocim began “a b”"),
        ("step_intended", intend(2), "Ocim began “a b” (attempt 2)"),
        ("undo_intended", intend(1), "Ocim began to undo “a b”"),
        ("undo_intended", intend(3), "Ocim began to undo “a b” (attempt 3)"),
        ("step_failed", failed(json!(null)), "“a b” failed: no answer"),
        ("step_failed", failed(json!(due)), "“a b” failed: no answer; next try at 10:31:05 UTC"),
        ("undo_failed", failed(json!(null)), "The undo of “a b” failed: no answer"),
        (
            "undo_failed",
            failed(json!(due)),
            "The undo of “a b” failed: no answer; next try at 10:31:05 UTC",
        ),
        (
            "timer_set",
            json!({"step": "a_b", "due": due}),
            "“a b” waits until 2026-11-22 10:31:05 UTC",
        ),
        ("undo_done", json!({"step": "a_b", "note": null}), "Ocim undid “a b”"),
        ("undo_done", json!({"step": "a_b", "note": " "}), "Ocim undid “a b”"),
        ("undo_done", json!({"step": "a_b", "note": "it is gone"}), "Ocim undid “a b”: it is gone"),
        ("stuck", json!({"step": "", "why": "no"}), "the launch is stuck and needs somebody: no"),
    ] {
        assert_eq!(of_run(kind, data, "system"), expected);
    }
}

#[test]
fn each_kind_of_resource_is_called_by_its_key_in_all_that_happens_to_it() {
    let tell = |kind: &str, data: Value| {
        let event = event(&format!("ledger.resource_{kind}"), 1, data, "system");
        sentence(&event, &Context::default()).unwrap()
    };
    let groups = json!({"kind": "security_groups", "key": "north"});
    let wanted = json!({"resource": {
        "kind": "security_groups", "key": "north", "name": "ocim and 2 others", "place": "north",
        "owner": format!("inst_{ID}"),
    }});
    let expected = "The security groups of north are wanted in north: ocim and 2 others";
    assert_eq!(tell("wanted", wanted), expected);
    let gone = json!({"id": groups});
    assert_eq!(tell("absent", gone), "The security groups of north are seen to be gone");
    let fragment = json!({"kind": "fragment", "key": "ocim-a1b2-one"});
    let present = |provider_id: &str| json!({"id": fragment, "provider_id": provider_id});
    let expected = "The load balancer's part ocim-a1b2-one is there";
    assert_eq!(tell("present", present("ocim-a1b2-one")), expected);
    let name = json!({"id": {"kind": "dns_name", "key": "a.example.com"}, "reason": "no answer"});
    assert_eq!(tell("unknown", name), "The DNS name a.example.com is out of sight: no answer");
    let gone = json!({"id": {"kind": "monitor", "key": "https://a.example.com/"}});
    let expected = "The monitor of https://a.example.com/ is seen to be gone";
    assert_eq!(tell("absent", gone), expected);
}

#[test]
fn a_span_of_time_is_told_in_the_unit_that_suits_it() {
    for (seconds, expected) in [
        (-1.0, "0.0 s"),
        (0.26, "0.3 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (59.4, "59 s"),
        (59.5, "1 min 0 s"),
        (725.0, "12 min 5 s"),
        (3_599.0, "59 min 59 s"),
        (3_600.0, "1 h 0 min"),
        (7_380.0, "2 h 3 min"),
        (90_000.0, "25 h 0 min"),
    ] {
        assert_eq!(duration(seconds), expected, "{seconds}");
    }
}

#[test]
fn protected_values_are_never_told() {
    for (kind, schema, data) in all_payloads() {
        let secrets = secrets_in(&data);
        let text = sentence(&event(&kind, schema, data, "system"), &Context::default()).unwrap();
        for secret in secrets.iter().filter(|secret| secret.len() > 3) {
            assert!(!text.contains(secret.as_str()), "{kind} tells {secret}");
        }
    }
}

fn secrets_in(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => match fields.get("$protected") {
            Some(body) => body["open"].as_str().map(str::to_owned).into_iter().collect(),
            None => fields.values().flat_map(secrets_in).collect(),
        },
        Value::Array(items) => items.iter().flat_map(secrets_in).collect(),
        _ => vec![],
    }
}

#[test]
fn names_and_attempts_make_the_sentence() {
    let run = format!("run_{ID}");
    let appserver = format!("apps_{ID}");
    let mut context = Context::default();
    context.names.insert(run.clone(), "launch_appserver of AppServer 3".to_owned());
    context.names.insert(appserver, "AppServer 3".to_owned());
    context.names.insert(format!("inst_{ID}"), "Alpha".to_owned());
    let tell = |event: &Recorded, context: &Context| sentence(event, context).unwrap();

    let done = event("saga.step_done", 1, json!({"step": "create_server", "output": {}}), "system");
    assert_eq!(tell(&done, &context), "Ocim finished “create server”");
    context.attempts.insert((run.clone(), 4), Attempt { number: 2, seconds: 41.0 });
    assert_eq!(tell(&done, &context), "Ocim finished “create server” (attempt 2, 41 s)");
    context.attempts.insert((run, 4), Attempt { number: 1, seconds: 41.0 });
    assert_eq!(tell(&done, &context), "Ocim finished “create server” (41 s)");

    let data = json!({
        "appserver": format!("apps_{ID}"), "run": format!("run_{ID}"), "number": 3,
        "queued": false, "activate_on_success": false, "deactivate_others": false,
    });
    let launched = event("instance.launch_requested", 1, data, "token:Alice");
    assert_eq!(tell(&launched, &context), "Alice launched AppServer 3 of Alpha");
    let stuck = event("saga.stuck", 1, json!({"step": "a_b", "why": "no answer"}), "system");
    let expected =
        "launch_appserver of AppServer 3 is stuck at “a b” and needs somebody: no answer";
    assert_eq!(tell(&stuck, &context), expected);
    let unknown = event("saga.invented", 1, json!({}), "system");
    assert_eq!(sentence(&unknown, &context), None);
}

#[test]
fn people_and_tokens_are_named_and_all_others_are_ocim_itself() {
    for (actor, name) in [
        ("token:Alice", "Alice"),
        ("local:root", "root"),
        ("user:Bob", "Bob"),
        ("token:", "Ocim"),
        ("saga:Alice", "Ocim"),
        ("system", "Ocim"),
    ] {
        assert_eq!(actor_name(actor), name, "{actor}");
    }
}

#[test]
fn what_a_deletion_leaves_is_told_and_so_is_that_it_leaves_nothing() {
    let deleted = |residue: Value| {
        let data = json!({ "run": format!("run_{ID}"), "residue": residue });
        sentence(&event("instance.deleted", 1, data, "system"), &Context::default()).unwrap()
    };
    assert!(
        deleted(json!([])).ends_with("is deleted: nothing is left of it, and its names are free")
    );
    let left = deleted(json!([{ "kind": "machine", "key": "vm-7" }]));
    assert!(left.ends_with("left over: the machine vm-7"), "{left}");
}
