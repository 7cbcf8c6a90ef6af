//! The configuration: defaults, the original's names, and every rule.

use ocim::config::original::{Fate, ORIGINAL};
use ocim::config::{BalancerLogin, CloudConfig, Config, LogFormat, OpenstackRegion};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

fn load(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let mut variables = BTreeMap::from([("HOME".to_owned(), "/home/someone".to_owned())]);
    variables.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Config::load_for(&variables, false)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn nothing_has_to_be_set() {
    let config = load(&[]).expect("the defaults");
    assert_eq!(config.database_url, None);
    assert_eq!(config.data_dir, Path::new("/home/someone/.local/share/ocim"));
    assert_eq!((config.http_address.to_string(), config.http_port), ("127.0.0.1".into(), 5000));
    assert_eq!(config.clouds, BTreeMap::from([("local".into(), CloudConfig::default())]));
    assert_eq!(config.openstack_region, "local");
    assert_eq!(config.default_instance_base_domain, "localhost");
    assert_eq!(config.default_lms_preview_domain_prefix, "preview.");
    assert_eq!(config.default_configuration_version, "master");
    assert_eq!(config.openstack_sandbox_flavor, json!({"ram": 4096, "disk": 40}));
    assert_eq!(config.ansible_line_timeout, Duration::from_secs(1500));
    assert_eq!(config.ansible_global_timeout, Duration::from_secs(9000));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(600));
    assert_eq!(config.instance_smtp_relay, None);
}

#[test]
fn root_keeps_its_data_where_the_system_does() {
    let config = Config::load_for(&BTreeMap::new(), true).expect("the defaults");
    assert_eq!(config.data_dir, Path::new("/var/lib/ocim"));
    let errors = Config::load_for(&BTreeMap::new(), false).expect_err("no HOME");
    assert_eq!(errors[0].to_string(), "OCIM_DATA_DIR must be set where HOME is not");
    let config = load(&[("XDG_DATA_HOME", "/data")]).expect("an XDG folder");
    assert_eq!(config.data_dir, Path::new("/data/ocim"));
}

/// All that the original's manual names.
fn originals() -> Vec<&'static str> {
    include_str!("original_settings.txt").lines().collect()
}

/// A value that the original took.
fn value_of(name: &str) -> &'static str {
    match name {
        "DATABASE_URL" => "postgres://opencraft@localhost/opencraft",
        "OPENSTACK_AUTH_URL" | "SWIFT_OPENSTACK_AUTH_URL" => "https://cloud.example.com:5000/v2.0",
        _ if name.ends_with("_FLAVOR") => r#"{"ram": 4096, "disk": 40}"#,
        _ if name.ends_with("_IMAGE") => r#"{"name": "Ubuntu 16.04"}"#,
        _ if name.ends_with("_FIELDS") => "{}",
        _ if name.ends_with("_TIMEOUT") || name.ends_with("_PORT") => "900",
        _ if name.ends_with("_IP") => "203.0.113.7",
        _ if name.ends_with("_PATH") => "/usr/bin/python3",
        _ if name.ends_with("_DOMAIN_PREFIX") => "sub.",
        _ if name.ends_with("_DOMAIN") => "sandbox.example.com",
        "INSTANCE_STORAGE_TYPE" => "swift",
        "EMAIL_BACKEND" => "django.core.mail.backends.smtp.EmailBackend",
        "CONSUL_ENABLED" => "true",
        "CONSUL_PREFIX" => "{ocim}/instances/{instance}/",
        "LOG_DELETION_DAYS" => "60",
        "EMAIL_USE_TLS" => "true",
        "SERVER_EMAIL" => "opencraft@example.com",
        "ADMINS" => r#"[["Ops", "ops@example.com"]]"#,
        "EDX_WORKERS_ENABLE_CELERY_HEARTBEATS" => "ok",
        "WORKERS" | "WORKERS_LOW_PRIORITY" => "3",
        "DEFAULT_FORK" => "edx/edx-platform",
        "DEFAULT_LOAD_BALANCING_SERVER" => "ubuntu@haproxy.example.com",
        "DEFAULT_INSTANCE_MYSQL_URL" => "mysql://root:pass@mysql.example.com",
        "DEFAULT_INSTANCE_MONGO_URL" => "mongodb://root:pass@mongo.example.com",
        "DEFAULT_RABBITMQ_API_URL" => "https://admin:pass@rabbitmq.example.com:15671",
        "DEFAULT_INSTANCE_RABBITMQ_URL" => "amqps://rabbitmq.example.com:5671",
        _ => "text",
    }
}

#[test]
fn an_environment_of_the_original_starts_it_and_it_says_what_it_does_not_read() {
    let pairs: Vec<_> = originals().into_iter().map(|name| (name, value_of(name))).collect();
    let config = load(&pairs).expect("an environment of the original");
    assert_eq!(config.openstack_region, "text", "a region of that name is made");
    assert!(config.edx_workers_enable_celery_heartbeats, "as the original read it");
    let named: Vec<_> = ORIGINAL.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, originals(), "the table has all of them, in their order");
    let told = |name: &str| config.notes.iter().find(|note| note.starts_with(&format!("{name} ")));
    for (name, fate) in ORIGINAL {
        let expected = match fate {
            Fate::Read => None,
            Fate::Waits(what) => {
                Some(format!("{name} is not read yet: it waits for a capability, {what}"))
            }
            Fate::Gone(why) => Some(format!("{name} is not read any more: {why}")),
        };
        assert!(*name == "SECRET_KEY" || told(name) == expected.as_ref(), "{name}: {expected:?}");
    }
    // Machines are made where the original made them, once all of it is said.
    let CloudConfig::Openstack(region) = &config.clouds["text"] else { panic!("{config:?}") };
    let access = region.access.as_ref().expect("credentials");
    assert_eq!(access.region.as_deref(), Some("text"));
    assert!(!format!("{config:?}").contains("pass@"), "{config:?}");
    let some = load(&[("OPENSTACK_AUTH_URL", value_of("OPENSTACK_AUTH_URL"))]).expect("for Swift");
    assert_eq!(some.clouds["local"], CloudConfig::default());
    assert!(some.notes.iter().any(|note| note.contains("for Swift alone")), "{:?}", some.notes);
    assert!(told("SECRET_KEY").is_some_and(|note| note.contains("fewer than 16 characters")));
    let text = config.notes.join("\n");
    let unread = ORIGINAL.iter().filter(|(_, fate)| *fate != Fate::Read).count();
    assert!(!text.contains("pass@") && text.lines().count() >= unread, "{text}");
    // Whoever sets nothing hears nothing.
    assert_eq!(load(&[]).expect("the defaults").notes, Vec::<String>::new());
}

#[test]
fn no_machine_is_made_on_this_computer_for_want_of_one_variable() {
    let names = ["OPENSTACK_AUTH_URL", "OPENSTACK_USER", "OPENSTACK_PASSWORD", "OPENSTACK_TENANT"];
    let region = ("OPENSTACK_REGION", "text");
    let told = |pairs: Vec<(&str, &str)>| load(&pairs).expect_err("it is refused").remove(0);
    let with = |name: &'static str, value: &'static str| {
        let others = names.into_iter().filter(move |it| *it != name);
        let others = others.map(|name| (name, value_of(name)));
        let own = Some((name, value)).filter(|(_, value)| !value.is_empty());
        others.chain(own).chain([region]).collect::<Vec<_>>()
    };
    for name in names {
        let missing = told(with(name, ""));
        assert!(missing.starts_with("OPENSTACK_AUTH_URL needs "), "{name}: {missing}");
        let alone = told(vec![region, (name, value_of(name))]);
        assert!(alone.starts_with("OPENSTACK_AUTH_URL needs "), "{name}: {alone}");
    }
    let mistyped = told(with("OPENSTACK_AUTH_URL", "cloud.example.com"));
    assert!(mistyped.starts_with("OPENSTACK_AUTH_URL needs an http"), "{mistyped}");
    assert_eq!(load(&[region]).expect("a name alone").clouds["text"], CloudConfig::default());
}

/// The sources in which fields say which variable they are.
fn sources() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    // The table of the original's settings names them all, and reads none.
    files.retain(|file| !file.ends_with("original.rs"));
    files.sort();
    let own = std::iter::once(folder.with_extension("rs"));
    own.chain(files).map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// Each variable that a field documents, with what is said of it.
fn documented() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = vec![];
    let mut is_open = false;
    for line in sources().lines().map(str::trim) {
        let Some(text) = line.strip_prefix("/// ") else {
            is_open = false;
            continue;
        };
        let named = text.strip_prefix('`').and_then(|rest| rest.split_once("`: "));
        let is_name =
            |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || "_0123456789".contains(c));
        match named {
            Some((name, said)) if is_name(name) => {
                found.push((name.to_owned(), said.to_owned()));
                is_open = true;
            }
            _ if is_open => {
                let said = &mut found.last_mut().unwrap().1;
                *said = format!("{said} {text}");
            }
            _ => {}
        }
    }
    found
}

fn configuration_page() -> String {
    let mut page = String::from(
        "# Configuration of Ocim\n\n\
         Made from what `src/config.rs` and `src/config/` say, by `BLESS=1 cargo test --workspace --test it \
         platform::config`; a test compares the two. Ocim reads environment variables, and below them the \
         file `.env` in its working directory. Nothing has to be set. What a site is made with is in \
         [settings.md](settings.md).\n\n\
         | variable | meaning; last the default |\n|---|---|\n",
    );
    for (name, said) in documented() {
        let said = said.replace('|', "\\|");
        page += &format!("| `{name}` | {said} |\n");
    }
    page += "\n## The original's settings\n\n\
             An `.env` of the original starts Ocim. A start says of each of its settings that is set and not \
             read why that is.\n\n| variable | here |\n|---|---|\n";
    for (name, fate) in ORIGINAL {
        let here = match fate {
            Fate::Read => "read".to_owned(),
            Fate::Waits(what) => format!("not yet: waits for {what}"),
            Fate::Gone(why) => format!("no longer: {why}"),
        };
        page += &format!("| `{name}` | {here} |\n");
    }
    page
}

#[expect(clippy::disallowed_methods, reason = "whoever writes the page anew says so")]
fn is_blessing() -> bool {
    std::env::var("BLESS").is_ok_and(|value| value == "1")
}

#[test]
fn the_page_says_what_the_configuration_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if is_blessing() {
        std::fs::write(&path, configuration_page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, configuration_page(), "docs/configuration.md: see its head");
}

#[test]
fn what_reaches_every_site_is_read_as_the_original_read_it() {
    let sites = load(&[
        ("NODE_EXPORTER_PASSWORD", "exporter"),
        ("CONSUL_ENCRYPT", "gossip"),
        ("CONSUL_SERVERS", "10.1.0.1, 10.1.0.2"),
        ("FILEBEAT_LOGSTASH_HOSTS", "logs.example.com:5044"),
        ("FILEBEAT_COMMON_PROSPECTOR_FIELDS", r#"{"ocim": "stage"}"#),
        ("OPENSTACK_USER", "nova"),
        ("OPENSTACK_PASSWORD", "of-nova"),
        ("OPENSTACK_AUTH_URL", "https://cloud.example.com/v2.0"),
        ("SWIFT_OPENSTACK_USER", "swift"),
        ("AWS_S3_DEFAULT_REGION", "eu-west-1"),
    ])
    .expect("an environment of the original")
    .sites;
    assert_eq!(sites.consul_servers, ["10.1.0.1", "10.1.0.2"]);
    assert_eq!(sites.filebeat.logstash_hosts, ["logs.example.com:5044"]);
    assert_eq!(sites.filebeat.common_prospector_fields["ocim"], "stage");
    // What is not said of Swift is said of the cloud.
    assert_eq!((sites.swift.user.as_str(), sites.storage_type.as_str()), ("swift", "swift"));
    let password = sites.swift.password.expect("that of the cloud");
    assert_eq!((password.expose(), sites.s3_region.as_str()), ("of-nova", "eu-west-1"));
    assert_eq!(load(&[]).expect("nothing").sites.storage_type, "filesystem");
    for wrong in [
        ("INSTANCE_STORAGE_TYPE", "tape"),
        ("FILEBEAT_COMMON_PROSPECTOR_FIELDS", "[1]"),
        ("SWIFT_OPENSTACK_USER", &"x".repeat(33)),
    ] {
        let errors = load(&[wrong]).expect_err("it is refused");
        assert!(errors[0].starts_with(wrong.0), "{errors:?}");
    }
}

#[test]
fn the_originals_variables_are_understood() {
    let config = load(&[
        ("DATABASE_URL", "postgres://opencraft:p%40ss@localhost:5432/opencraft"),
        ("SECRET_KEY", "not-a-long-one-but-enough"),
        ("DEFAULT_OPENEDX_RELEASE", "open-release/hawthorn.1"),
        ("DEFAULT_INSTANCE_BASE_DOMAIN", "sandbox.example.com"),
        ("DEFAULT_LOAD_BALANCING_SERVER", "ubuntu@haproxy.example.com"),
        ("OPENSTACK_SANDBOX_BASE_IMAGE", r#"{"name": "Ubuntu 22.04"}"#),
        ("EDX_WORKERS_ENABLE_CELERY_HEARTBEATS", "True"),
        ("PRELIMINARY_PAGE_SERVER_IP", "203.0.113.7"),
        ("INSTANCE_SMTP_RELAY_HOST", "mail.example.com"),
        ("OCIM_ID", "ocim"),
        ("OPENSTACK_PASSWORD", "is for a later version"),
        ("OCIM_LOG_FORMAT", "json"),
        ("OCIM_CLOUDS", r#"{"one": {"kind": "local"}, "two": {"kind": "local"}}"#),
        ("OPENSTACK_REGION", "two"),
    ])
    .expect("an environment of the original");
    assert!(config.database_url.expect("a URL").expose().starts_with("postgres://opencraft"));
    assert_eq!(config.default_configuration_version, "open-release/hawthorn.1");
    let login = BalancerLogin { user: "ubuntu".into(), domain: "haproxy.example.com".into() };
    assert_eq!(config.default_load_balancing_server, Some(login));
    assert_eq!(config.openstack_sandbox_base_image, json!({"name": "Ubuntu 22.04"}));
    assert!(config.edx_workers_enable_celery_heartbeats);
    let relay = config.instance_smtp_relay.expect("a relay");
    assert_eq!((relay.port, relay.sender_domain.as_str()), (587, "sandbox.example.com"));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!((config.clouds.len(), config.openstack_region.as_str()), (2, "two"));
}

#[test]
fn mail_is_configured_as_it_was_and_is_sent_only_where_that_is_said() {
    let admins = ("ADMINS", r#"[["Ops", "ops@example.com"], ["", "second@example.com"]]"#);
    let backend = |name| ("EMAIL_BACKEND", name);
    let config = load(&[
        admins,
        backend("django.core.mail.backends.smtp.EmailBackend"),
        ("EMAIL_HOST", "mail.example.com"),
        ("EMAIL_PORT", "587"),
        ("EMAIL_USE_TLS", "True"),
        ("EMAIL_HOST_USER", "ocim"),
        ("EMAIL_HOST_PASSWORD", "hunter2"),
        ("SERVER_EMAIL", "Ocim <ocim@example.com>"),
        ("EMAIL_SUBJECT_PREFIX", "[stage] "),
    ]);
    let config = config.expect("an environment of the original");
    let mail = &config.mail;
    assert_eq!((mail.host.as_str(), mail.port, mail.use_tls), ("mail.example.com", 587, true));
    assert_eq!(mail.host_user, "ocim");
    assert_eq!(mail.hearers(), ["Ops <ops@example.com>", "second@example.com"]);
    assert_eq!(mail.subject_prefix, "[stage] ", "its space parts it from what follows");
    assert_eq!(config.notes, Vec::<String>::new());
    // As in the original none is sent unless that is said; whoever is named is told so.
    for name in ["", "console", "django.core.mail.backends.dummy.EmailBackend"] {
        let config = load(&[admins, backend(name)]).expect("an environment of the original");
        assert_eq!(config.mail.hearers(), Vec::<String>::new());
        assert!(config.notes[0].starts_with("EMAIL_BACKEND sends no mail"), "{:?}", config.notes);
    }
    let usual = load(&[]).expect("the defaults").mail;
    assert_eq!((usual.host.as_str(), usual.port, usual.use_tls), ("localhost", 25, false));
    assert_eq!(usual.subject_prefix, "[OpenCraft] ");
    assert_eq!(usual.server_email, "opencraft@localhost");
}

#[test]
fn a_blank_common_playbook_is_none_and_an_absent_one_the_originals() {
    let absent = load(&[]).expect("the defaults").ansible_appserver_repo;
    assert_eq!(absent, "https://github.com/open-craft/ansible-playbooks.git");
    let blank = load(&[("ANSIBLE_APPSERVER_REPO", " ")]).expect("no common playbook");
    assert_eq!(blank.ansible_appserver_repo, "");
}

#[test]
fn every_wrong_value_is_told_with_its_rule_and_without_itself() {
    let long = "x".repeat(300);
    let cases = [
        ("DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("OCIM_DATA_DIR", "relative/hunter2"),
        ("OCIM_HTTP_ADDRESS", "hunter2"),
        ("OCIM_HTTP_PORT", "70000"),
        ("OCIM_CLOUDS", r#"{"a": {"kind": "local", "password": "hunter2"}}"#),
        ("OCIM_CLOUDS", r#"{"a region of hunter2": {"kind": "local"}}"#),
        ("OCIM_CLOUDS", r#"{"a": {"kind": "openstack", "password": "hunter2"}}"#),
        ("OCIM_CLOUDS", r#"{"a": {"kind": "openstack"}}"#),
        ("OCIM_CLOUDS", "{}"),
        ("OCIM_LOG_FORMAT", "hunter2"),
        ("OCIM_WHEELS_DIR", "hunter2"),
        ("OCIM_HTTP_PROT", "5000"),
        ("OPENSTACK_REGION", "a region of hunter2"),
        ("OPENSTACK_SANDBOX_FLAVOR", "hunter2"),
        ("OPENSTACK_SANDBOX_FLAVOR", "null"),
        ("DEFAULT_INSTANCE_BASE_DOMAIN", "hunter2 .com"),
        ("DEFAULT_FORK", "hunter2"),
        ("DEFAULT_CONFIGURATION_REPO_URL", &long),
        ("EDX_WORKERS_ENABLE_CELERY_HEARTBEATS", "hunter2"),
        ("ANSIBLE_LINE_TIMEOUT", "0"),
        ("ANSIBLE_GLOBAL_TIMEOUT", "-1"),
        ("SHUTDOWN_TIMEOUT", "hunter2"),
        ("DEFAULT_LOAD_BALANCING_SERVER", "hunter2@"),
        ("LOAD_BALANCER_FRAGMENT_NAME_PREFIX", "../hunter2"),
        ("OCIM_LOAD_BALANCER_HOST_KEYS", "hunter2"),
        ("OCIM_RECONCILE_INTERVAL", "0"),
        ("OCIM_FAILED_SERVER_KEPT", "hunter2"),
        ("PRELIMINARY_PAGE_SERVER_IP", "hunter2"),
        ("DEFAULT_INSTANCE_MYSQL_URL", "mysql://root:hunter2@"),
        ("DEFAULT_INSTANCE_MYSQL_URL", "postgres://root:hunter2@db"),
        ("DEFAULT_INSTANCE_MYSQL_URL", "mysql://root:hunter2@db/hunter2"),
        ("DEFAULT_INSTANCE_MYSQL_URL", "mysql://root:hunter2@d!b"),
        ("DEFAULT_INSTANCE_MONGO_URL", "mongodb+srv://u:hunter2@db"),
        ("INSTANCE_SMTP_RELAY_PORT", "hunter2"),
        ("EMAIL_BACKEND", "hunter2"),
        ("EMAIL_PORT", "hunter2"),
        ("EMAIL_USE_TLS", "hunter2"),
        ("EMAIL_SUBJECT_PREFIX", "hunter2\r\nBcc: all@example.com"),
        ("SERVER_EMAIL", "hunter2"),
        ("OCIM_EMAIL_CA_FILE", "hunter2"),
        ("OCIM_CLEAN_UP_DAYS", "0"),
        ("OCIM_CLEAN_UP_DAYS", "366"),
        ("OCIM_CLEAN_UP_DAYS", "hunter2"),
        ("LOG_DELETION_DAYS", "0"),
        ("LOG_DELETION_DAYS", "hunter2"),
        ("ADMINS", "hunter2"),
        ("ADMINS", r#"[["hunter2", "not an address"]]"#),
        ("ADMINS", r#"["hunter2@example.com"]"#),
    ];
    for (name, value) in cases {
        let errors = load(&[(name, value)]).expect_err(name);
        assert!(errors.len() == 1 && errors[0].starts_with(&format!("{name} ")), "{errors:?}");
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
    let all: Vec<(&str, &str)> = cases.into_iter().collect();
    let named: BTreeSet<&str> = cases.iter().map(|(name, _)| *name).collect();
    assert_eq!(load(&all).expect_err("all wrong").len(), named.len(), "all errors at once");
}

#[test]
fn secrets_do_not_show() {
    let config = load(&[
        ("DATABASE_URL", "postgres://u:hunter2@localhost/d"),
        ("SECRET_KEY", "hunter2-hunter2-hunter2"),
        ("NEWRELIC_LICENSE_KEY", "hunter2"),
        ("CONSUL_HTTP_TOKEN", "hunter2"),
        ("EMAIL_HOST_PASSWORD", "hunter2"),
        ("INSTANCE_SMTP_RELAY_HOST", "mail"),
        ("INSTANCE_SMTP_RELAY_PASSWORD", "hunter2"),
    ]);
    let shown = format!("{:?}", config.expect("a configuration"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn consul_is_where_its_own_settings_say_and_hears_nothing_in_clear_from_another_computer() {
    let on = ("CONSUL_ENABLED", "true");
    let of = |more: &[(&'static str, &'static str)]| {
        let mut pairs = vec![on];
        pairs.extend(more);
        load(&pairs).map(|config| (config.consul.url(), config.consul.own_prefix()))
    };
    let plain = "ocim/instances/{instance}/".to_owned();
    let local = "http://127.0.0.1:8500".to_owned();
    assert_eq!(of(&[]).unwrap(), (local, plain.clone()));
    let remote = ("CONSUL_HTTP_ADDR", "consul.example.com:8501");
    let url = "https://consul.example.com:8501".to_owned();
    assert_eq!(of(&[remote, ("CONSUL_HTTP_SSL", "true")]).unwrap(), (url, plain));
    let own = [("OCIM_ID", "stage"), ("CONSUL_PREFIX", "a/{ocim}/{instance}/")];
    assert_eq!(of(&own).unwrap().1, "a/stage/{instance}/");
    for (wrong, named) in [
        (vec![remote], "CONSUL_HTTP_ADDR"),
        (vec![("CONSUL_HTTP_ADDR", "http://consul.example.com")], "CONSUL_HTTP_ADDR"),
        (vec![("CONSUL_HTTP_ADDR", "https://u:hunter2@consul.example.com")], "CONSUL_HTTP_ADDR"),
        (vec![("CONSUL_PREFIX", "{instance}/")], "CONSUL_PREFIX"),
        (vec![("CONSUL_PREFIX", "{ocim}/{instance}")], "CONSUL_PREFIX"),
        (vec![("OCIM_ID", "a b")], "CONSUL_PREFIX"),
        (vec![("CONSUL_HTTP_TOKEN", "a b")], "CONSUL_HTTP_TOKEN"),
    ] {
        let told = of(&wrong).unwrap_err();
        assert!(told[0].to_string().starts_with(named), "{told:?}");
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    }
    assert!(load(&[remote]).is_ok(), "nobody is told");
    let blind = load(&[on, ("CONSUL_HTTP_SSL_VERIFY", "false")]).unwrap();
    assert!(blind.notes.iter().any(|note| note.contains("CONSUL_HTTP_SSL_VERIFY")));
}

#[test]
fn the_dns_is_a_server_with_all_that_it_needs_or_gandi_and_never_both() {
    let server = [
        ("OCIM_DNS_SERVER", "ns1.example.com:5353"),
        ("OCIM_DNS_ZONES", "Example.com., bücher.example"),
        ("OCIM_DNS_KEY_NAME", "ocim."),
        ("OCIM_DNS_KEY_SECRET", "aHVudGVyMg=="),
    ];
    let config = load(&server).unwrap().dns;
    let access = config.server_access().unwrap();
    assert_eq!(access.zones, ["example.com", "xn--bcher-kva.example"]);
    assert_eq!((access.algorithm.as_str(), config.gandi_access().is_none()), ("hmac-sha256", true));
    assert!(!format!("{config:?}{access:?}").contains("aHVudGVyMg=="));
    let gandi = load(&[("GANDI_API_KEY", "hunter2")]).unwrap().dns;
    assert!(gandi.gandi_access().is_some() && gandi.server_access().is_none());
    assert!(!format!("{gandi:?}{:?}", gandi.gandi_access()).contains("hunter2"));
    let none = load(&[]).unwrap().dns;
    assert!(none.gandi_access().is_none() && none.server_access().is_none());
    for (name, value) in [
        ("OCIM_DNS_SERVER", "http://ns1.example.com"),
        ("OCIM_DNS_ZONES", "example com"),
        ("OCIM_DNS_ZONES", ""),
        ("OCIM_DNS_KEY_NAME", "a key"),
        ("OCIM_DNS_KEY_NAME", ""),
        ("OCIM_DNS_KEY_ALGORITHM", "hmac-md5"),
        ("OCIM_DNS_KEY_SECRET", "hunter2!"),
        ("OCIM_DNS_KEY_SECRET", ""),
        ("GANDI_API_KEY", "hunter2"),
        ("OCIM_GANDI_TOKEN", "hunter2"),
        ("OCIM_GANDI_URL", "http://gandi.example.com"),
    ] {
        let mut pairs = server.to_vec();
        pairs.retain(|(it, _)| *it != name);
        pairs.push((name, value));
        let told = load(&pairs).unwrap_err();
        assert!(told[0].starts_with(name), "{name}={value}: {told:?}");
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    }
    let told = load(&[("OCIM_DNS_ZONES", "example.com")]).unwrap_err();
    assert_eq!(told, ["OCIM_DNS_ZONES says nothing without OCIM_DNS_SERVER"]);
    assert!(load(&[("OCIM_GANDI_TOKEN", "a b")]).is_err());
}

#[test]
fn what_the_readme_says_of_a_cloud_and_servers_of_yours_is_a_configuration() {
    let readme = include_str!("../../../README.md");
    let (_, below) = readme.split_once("### With a cloud and servers of yours\n").unwrap();
    let block = below.split("```\n").nth(1).unwrap().replace('…', "c2VjcmV0");
    let pairs: Vec<_> = block.lines().map(|line| line.split_once('=').unwrap()).collect();
    let config = load(&pairs).unwrap();
    assert!(matches!(config.clouds["BHS1"], CloudConfig::Openstack(_)), "{config:?}");
}

#[test]
fn every_field_documents_its_variable() {
    let (source, pages) = (sources(), documented());
    let documented = |name: &str| {
        let is_old = ORIGINAL.iter().any(|(it, fate)| *it == name && *fate != Fate::Read);
        let is_default = |said: &str| said.contains(&format!("`{name}`'s value"));
        is_old || pages.iter().any(|(it, said)| it == name || is_default(said))
    };
    let is_name = |text: &&str| {
        text.len() > 5
            && (text.contains('_') || ["ADMINS", "WORKERS"].contains(text))
            && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    // A quote may open or close: what stands between any two is looked at.
    let read: BTreeSet<&str> = (source.split('"'))
        .filter(is_name)
        .filter(|name| {
            // Of the surroundings, of the tests, and of the command line.
            let others = [
                "XDG_CONFIG_HOME",
                "XDG_DATA_HOME",
                "OCIM_ENV_FILE_TEST",
                "OCIM_CACHE_DIR",
                "OCIM_SERVER",
                "OCIM_TEST_KURRENTDB_URL",
                "OCIM_TOKEN",
            ];
            !others.contains(name)
        })
        .collect();
    assert!(read.len() > 35, "{read:?}");
    for (name, fate) in ORIGINAL {
        assert_eq!(read.contains(name), *fate == Fate::Read, "{name}");
    }
    let missing: Vec<_> = read.iter().filter(|name| !documented(name)).collect();
    assert!(missing.is_empty(), "undocumented: {missing:?}");
}

#[test]
fn regions_at_openstack_are_beside_others_and_each_has_its_own_place() {
    let config = load(&[
        (
            "OCIM_CLOUDS",
            r#"{"here": {"kind": "local"}, "north": {"kind": "openstack", "network": "inner"},
                "south": {"kind": "openstack", "region": "BHS1", "launches_max": 3,
                    "floating_pool": "outer", "trust_first_host_key": true}}"#,
        ),
        ("OPENSTACK_REGION", "south"),
        ("OS_AUTH_URL", "https://cloud.example.com:5000/v3"),
        ("OS_USERNAME", "u"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_PROJECT_NAME", "p"),
    ])
    .expect("three regions");
    let at = |region: &str| match &config.clouds[region] {
        CloudConfig::Openstack(at) => (**at).clone(),
        other => panic!("{other:?}"),
    };
    let region = |at: &OpenstackRegion| at.access.as_ref().and_then(|access| access.region.clone());
    let (north, south) = (at("north"), at("south"));
    assert_eq!(
        (region(&north).as_deref(), region(&south).as_deref()),
        (Some("north"), Some("BHS1"))
    );
    assert_eq!((north.network.as_deref(), north.trust_first_host_key), (Some("inner"), false));
    assert_eq!((south.floating_pool.as_deref(), south.trust_first_host_key), (Some("outer"), true));
    assert_eq!(config.clouds["south"].launches_max(), Some(3));
    let own: Vec<_> = config.clouds.iter().map(|(name, it)| (name.as_str(), it.is_own())).collect();
    assert_eq!(own, [("here", true), ("north", false), ("south", false)]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_simulated_region_has_defaults_and_bounds() {
    let load = |clouds: &str| load(&[("OCIM_CLOUDS", clouds)]);
    let config = load(r#"{"sim": {"kind": "simulated", "seed": 7, "faults": 0.1}}"#).unwrap();
    let launches_max = None;
    let expected = CloudConfig::Simulated { launches_max, seed: 7, faults: 0.1, speed: 60.0 };
    assert_eq!(config.clouds, BTreeMap::from([("sim".into(), expected)]));
    assert_eq!(config.openstack_region, "sim");
    for wrong in [r#""faults": 1.5"#, r#""speed": 0"#, r#""sped": 1"#] {
        let clouds = format!(r#"{{"sim": {{"kind": "simulated", {wrong}}}}}"#);
        assert!(load(&clouds).unwrap_err()[0].starts_with("OCIM_CLOUDS "), "{wrong}");
    }
}

#[test]
fn the_events_may_be_in_a_kurrentdb_and_its_address_is_never_shown() {
    let url = "kurrentdb://ocim:very-secret@one.example.com:2113,two.example.com:2113";
    let tests = ("OCIM_TEST_KURRENTDB_URL", "kurrentdb://localhost?tls=false");
    let config = load(&[("EVENT_STORE_URL", url), tests]).expect("a configuration");
    assert!(!format!("{config:?}").contains("very-secret"), "{config:?}");
    assert_eq!(config.event_store_url.expect("a URL").expose(), url);
    assert_eq!(load(&[("EVENT_STORE_URL", " ")]).expect("none").event_store_url, None);
    let refused = |url: &str| load(&[("EVENT_STORE_URL", url)]).expect_err(url).remove(0);
    for wrong in ["mysql://very-secret@host", "kurrentdb://", "kurrentdb://:very-secret@"] {
        let told = refused(wrong);
        assert!(told.starts_with("EVENT_STORE_URL must be a URL like kurrentdb://"), "{told}");
        assert!(!told.contains("very-secret"), "{told}");
    }
    let told = refused("kurrentdb://host?nodePreference=follower");
    assert!(told.contains("no nodePreference but leader"), "{told}");
}
