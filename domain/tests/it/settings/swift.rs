//! The account that keeps a site's uploads: its password goes where it was meant for alone.

use super::{defaults, fields, input, secrets};
use ocim_domain::settings::{
    Defaults, SwiftAccount, change_settings, clone_settings, create_settings,
};
use serde_json::{Value, json};

#[test]
fn the_password_of_swift_goes_nowhere_but_where_it_was_meant_for() {
    let ours = SwiftAccount {
        password: "ours".to_owned(),
        auth_url: "https://swift.example.com/v3".to_owned(),
        ..SwiftAccount::default()
    };
    let defaults = Defaults { swift: ours, ..defaults() };
    let make = |value| create_settings(input(value), &defaults, "inst", &secrets());
    let elsewhere = json!({ "swift_openstack_auth_url": "https://evil.example.com/v3" });
    let with = |more: Value| {
        let mut all = elsewhere.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let refused = make(with(json!({ "sub_domain": "alpha" }))).unwrap_err();
    assert_eq!(fields(&refused), ["swift_openstack_password"]);
    make(with(json!({ "sub_domain": "alpha", "swift_openstack_password": "own" }))).unwrap();

    let settings = make(json!({ "sub_domain": "alpha" })).unwrap();
    let change = |value| change_settings(&settings, input(value), false);
    let refused = change(elsewhere.clone()).unwrap_err();
    assert_eq!(fields(&refused), ["swift_openstack_password"]);
    change(with(json!({ "swift_openstack_password": "own" }))).unwrap();
    change(json!({ "swift_openstack_auth_url": "" })).unwrap();
    let said = with(json!({ "internal_lms_domain": "beta.example.com" }));
    let said = said.as_object().unwrap().clone();
    let cloned = clone_settings(&settings, said, &defaults, "inst_2", &secrets());
    assert_eq!(fields(&cloned.unwrap_err()), ["swift_openstack_password"]);
}

#[test]
fn a_password_that_may_be_blank_is_of_one_line_and_not_too_long() {
    for (field, longest) in [("swift_openstack_password", 64), ("s3_secret_access_key", 50)] {
        let make = |password: &str| {
            let said =
                json!({ "sub_domain": "alpha", "storage_type": "filesystem", field: password });
            create_settings(input(said), &defaults(), "inst", &secrets()).map(|_| ())
        };
        for fits in ["", "p", &"x".repeat(longest)] {
            assert_eq!(make(fits), Ok(()), "{field} {fits}");
        }
        for wrong in ["two\nlines", " ", &"x".repeat(longest + 1)] {
            assert_eq!(fields(&make(wrong).unwrap_err()), [field], "{wrong:?}");
        }
    }
}
