//! What a row does, on an invented table: settings that came later, and every kind there is.

use invented::{INVENTED, Invented, InventedChanges, InventedInput};
use serde_json::{Value, json};

#[allow(unreachable_pub, reason = "what the macro declares is public")]
mod invented {
    use super::super::check::Violation;
    use super::super::declare::{Origin, Setting, declare_settings};
    use super::super::input::NewSecrets;
    use super::super::kinds::{
        Boolean, HiddenText, Integer, Kind, OptionalHiddenText, OptionalText, ProtectedList,
        TextList, TextMap,
    };
    use super::super::rules::TextRule::{Email, Line, MasterSecret};
    use std::collections::BTreeMap;

    declare_settings! {
        settings Invented;
        input InventedInput {}
        changes InventedChanges;
        table INVENTED;
        subject secret;

        people {
            /// Was there from the beginning.
            title: OptionalText(Line(9)) { fixed: "stays", default: |_| "".into(), example: "a" }
            /// Came with schema 2.
            quota: Integer(1, 9) { since: 2, before: 3, default: |_| 5, example: 7 }
            /// Came with schema 2, and has always been off.
            is_open: Boolean { since: 2, before: false, default: |_| true, example: false }
            /// Came with schema 3; each
            /// has its name.
            colours: TextMap(Line(7)) {
                since: 3, before: BTreeMap::new(),
                default: |origin| [("main".to_owned(), origin.ours.base_domain.clone())].into(),
                from: "the base domain",
                example: serde_json::json!({ "main": "#aa3" }),
            }
            /// Came with schema 3, with somebody in it.
            contacts: ProtectedList(Email) {
                since: 3, before: vec!["a@example.com".to_owned()],
                default: |_| vec![], example: ["b@example.com"],
            }
            /// A list.
            tags: TextList(Line(3)) { default: |_| vec![], example: ["x"] }
            /// A secret.
            secret: HiddenText(MasterSecret) {
                default: |origin| origin.secrets.master.clone(), example: "AA==",
            }
            /// Another, which came with schema 2.
            token: OptionalHiddenText(MasterSecret) {
                since: 2, before: "AA==".into(),
                default: |origin| origin.secrets.master.as_str().into(), example: "BB==",
            }
        }
    }

    pub(super) fn create() -> Invented {
        let ours = crate::settings::Defaults::new("x.com", "r");
        let secrets = NewSecrets { master: "T3BlbkNyYWZ0".to_owned(), ..NewSecrets::default() };
        let origin = Origin { ours: &ours, lms_domain: "", secrets: &secrets, subject: "inst_1" };
        Invented::of_origin(&origin)
    }
}

/// As schema 1 wrote it.
fn oldest() -> Value {
    let secret = json!({ "$protected": { "subject": "inst_1", "open": "T3BlbkNyYWZ0" } });
    json!({ "title": "old", "tags": [], "secret": secret })
}

fn read(json: Value) -> Invented {
    serde_json::from_value(json).unwrap()
}

#[test]
fn what_is_older_than_a_setting_reads_as_it_was_before_it() {
    let old = read(oldest());
    assert_eq!((old.quota, old.is_open, old.colours.len()), (3, false, 0));
    assert_eq!(old.contacts[0].open(), Some("a@example.com"));
    assert_eq!(old.contacts[0].subject(), "inst_1");
    assert_eq!(old.token.open(), Some("AA=="));
    assert_eq!(serde_json::to_value(&old).unwrap(), oldest(), "and is written as it was");
    assert_eq!(INVENTED.iter().map(|it| it.since).collect::<Vec<_>>(), [1, 2, 2, 3, 3, 1, 1, 2]);
}

#[test]
fn what_is_as_old_as_a_setting_must_have_it() {
    let mut lacking = oldest();
    lacking.as_object_mut().unwrap().remove("title");
    let error = serde_json::from_value::<Invented>(lacking).unwrap_err().to_string();
    assert_eq!(error, "missing field `title`");
}

#[test]
fn a_new_one_has_the_defaults_and_is_written_whole() {
    let new = invented::create();
    assert_eq!((new.quota, new.is_open), (5, true));
    assert_eq!(new.colours["main"], "x.com");
    let written = serde_json::to_value(&new).unwrap();
    assert_eq!(written.as_object().unwrap().len(), INVENTED.len());
    assert_eq!(read(written), new);
    assert_eq!(new.check_each(), []);
}

#[test]
fn a_difference_holds_what_differs_and_makes_the_one_of_the_other() {
    let (old, new) = (read(oldest()), invented::create());
    let changes = old.difference(&new);
    let expected = ["title", "quota", "is_open", "colours", "contacts", "token"];
    assert_eq!(changes.fields(), expected);
    assert_eq!(old.with(&changes), new);
    assert_eq!(new.with(&new.difference(&old)), old);
    assert_eq!(new.difference(&new), InventedChanges::default());
    let quota = serde_json::to_value(InventedChanges { quota: Some(4), ..Default::default() });
    assert_eq!(quota.unwrap(), json!({ "quota": 4 }));
}

#[test]
fn what_people_say_is_taken_and_what_is_wrong_with_it_told() {
    let mut settings = invented::create();
    let input: InventedInput = serde_json::from_value(json!({
        "title": null,
        "quota": 10,
        "is_open": null,
        "colours": { "a": "long enough", " ": "x", "$protected": "x" },
        "contacts": ["nobody"],
        "tags": ["fine", "x", ""],
    }))
    .unwrap();
    settings.apply(input);
    let told: Vec<_> = settings.check_each().iter().map(ToString::to_string).collect();
    let expected = [
        "`quota` must be a whole number from 1 to 9",
        "`colours` has a name, its number 1, that must not be blank",
        "`colours` has a name, its number 2, that is the store's own",
        "`colours.a` must have at most 7 characters",
        "`contacts[0]` must be an e-mail address like `name@example.com`",
        "`tags[0]` must have at most 3 characters",
        "`tags[2]` must not be blank",
    ];
    assert_eq!(told, expected);
    assert_eq!(settings.check_fixed(&read(oldest()))[0].to_string(), "`title` stays");
    assert!(settings.is_open, "nothing was said");
    for refused in [json!({ "secret": 1 }), json!({ "quota": "5" }), json!({ "nothing": 1 })] {
        assert!(serde_json::from_value::<InventedInput>(refused).is_err());
    }
}

#[test]
fn what_is_hidden_stays_where_it_is_sent_back_as_it_was_shown() {
    let say = |input: Value| {
        let mut settings = invented::create();
        settings.apply(serde_json::from_value(input).unwrap());
        (settings.secret.text().to_owned(), settings.token.text().to_owned())
    };
    let (secret, other) = ("T3BlbkNyYWZ0".to_owned(), "AA==".to_owned());
    assert_eq!(say(json!({ "secret": "***", "token": "***" })), (secret.clone(), secret.clone()));
    assert_eq!(say(json!({ "secret": "AA==", "token": "AA==" })), (other.clone(), other));
    // The one can be taken away, the other not.
    assert_eq!(say(json!({ "secret": "", "token": null })), (secret, String::new()));
}

#[test]
fn what_is_opened_has_its_secrets_and_what_is_erased_has_none() {
    let opened = |settings: &Invented| -> Vec<Option<Value>> {
        settings.opened().into_iter().map(|(_, value)| value).collect()
    };
    let mut settings = invented::create();
    let contacts = json!({ "contacts": ["b@example.com"], "tags": ["x"] });
    settings.apply(serde_json::from_value(contacts).unwrap());
    let all = [
        json!(""),
        json!(5),
        json!(true),
        json!({ "main": "x.com" }),
        json!(["b@example.com"]),
        json!(["x"]),
        json!("T3BlbkNyYWZ0"),
        json!("T3BlbkNyYWZ0"),
    ];
    assert_eq!(opened(&settings), all.map(Some));
    let erased = json!({ "$protected": { "subject": "inst_1" } });
    let mut written = serde_json::to_value(&settings).unwrap();
    for name in ["secret", "token"] {
        written[name] = erased.clone();
    }
    let opened = opened(&read(written));
    assert_eq!(opened[6..], [None, None]);
}

#[test]
fn people_see_what_is_theirs() {
    let shown = invented::create().show();
    let expected = json!({
        "title": "", "quota": 5, "is_open": true, "colours": { "main": "x.com" }, "contacts": [],
        "tags": [], "secret": "***", "token": "***",
    });
    assert_eq!(Value::Object(shown), expected);
    let colours = &INVENTED[3];
    assert_eq!(colours.documentation(), "Came with schema 3; each has its name.");
    assert_eq!(colours.usual_default(), json!({ "main": "example.com" }));
    assert_eq!((colours.from, colours.is_fixed), (Some("the base domain"), false));
    assert!(INVENTED[0].is_fixed && INVENTED[4].is_protected && INVENTED[7].is_hidden);
}
