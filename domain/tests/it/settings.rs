//! From what people send to settings: defaults, changes, and every rule that can be broken.

mod swift;

use crate::sample::{self, MASTER, SIGNING_KEY, defaults, secrets, settings};
use crate::vectors;
use ocim_domain::configuration::playbook_variables::{common_variables, users_variables};
use ocim_domain::configuration::{Composition, compose_variables};
use ocim_domain::event::APPEND_BYTES_MAX;
use ocim_domain::protected::Protected;
use ocim_domain::settings::{
    Defaults, InstanceSettings, NewSecrets, SETTINGS, SettingsChanges, SettingsInput, Violation,
    change_settings, create_settings, default_playbook_name,
};
use serde_json::{Value, json};

fn input(value: Value) -> SettingsInput {
    serde_json::from_value(value).unwrap()
}

fn create(value: Value) -> Result<InstanceSettings, Vec<Violation>> {
    create_settings(input(value), &defaults(), "inst", &secrets())
}

fn fields(violations: &[Violation]) -> Vec<&str> {
    violations.iter().map(|violation| violation.field.as_str()).collect()
}

#[test]
fn a_sub_domain_is_all_that_must_be_given() {
    let settings = create(json!({ "sub_domain": "alpha" })).unwrap();
    let mut json = serde_json::to_value(&settings).unwrap();
    // What came later has its golden files.
    for later in SETTINGS.iter().filter(|setting| setting.since > 1) {
        json.as_object_mut().unwrap().remove(later.name);
    }
    let open = |text: &str| json!({ "$protected": { "subject": "inst", "open": text } });
    let expected = json!({
        "name": "Instance",
        "purpose": "sandbox",
        "internal_lms_domain": "alpha.example.com",
        "internal_lms_preview_domain": "preview.alpha.example.com",
        "internal_studio_domain": "studio.alpha.example.com",
        "internal_discovery_domain": "discovery.alpha.example.com",
        "internal_ecommerce_domain": "ecommerce.alpha.example.com",
        "external_lms_domain": "",
        "external_lms_preview_domain": "",
        "external_studio_domain": "",
        "external_discovery_domain": "",
        "external_ecommerce_domain": "",
        "enable_prefix_domains_redirect": false,
        "email": open("contact@example.com"),
        "openedx_release": "master",
        "configuration_source_repo_url": "https://github.com/edx/configuration.git",
        "configuration_version": "master",
        "configuration_playbook_name": "playbooks/openedx_native.yml",
        "configuration_extra_settings": open(""),
        "edx_platform_repository_url": "https://github.com/edx/edx-platform.git",
        "edx_platform_commit": "master",
        "openstack_region": "test-region",
        "openstack_server_flavor": { "ram": 4096, "disk": 40 },
        "openstack_server_base_image": { "name": "Ubuntu 16.04" },
        "openstack_server_ssh_keyname": "opencraft",
        "additional_security_groups": [],
        "additional_monitoring_emails": [],
        "lms_users": [],
        "ssh_users": [],
        "storage_type": "swift",
        "swift_openstack_user": "",
        "swift_openstack_password": open(""),
        "swift_openstack_tenant": "",
        "swift_openstack_auth_url": "",
        "swift_openstack_region": "",
        "s3_access_key": "",
        "s3_secret_access_key": open(""),
        "s3_bucket_name": "",
        "s3_region": "",
        "deploy_simpletheme": false,
        "theme_main_color": "",
        "theme_link_color": "",
        "theme_header_bg_color": "",
        "theme_footer_bg_color": "",
        "theme_logo_url": "",
        "theme_favicon_url": "",
        "secret_key_b64encoded": open(MASTER),
        "secret_key_rsa_private": open(SIGNING_KEY),
    });
    assert_eq!(json, expected);
}

/// Another value for each field that may change: its example, or one of a rarer form.
fn other_values() -> Value {
    let may_change = SETTINGS.iter().filter(|it| !it.is_fixed);
    let mut values: Value =
        may_change.map(|setting| (setting.name.to_owned(), (setting.example)())).collect();
    values["email"] = json!("learn+us@uni.example.net");
    values["configuration_source_repo_url"] = json!("ssh://git@host/r.git");
    values["configuration_extra_settings"] = json!("A: yes");
    values["edx_platform_repository_url"] = json!("/srv/git/edx-platform.git");
    values["additional_monitoring_emails"] = json!(["a@example.com", "b@example.com"]);
    values
}

#[test]
fn every_field_can_be_given_and_changed() {
    let current = settings();
    let changed = change_settings(&current, input(other_values()), true).unwrap();
    let expected: Vec<_> = other_values().as_object().unwrap().keys().cloned().collect();
    assert_eq!(current.difference(&changed).fields(), expected);
    assert!(expected.len() >= 22, "{expected:?}");
    assert_eq!(changed.email.subject(), current.email.subject());

    let mut values = other_values();
    values["internal_lms_domain"] = "lms.other.example.com".into();
    values["internal_studio_domain"] = "authors.other.example.com".into();
    let created = create(values).unwrap();
    assert_eq!(created.internal_studio_domain, "authors.other.example.com");
    assert_eq!(created.internal_ecommerce_domain, "ecommerce.lms.other.example.com");
    assert_eq!(created.additional_monitoring_emails[1].open(), Some("b@example.com"));
}

#[test]
fn nothing_said_changes_nothing() {
    assert_eq!(change_settings(&settings(), SettingsInput::default(), true), Ok(settings()));
    let same = input(json!({ "name": "A site", "internal_lms_domain": "lms.example.com" }));
    assert_eq!(change_settings(&settings(), same, true), Ok(settings()));
}

#[test]
fn the_playbook_and_the_platform_follow_the_release_only_when_blank() {
    for row in vectors::read("default_servers_and_misc.json")["playbook_names"].as_array().unwrap()
    {
        let release = row["openedx_release"].as_str().unwrap();
        assert_eq!(default_playbook_name(release), row["playbook"], "{release}");
        let created = create(json!({ "sub_domain": "abc", "openedx_release": release })).unwrap();
        assert_eq!(created.configuration_playbook_name, row["playbook"]);
        assert_eq!(created.edx_platform_commit, release);
        // The version of the playbooks does not follow the release.
        assert_eq!(created.configuration_version, "master");
    }
    let newer = input(json!({ "openedx_release": "my-hawthorn" }));
    let kept = change_settings(&settings(), newer, true).unwrap();
    assert_eq!(kept.configuration_playbook_name, "playbooks/openedx_native.yml");
    assert_eq!(kept.edx_platform_commit, "master");
    let again = input(json!({
        "openedx_release": "my-hawthorn",
        "configuration_playbook_name": "",
        "edx_platform_commit": "",
    }));
    let chosen = change_settings(&settings(), again, true).unwrap();
    assert_eq!(chosen.configuration_playbook_name, "playbooks/edx_sandbox.yml");
    assert_eq!(chosen.edx_platform_commit, "my-hawthorn");
}

#[test]
fn unknown_and_mistyped_fields_are_refused() {
    for wrong in [
        json!({ "sub_domian": "x" }),
        json!({ "name": 5 }),
        json!({ "lms_users": [{ "username": "ada" }] }),
        json!({ "lms_users": [{ "username": "ada", "email": "a@b.com", "is_staff": true }] }),
        json!({ "additional_security_groups": "x" }),
    ] {
        assert!(serde_json::from_value::<SettingsInput>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn what_was_made_of_names_and_secrets_keeps_them_once_there_was_a_launch() {
    let other = json!({
        "internal_lms_domain": "right.example.com",
        "secret_key_b64encoded": "AAAA",
        "name": "Right",
    });
    let refused = change_settings(&settings(), input(other.clone()), true).unwrap_err();
    assert_eq!(fields(&refused), ["internal_lms_domain", "secret_key_b64encoded"]);
    let corrected = change_settings(&settings(), input(other), false).unwrap();
    assert_eq!(corrected.internal_lms_domain, "right.example.com");
    assert_eq!(corrected.secret_key_b64encoded.open(), Some("AAAA"));
    // What was derived from the former name was written then.
    assert_eq!(corrected.internal_studio_domain, "studio.lms.example.com");
    // A site that moves here brings its own.
    let mut given = other_values();
    given["secret_key_b64encoded"] = "AAAA".into();
    given["internal_lms_domain"] = "lms.other.example.com".into();
    assert_eq!(create(given).unwrap().secret_key_b64encoded.open(), Some("AAAA"));
}

/// A mapping that nests so deep.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({ "name": "a" }), |inner, _| json!({ "name": inner }))
}

/// A text of so many bytes, and a list of so many aliases of it.
fn aliases(bytes: usize, number: usize) -> String {
    format!("a: &a {}\nl: [{}]\n", "x".repeat(bytes), vec!["*a"; number].join(", "))
}

#[test]
fn every_rule_names_its_field() {
    let control = "two\nlines";
    for (field, wrong) in [
        ("name", json!(" ")),
        ("name", json!("x".repeat(251))),
        ("name", json!(control)),
        ("name", json!("{{ lookup('pipe', 'id') }}")),
        ("email", json!("")),
        ("email", json!("nobody")),
        ("email", json!("a@b@example.com")),
        ("email", json!("a b@example.com")),
        ("email", json!("a@host")),
        ("email", json!(format!("a@{}.com", "x.".repeat(124)))),
        ("email", json!("{{x}}@example.com")),
        ("email", json!("a@example.com\nBcc: b@example.com")),
        ("openedx_release", json!("")),
        ("openedx_release", json!("x".repeat(129))),
        ("openedx_release", json!("--upload-pack=id")),
        ("configuration_source_repo_url", json!("")),
        ("configuration_source_repo_url", json!("ext::sh -c id")),
        ("configuration_source_repo_url", json!("relative/path")),
        ("configuration_source_repo_url", json!("https://")),
        ("configuration_source_repo_url", json!("https://user:pass@example.com/r.git")),
        ("configuration_source_repo_url", json!("ssh://git:pass@example.com/r.git")),
        ("configuration_source_repo_url", json!("ssh://-oProxyCommand=id/r.git")),
        ("configuration_source_repo_url", json!("file://relative")),
        ("configuration_source_repo_url", json!("git:pass@example.com:r.git")),
        ("configuration_source_repo_url", json!("-git@example.com:r.git")),
        ("configuration_source_repo_url", json!("git@-oProxyCommand=id:r.git")),
        ("configuration_source_repo_url", json!("git@example.com:-r.git")),
        ("configuration_source_repo_url", json!("git@ext::sh")),
        ("configuration_source_repo_url", json!("example.com:r.git")),
        ("configuration_source_repo_url", json!(format!("https://h/{}", "x".repeat(256)))),
        ("configuration_version", json!("")),
        ("configuration_version", json!("x".repeat(51))),
        ("configuration_playbook_name", json!("/etc/passwd")),
        ("configuration_playbook_name", json!("a/../../b.yml")),
        ("configuration_playbook_name", json!("--syntax-check")),
        ("configuration_playbook_name", json!("x".repeat(101))),
        ("configuration_extra_settings", json!("- a list")),
        ("configuration_extra_settings", json!("a: 1\na: 2")),
        ("configuration_extra_settings", json!("a: \"\\0\"")),
        ("configuration_extra_settings", json!("\"\\0\": 1")),
        ("configuration_extra_settings", json!(format!("a: {}", "x".repeat(128 * 1024)))),
        ("configuration_extra_settings", json!(aliases(30_000, 40))),
        ("edx_platform_repository_url", json!("ftp://example.com/r.git")),
        ("edx_platform_commit", json!("x".repeat(257))),
        ("edx_platform_commit", json!("two words")),
        ("openstack_region", json!("")),
        ("openstack_region", json!("x".repeat(17))),
        ("openstack_server_flavor", json!("vps-ssd-2")),
        ("openstack_server_flavor", json!({})),
        ("openstack_server_flavor", nested(17)),
        ("openstack_server_flavor", nested(120)),
        ("openstack_server_flavor", json!({ "name": "x".repeat(8 * 1024) })),
        ("openstack_server_base_image", json!([1])),
        ("openstack_server_ssh_keyname", json!("x".repeat(257))),
        ("additional_security_groups[1]", json!(["fine", ""])),
        ("additional_security_groups[0]", json!(["x".repeat(201)])),
        ("additional_security_groups", json!(vec!["web"; 101])),
        ("additional_monitoring_emails", json!(vec!["a@example.com"; 101])),
        ("additional_monitoring_emails[1]", json!(["a@example.com", "b"])),
        ("external_lms_domain", json!("bad domain")),
        ("external_lms_preview_domain", json!("'.example.com")),
        ("external_studio_domain", json!("x".repeat(101))),
        ("external_discovery_domain", json!("com")),
        ("external_ecommerce_domain", json!("a_b.example.com")),
    ] {
        let name = field.split('[').next().unwrap();
        for violations in [
            create(json!({ "sub_domain": "abc", name: wrong })).unwrap_err(),
            change_settings(&settings(), input(json!({ name: wrong })), true).unwrap_err(),
        ] {
            assert_eq!(fields(&violations), [field], "{wrong}: {violations:?}");
            assert!(!violations[0].rule.is_empty());
        }
    }
}

/// How large a selector of machines may be, as JSON.
const SELECTOR_BYTES_MAX: usize = APPEND_BYTES_MAX / 128;

#[test]
fn a_selector_of_machines_is_small_and_has_no_mark_of_the_store() {
    let selector = |value: &Value| {
        let said = json!({ "sub_domain": "abc", "openstack_server_flavor": value });
        create(said).map_err(|violations| violations[0].rule.clone())
    };
    let of_bytes = |bytes: usize| json!({ "name": "x".repeat(bytes - 11) });
    assert_eq!(of_bytes(SELECTOR_BYTES_MAX).to_string().len(), SELECTOR_BYTES_MAX);
    assert!(selector(&of_bytes(SELECTOR_BYTES_MAX)).is_ok());
    assert!(selector(&of_bytes(SELECTOR_BYTES_MAX + 1)).unwrap_err().contains("KiB"));
    assert!(selector(&nested(16)).is_ok());
    for marked in [
        json!({ "$protected": 1 }),
        json!({ "a": { "$protected": 1 } }),
        json!({ "a": [{ "b": { "$protected": 1 } }] }),
    ] {
        assert!(selector(&marked).unwrap_err().contains("`$protected`"), "{marked}");
    }
    assert!(selector(&json!({ "a": "$protected" })).is_ok());
}

#[test]
fn limits_are_reached() {
    let settings = create(json!({
        "sub_domain": "abc",
        "name": "é".repeat(250),
        "openedx_release": "x".repeat(128),
        "configuration_version": "x".repeat(50),
        "configuration_playbook_name": "x".repeat(100),
        "edx_platform_commit": "x".repeat(256),
        "openstack_region": "x".repeat(16),
        "openstack_server_ssh_keyname": "",
    }));
    assert!(settings.is_ok(), "{settings:?}");
    let longest =
        format!("{}@{}.{}.{}.com", "a".repeat(64), "b".repeat(63), "c".repeat(63), "d".repeat(57));
    assert_eq!(longest.len(), 254);
    for email in ["root@localhost", "a@über.example.com", &longest] {
        let created = create(json!({ "sub_domain": "abc", "email": email }));
        assert!(created.is_ok(), "{email}: {created:?}");
    }
    for url in [
        "http://host/r.git",
        "https://host:8443/r",
        "git://host/r",
        "file:///srv/r.git",
        "/srv/r",
        "ssh://git@host:22/r.git",
        "git@github.com:org/repo.git",
        "git@localhost:repo.git",
    ] {
        let created = create(json!({ "sub_domain": "abc", "edx_platform_repository_url": url }));
        assert!(created.is_ok(), "{url}: {created:?}");
    }
}

/// However much people say: what a launch freezes goes into one append, sealed.
#[test]
fn the_largest_settings_can_be_frozen() {
    let email = format!("{}@{}.com", "x".repeat(64), "x".repeat(60));
    // Nearly all of it is one text, which stands in the variables again for each alias.
    let extra = aliases(APPEND_BYTES_MAX / 8 - 64, 1);
    let settings = create(json!({
        "sub_domain": "abc",
        "name": "\u{1f600}".repeat(250),
        "configuration_extra_settings": extra,
        "openstack_server_flavor": { "name": "x".repeat(8_000) },
        "openstack_server_base_image": { "name": "x".repeat(8_000) },
        "additional_security_groups": vec!["\u{1f600}".repeat(200); 100],
        "additional_monitoring_emails": vec![email.clone(); 100],
        "lms_users": (0..100).map(|index| json!({
            "username": format!("{index:0>150}"),
            "email": email,
            "password_hash": format!("a${}", "x".repeat(126)),
        })).collect::<Vec<_>>(),
        "ssh_users": vec!["x".repeat(39); 100],
    }))
    .unwrap();
    let context = vectors::instances()[0].context();
    let Composition { variables, provenance } = compose_variables(&settings, &context).unwrap();
    let variables = Value::Object(variables).to_string();
    assert!(variables.len() > APPEND_BYTES_MAX / 4 - 1024, "{}", variables.len());
    let users = Value::Object(users_variables(&settings, &context).unwrap()).to_string();
    let common = Value::Object(common_variables(&settings, &context)).to_string();
    let provenance = serde_json::to_string(&provenance).unwrap();
    assert!(provenance.len() < APPEND_BYTES_MAX / 16, "{}", provenance.len());
    let protect = |text: String| Protected::new("inst", text);
    let launched = json!({
        "settings": settings,
        "variables": protect(variables),
        "provenance": protect(provenance),
        "users_variables": protect(users),
        "common_variables": protect(common),
    });
    let sealed = sealed_bytes(&launched);
    assert!(sealed < APPEND_BYTES_MAX * 15 / 16, "{sealed}");
}

/// Bytes of a JSON whose protected texts are sealed: base64 with a nonce and a tag.
fn sealed_bytes(value: &Value) -> usize {
    match value {
        Value::Object(fields) => match fields.get("open").and_then(Value::as_str) {
            Some(text) => 64 + (text.len() + 64) * 4 / 3 + fields["subject"].to_string().len(),
            None => fields.iter().map(|(name, it)| name.len() + 4 + sealed_bytes(it)).sum(),
        },
        Value::Array(items) => items.iter().map(|item| 1 + sealed_bytes(item)).sum(),
        other => other.to_string().len(),
    }
}

#[test]
fn a_token_in_a_url_is_refused_with_its_substitute() {
    for url in ["https://token@example.com/r.git", "http://user:pass@example.com/r.git"] {
        let refused = create(json!({ "sub_domain": "abc", "edx_platform_repository_url": url }));
        let told = refused.unwrap_err().remove(0).to_string();
        assert!(told.contains("OCIM_GIT_CREDENTIALS") && told.contains("`example.com`"), "{told}");
        assert!(!told.contains("token@") && !told.contains("pass@"), "{told}");
    }
}

#[test]
fn names_with_percent_signs_are_names_like_others() {
    let rows = vectors::read("default_servers_and_misc.json");
    let rows = rows["instance_names"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["name"].as_str().unwrap().contains('%')));
    for row in rows {
        let created = create(json!({ "sub_domain": "abc", "name": row["name"] }));
        assert_eq!(created.unwrap().name, row["name"]);
    }
}

#[test]
fn a_domain_comes_from_one_place() {
    let neither = create(json!({})).unwrap_err();
    assert_eq!(fields(&neither), ["internal_lms_domain"]);
    let both = create(json!({ "sub_domain": "abc", "internal_lms_domain": "a.example.com" }));
    assert_eq!(fields(&both.unwrap_err()), ["sub_domain"]);
    let wrong = create(json!({ "sub_domain": "A b" })).unwrap_err();
    assert_eq!(fields(&wrong), ["sub_domain"]);
    let wrong = create(json!({ "internal_lms_domain": "a b.example.com" })).unwrap_err();
    assert_eq!(fields(&wrong), ["internal_lms_domain"]);
    let late = change_settings(&settings(), input(json!({ "sub_domain": "abc" })), true);
    assert_eq!(fields(&late.unwrap_err()), ["sub_domain"]);
}

#[test]
fn a_sub_domain_is_whatever_makes_a_domain() {
    // The rule of the registration form (3 to 63 lower-case letters, digits, hyphens) is its own.
    for good in ["ab", "pr12.sandbox", "Hogwarts", "über", "x"] {
        let settings = create(json!({ "sub_domain": good })).unwrap();
        assert_eq!(settings.internal_lms_domain, format!("{good}.example.com"));
    }
    for bad in ["", "?hogwarts", "-hogwarts", "hogwarts-", "hog_warts", "a..b", "a\n", ".a"] {
        let refused = create(json!({ "sub_domain": bad })).unwrap_err();
        assert_eq!(fields(&refused), ["sub_domain"], "{bad:?}");
        assert!(!refused[0].rule.contains('\n'), "{refused:?}");
    }
}

#[test]
fn a_derived_domain_may_become_too_long() {
    let domain = format!("{}.{}.example.com", "x".repeat(40), "y".repeat(39));
    let violations = create(json!({ "internal_lms_domain": domain })).unwrap_err();
    assert_eq!(fields(&violations), ["internal_discovery_domain", "internal_ecommerce_domain"]);
}

#[test]
fn internal_domains_differ_and_stay() {
    let same = create(json!({
        "internal_lms_domain": "lms.example.com",
        "internal_studio_domain": "LMS.example.com",
    }));
    assert_eq!(fields(&same.unwrap_err()), ["internal_studio_domain"]);
    let circular = create(json!({
        "internal_lms_domain": "lms.example.com",
        "internal_studio_domain": "studio-lms.example.com",
        "enable_prefix_domains_redirect": true,
    }));
    assert_eq!(fields(&circular.unwrap_err()), ["enable_prefix_domains_redirect"]);
    for (one, other) in [
        ("external_lms_domain", "LMS.example.com"),
        ("external_studio_domain", "studio.lms.example.com"),
    ] {
        let twice = change_settings(&settings(), input(json!({ one: other })), true);
        assert_eq!(fields(&twice.unwrap_err()), [one], "a host leads to one place");
    }
    let redirected = change_settings(
        &settings(),
        input(json!({
            "external_studio_domain": "Studio-LMS.example.com",
            "enable_prefix_domains_redirect": true,
        })),
        true,
    );
    assert_eq!(fields(&redirected.unwrap_err()), ["enable_prefix_domains_redirect"]);
    let too_long = create(json!({
        "sub_domain": "x".repeat(60), "enable_prefix_domains_redirect": true,
    }));
    assert!(
        too_long.unwrap_err().iter().all(|v| v.field == "enable_prefix_domains_redirect"),
        "a redirecting name is a host name"
    );
    let unicode = create(json!({ "sub_domain": "über", "enable_prefix_domains_redirect": true }));
    assert_eq!(fields(&unicode.unwrap_err()), ["enable_prefix_domains_redirect"]);
    for field in [
        "internal_lms_domain",
        "internal_lms_preview_domain",
        "internal_studio_domain",
        "internal_discovery_domain",
        "internal_ecommerce_domain",
    ] {
        let moved = input(json!({ field: "elsewhere.example.com" }));
        assert_eq!(fields(&change_settings(&settings(), moved, true).unwrap_err()), [field]);
    }
}

#[test]
fn all_violations_come_at_once() {
    let violations = create(json!({
        "sub_domain": "?",
        "name": "",
        "email": "x",
        "openstack_server_flavor": 1,
        "configuration_extra_settings": "a: 1\na: 2",
    }))
    .unwrap_err();
    let expected =
        ["sub_domain", "name", "email", "configuration_extra_settings", "openstack_server_flavor"];
    assert_eq!(fields(&violations), expected);
    let yaml = violations.iter().find(|v| v.field == "configuration_extra_settings").unwrap();
    assert_eq!(
        yaml.to_string(),
        "`configuration_extra_settings` can't be read: the key `a` is there twice (line 2, column 1)"
    );
}

#[test]
fn a_master_secret_must_be_one() {
    for wrong in ["", "not base64!", &"A".repeat(52)] {
        let input = input(json!({ "sub_domain": "abc" }));
        let wrong = NewSecrets { master: wrong.to_owned(), ..secrets() };
        let refused = create_settings(input, &defaults(), "inst", &wrong).unwrap_err();
        assert_eq!(fields(&refused), ["secret_key_b64encoded"]);
    }
}

#[test]
fn wrong_defaults_are_told_like_wrong_input() {
    let defaults = Defaults { openstack_region: String::new(), ..Defaults::new("example.com", "") };
    let input = input(json!({ "sub_domain": "abc" }));
    let refused = create_settings(input, &defaults, "inst", &secrets()).unwrap_err();
    assert_eq!(fields(&refused), ["openstack_region"]);
    assert_eq!(Defaults::fork_url("o/r"), "https://github.com/o/r.git");
}

#[test]
fn the_input_shows_no_secrets() {
    let shown = format!("{:?}", input(other_values()));
    assert!(!shown.contains("learn+us") && !shown.contains("A: yes"), "{shown}");
    let recorded = vectors::instances();
    let settings = recorded[0].settings();
    let unchanged = change_settings(&settings, SettingsInput::default(), true);
    assert_eq!(unchanged, Ok(settings), "what the original stored passes our rules");
    assert_eq!(sample::settings().difference(&sample::settings()), SettingsChanges::default());
}

/// Variables by which Ansible and its connection plugins choose machine, account and programs.
const ANSIBLES_OWN: [&str; 24] = [
    "ansible_connection",
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_password",
    "ansible_ssh_host",
    "ansible_ssh_user",
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_executable",
    "ansible_ssh_private_key_file",
    "ansible_sftp_extra_args",
    "ansible_become",
    "ansible_become_user",
    "ansible_become_method",
    "ansible_become_exe",
    "ansible_python_interpreter",
    "ansible_perl_interpreter",
    "ansible_shell_executable",
    "ansible_shell_type",
    "ansible_remote_tmp",
    "ansible_docker_host",
    "ansible_facts",
];

#[test]
fn extra_settings_cannot_send_a_play_elsewhere() {
    for name in ANSIBLES_OWN {
        for text in [format!("A: 1\n{name}: x"), format!("{{\"{name}\": {{}}}}")] {
            let given = json!({ "sub_domain": "alpha", "configuration_extra_settings": text });
            let violations = create(given).unwrap_err();
            assert_eq!(violations.len(), 1, "{violations:?}");
            assert_eq!(violations[0].field, "configuration_extra_settings");
            assert!(violations[0].rule.contains(&format!("must not set `{name}`")), "{name}");
        }
    }
    for text in ["ANSIBLE: 1", "my_ansible_host: x", "A: {ansible_host: x}"] {
        create(json!({ "sub_domain": "alpha", "configuration_extra_settings": text })).unwrap();
    }
}

#[test]
fn there_may_be_no_key_pair() {
    for none in [json!(""), json!(null)] {
        let given = json!({ "sub_domain": "alpha", "openstack_server_ssh_keyname": none });
        assert_eq!(create(given).unwrap().openstack_server_ssh_keyname, "");
    }
    let settings = create(json!({ "sub_domain": "alpha" })).unwrap();
    assert_eq!(settings.openstack_server_ssh_keyname, defaults().openstack_server_ssh_keyname);
}
