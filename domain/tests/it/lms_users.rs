//! People whom deployments make staff of a site's LMS, as a setting.

use crate::sample::settings;
use ocim_domain::settings::{HIDDEN, SettingsInput, Violation, change_settings};
use serde_json::{Value, json};

fn input(value: Value) -> SettingsInput {
    serde_json::from_value(value).unwrap()
}

fn fields(violations: &[Violation]) -> Vec<&str> {
    violations.iter().map(|violation| violation.field.as_str()).collect()
}

#[test]
fn lms_users_keep_their_passwords_where_nothing_is_said_of_them() {
    let hash = "pbkdf2_sha256$30000$c2FsdA$aGFzaA";
    let ada = json!({ "username": "ada", "email": "ada@b.com", "password_hash": hash });
    let with = change_settings(&settings(), input(json!({ "lms_users": [ada] })), true).unwrap();
    assert_eq!(with.show()["lms_users"][0]["password_hash"], HIDDEN);
    let shown = json!({ "lms_users": with.show()["lms_users"] });
    assert_eq!(change_settings(&with, input(shown), true), Ok(with.clone()));
    let moved = json!({ "lms_users": [{ "username": "ada", "email": "ada@c.com" }] });
    let moved = change_settings(&with, input(moved), true).unwrap();
    assert_eq!(moved.lms_users[0].email.open(), Some("ada@c.com"));
    assert_eq!(moved.lms_users[0].password_hash.open(), Some(hash));
    assert_eq!(moved.difference(&with).fields(), ["lms_users"]);
    // Nobody's is known for a new one.
    let eve = json!({ "username": "eve", "email": "eve@b.com" });
    let twice = json!({ "username": "ada", "email": "no address", "password_hash": "x" });
    let refused = change_settings(&with, input(json!({ "lms_users": [eve, twice, twice] })), true);
    let expected = [
        "lms_users[0].password_hash",
        "lms_users[1].email",
        "lms_users[1].password_hash",
        "lms_users[2].email",
        "lms_users[2].password_hash",
        "lms_users[2].username",
    ];
    assert_eq!(fields(&refused.unwrap_err()), expected);
}
