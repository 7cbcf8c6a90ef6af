//! The checked-in `openapi.json` is the one that the routes and wire types give, and it is whole.

use actix_web::http::Method;
use ocim::http::openapi::{DOCUMENT_PATH, document, document_text};
use ocim::http::routes;
use ocim_domain::right::{Effect, Right};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Types whose fields are any JSON, or described elsewhere: a reason each.
const FREE: [(&str, &str); 4] = [
    ("RecordedEvent.data", "each kind of event holds something else"),
    ("RunVerb.output", "each step gives something else"),
    ("Settings", "the settings' own table says what each may be"),
    ("SettingsChange", "the settings' own table says what each may be"),
];

/// `BLESS=1 cargo test --test it openapi` writes it anew.
#[test]
fn openapi_document_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("api-spec/openapi.json");
    let actual = document_text().unwrap();
    if std::env::vars().any(|(name, value)| name == "BLESS" && value == "1") {
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} is not current: run with BLESS=1", path.display());
}

fn as_json() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Every operation of the document: its place and what is said of it.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((format!("{} {path}", method.to_uppercase()), operation));
        }
    }
    operations
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[test]
fn every_route_is_in_the_document_with_the_right_that_it_needs() {
    let document = as_json();
    let mut listed = BTreeSet::new();
    for route in routes::all() {
        let place = format!("{} {}", route.method(), route.path());
        let operation = &document["paths"][route.path()][route.method().as_str().to_lowercase()];
        assert_eq!(operation["operationId"], route.id(), "{place}");
        match route.right() {
            Some(right) => assert_eq!(operation["x-right"], right.name(), "{place}"),
            None => assert_eq!(operation["security"], serde_json::json!([{}]), "{place}"),
        }
        assert!(listed.insert(place.clone()), "{place} stands there twice");
    }
    let told = operations(&document).into_iter().map(|(place, _)| place).collect();
    assert_eq!(listed, told);
    let ids: BTreeSet<_> = routes::all().map(routes::Route::id).collect();
    assert_eq!(ids.len(), listed.len(), "each has an id of its own");
    assert!(listed.len() >= 49, "{}", listed.len());
}

/// Who adds a route says who may use it: nothing below the API's path is for anybody, what changes
/// something needs a right to change, and each right is needed by some route.
#[test]
fn every_route_has_a_rule() {
    let mut needed = BTreeSet::new();
    for route in routes::all() {
        let place = format!("{} {}", route.method(), route.path());
        let Some(right) = route.right() else {
            let is_open = ["/health", "/ready", "/problems", "/problems/{name}"];
            assert!(is_open.contains(&route.path()), "{place} is for anybody");
            continue;
        };
        let looks = route.method() == Method::GET;
        assert_eq!(looks, right.effect() == Effect::Look, "{place}: {right}");
        needed.insert(right);
    }
    assert_eq!(needed, Right::ALL.iter().copied().collect());
    assert!(!routes::all().any(|route| route.path() == DOCUMENT_PATH));
}

#[test]
fn every_operation_says_what_it_takes_and_answers_with_an_example_of_each() {
    let document = as_json();
    let has_text = |value: &Value| value.as_str().is_some_and(|text| text.len() > 2);
    for (place, operation) in operations(&document) {
        for part in ["operationId", "summary", "description"] {
            assert!(has_text(&operation[part]), "{place}: no {part}");
        }
        assert!(operation["tags"][0].is_string(), "{place}");
        let body = operation["requestBody"]["content"].as_object();
        for (media_type, content) in body.into_iter().flatten() {
            assert!(content["example"].is_object(), "{place}: {media_type} without an example");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(has_text(&parameter["description"]), "{place}: {parameter}");
        }
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().all(|status| status.parse::<u16>().is_ok()), "{place}");
        for (status, answer) in answers {
            let answer = resolve(&document, answer);
            assert!(has_text(&answer["description"]), "{place}: {status}");
            assert!(answer["headers"]["X-Request-Id"].is_object(), "{place}: {status}");
            for (name, header) in answer["headers"].as_object().unwrap() {
                let header = resolve(&document, header);
                assert!(has_text(&header["description"]), "{place}: {status}: {name}");
                assert!(header["schema"]["type"].is_string(), "{place}: {status}: {name}");
            }
            let is_empty = status == "204";
            assert_eq!(answer["content"].is_object(), !is_empty, "{place}: {status}");
            for (media_type, content) in answer["content"].as_object().into_iter().flatten() {
                let shows = !content["example"].is_null() || content["examples"].is_object();
                assert!(shows, "{place}: {status} {media_type} without an example");
            }
        }
        let retries = &document["components"]["responses"];
        assert!(retries["BusyOrUnavailable"]["headers"]["Retry-After"].is_object());
    }
}

#[test]
fn links_lead_to_operations_by_parameters_that_they_have() {
    let document = as_json();
    let operations = operations(&document);
    let by_id: BTreeMap<_, _> =
        operations.iter().map(|(_, it)| (it["operationId"].as_str().unwrap(), *it)).collect();
    let mut seen = 0;
    for (place, operation) in &operations {
        let answers = operation["responses"].as_object().unwrap().values();
        let links = answers.filter_map(|answer| answer["links"].as_object());
        for (name, link) in links.flatten() {
            seen += 1;
            let target = by_id.get(link["operationId"].as_str().unwrap());
            let target = target.unwrap_or_else(|| panic!("{place}: {name} leads nowhere"));
            let known = target["parameters"].as_array().unwrap();
            for parameter in link["parameters"].as_object().unwrap().keys() {
                assert!(known.iter().any(|it| it["name"] == parameter.as_str()), "{place}: {name}");
            }
        }
        // What starts a run leads to it.
        let started = &operation["responses"]["202"];
        assert!(started.is_null() || started["links"]["run"].is_object(), "{place}");
    }
    assert!(seen > 30, "{seen}");
}

/// Whether a schema says more of a text or number than that it is one.
fn is_bounded(schema: &Value) -> bool {
    let kind = &schema["type"];
    let is = |wanted: &str| {
        kind == wanted || kind.as_array().is_some_and(|kinds| kinds.contains(&wanted.into()))
    };
    if is("string") {
        return ["pattern", "format", "maxLength", "enum"].iter().any(|it| !schema[it].is_null());
    }
    if is("integer") || is("number") {
        return ["minimum", "maximum", "exclusiveMinimum"].iter().any(|it| !schema[it].is_null());
    }
    !is("array") || is_bounded(&schema["items"])
}

#[test]
fn every_field_and_parameter_says_its_pattern_range_length_or_format() {
    let document = as_json();
    let mut findings = vec![];
    let mut look = |place: String, schema: &Value| {
        let is_in = |(free, _): &(&str, &str)| {
            place == *free || place.strip_prefix(free).is_some_and(|rest| rest.starts_with('.'))
        };
        if !FREE.iter().any(is_in) && !is_bounded(schema) {
            findings.push(format!("{place}: {schema}"));
        }
    };
    fn fields(schema: &Value, found: &mut Vec<(String, Value)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            found.push((name.clone(), field.clone()));
        }
        for part in ["allOf", "oneOf"] {
            for schema in schema[part].as_array().into_iter().flatten() {
                fields(schema, found);
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        look(name.clone(), schema);
        let mut found = vec![];
        fields(schema, &mut found);
        for (field, schema) in found {
            look(format!("{name}.{field}"), &schema);
        }
    }
    for (place, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let kind = &parameter["schema"]["type"];
            assert!(!kind.is_array(), "{place}: {} may be null", parameter["name"]);
            look(format!("{place} {}", parameter["name"]), &parameter["schema"]);
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn all_references_resolve_and_pages_refer_to_their_items() {
    let document = as_json();
    let text = document.to_string();
    for reference in text.split("\"#/").skip(1) {
        let path = format!("/{}", reference.split('"').next().unwrap());
        assert!(document.pointer(&path).is_some_and(Value::is_object), "{path} is not there");
    }
    let mut pages = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let Some(item) = name.strip_prefix("Page_") else { continue };
        pages += 1;
        let expected = format!("#/components/schemas/{item}");
        assert_eq!(schema["properties"]["items"]["items"]["$ref"], expected.as_str(), "{name}");
    }
    assert!(pages > 10, "{pages}");
}

#[test]
fn words_that_end_something_are_called_final() {
    let document = as_json();
    let told = |name: &str| {
        let text = document["components"]["schemas"][name]["description"].as_str().unwrap();
        text.to_owned()
    };
    for name in ["RunPhase", "AppserverStatus", "ServerStatus", "TokenState", "StepState"] {
        assert!(told(name).contains("final"), "{name}");
    }
    for word in ["completed", "unwound", "abandoned"] {
        assert!(told("RunPhase").contains(&format!("`{word}`")), "{word}");
    }
}
