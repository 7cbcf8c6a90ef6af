//! Conditions by which instances are chosen.

use ocim_domain::lookup::read_lookups;
use serde_json::{Map, Value, json};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

fn known(field: &str) -> Result<(), String> {
    if ["release", "tags", "size", "note"].contains(&field) {
        Ok(())
    } else {
        Err("is no field".to_owned())
    }
}

#[track_caller]
fn admits(conditions: Value) -> bool {
    let thing = json!({
        "release": "open-release/Hawthorn.2",
        "tags": ["pilot", "may-success"],
        "size": 40,
        "note": "",
    });
    let lookups = read_lookups("filter", &object(conditions), known).unwrap();
    let thing = object(thing);
    lookups.iter().all(|lookup| lookup.admits(&thing))
}

#[test]
fn fields_are_compared_as_their_condition_says() {
    for holds in [
        json!({}),
        json!({ "release": "open-release/Hawthorn.2" }),
        json!({ "release__iexact": "OPEN-RELEASE/hawthorn.2" }),
        json!({ "release__contains": "Hawthorn", "size": 40 }),
        json!({ "release__icontains": "hawthorn" }),
        json!({ "release__startswith": "open", "release__endswith": ".2" }),
        json!({ "release__istartswith": "OPEN", "release__iendswith": "N.2" }),
        json!({ "release__in": ["master", "open-release/Hawthorn.2"] }),
        json!({ "tags": "pilot" }),
        json!({ "tags__name": "pilot" }),
        json!({ "tags__name__in": ["other", "pilot"] }),
        json!({ "tags__startswith": "may" }),
        json!({ "size__gt": 39, "size__gte": 40, "size__lt": 40.5, "size__lte": 40 }),
        json!({ "release__gt": "a" }),
        json!({ "note__isnull": true, "size__isnull": false }),
    ] {
        assert!(admits(holds.clone()), "{holds}");
    }
    for fails in [
        json!({ "release": "open-release/hawthorn.2" }),
        json!({ "release__contains": "hawthorn" }),
        json!({ "size": "40" }),
        json!({ "size__gt": 40 }),
        json!({ "size__gt": "4" }),
        json!({ "tags": "pil" }),
        json!({ "tags__in": [] }),
        json!({ "note__isnull": false }),
        json!({ "release__contains": "Hawthorn", "size": 41 }),
    ] {
        assert!(!admits(fails.clone()), "{fails}");
    }
}

#[test]
fn every_condition_that_is_none_is_named() {
    let wrong = json!({
        "colour": "red", "release__like": "x", "release__contains": 7, "tags__in": "pilot",
        "note__isnull": "yes", "size": 40,
    });
    let violations = read_lookups("filter", &object(wrong), known).unwrap_err();
    let fields: Vec<_> = violations.iter().map(|it| it.field.as_str()).collect();
    let expected = ["colour", "note__isnull", "release__contains", "release__like", "tags__in"]
        .map(|name| format!("filter.{name}"));
    let mut sorted = fields.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let like = violations.iter().find(|it| it.field == "filter.release__like").unwrap();
    assert!(
        like.rule.contains("`like` is no comparison: there are exact, iexact"),
        "{}",
        like.rule
    );
}
