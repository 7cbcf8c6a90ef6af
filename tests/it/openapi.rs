//! The checked-in `openapi.json` is the one that the routes and wire types give.

use std::path::PathBuf;

/// `BLESS=1 cargo test --test it openapi` writes it anew.
#[test]
fn openapi_document_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("api-spec/openapi.json");
    let actual = ocim::http::openapi::document_text().unwrap();
    if std::env::vars().any(|(name, value)| name == "BLESS" && value == "1") {
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} is not current: run with BLESS=1", path.display());
}

#[test]
fn every_operation_has_an_id_a_tag_and_problems_and_all_references_resolve() {
    let document = serde_json::to_value(ocim::http::openapi::document()).unwrap();
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let place = format!("{method} {path}");
            operations.push(operation["operationId"].as_str().unwrap().to_owned());
            assert!(operation["tags"][0].is_string(), "{place}");
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let description = answer["description"].as_str().unwrap();
                assert!(!description.is_empty(), "{place}: {status} is not described");
            }
            let is_health = path == "/health";
            assert_eq!(operation["responses"]["4XX"].is_object(), !is_health, "{place}");
        }
    }
    let count = operations.len();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), count);
    assert_eq!(count, 47);
    let text = document.to_string();
    let schemas = &document["components"]["schemas"];
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas[name].is_object(), "{name} is referred to, but not there");
    }
}
