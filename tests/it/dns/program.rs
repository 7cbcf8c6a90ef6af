//! What the program does with a DNS service: by its settings, its runs, its command line and its doctor.

use super::SECRET;
use crate::support::bind::Bind;
use crate::support::http_double::HttpDouble;
use crate::support::ocim::{Ground, text};
use serde_json::{Value, json};

const WRITTEN: &str = "launch_appserver.write_dns_records.after_result";
const SITE: &str = "alpha.sites.example.test";
const TOKEN: &str = "token-of-gandi";

/// What a command prints, and whether it ends well.
fn run(ground: &Ground, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = ground.command(arguments);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn names_of(ground_records: &Value) -> Vec<(String, String)> {
    let records = ground_records["records"].as_array().unwrap();
    records.iter().map(|it| (text(it, "name"), text(it, "value"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_names_come_into_bind_with_its_launch_and_leave_with_its_archiving() {
    let bind = Bind::start();
    let address = bind.address();
    let settings = [
        ("DEFAULT_INSTANCE_BASE_DOMAIN", "sites.example.test"),
        ("OCIM_DNS_SERVER", address.as_str()),
        ("OCIM_DNS_ZONES", "sites.example.test"),
        ("OCIM_DNS_KEY_NAME", "ocim"),
        ("OCIM_DNS_KEY_SECRET", SECRET),
    ];
    let mut ground = Ground::serve_with(&settings).await;
    let instance = ground.create_instance("alpha").await;
    let (appserver, launch) = ground.launch(&instance).await;
    assert_eq!(
        ground.await_run(&launch).await,
        "completed",
        "{:#?}",
        ground.read_log(&launch).await
    );
    let run_of = ground.activate(&appserver).await;
    assert_eq!(
        ground.await_run(&run_of).await,
        "completed",
        "{:#?}",
        ground.read_log(&run_of).await
    );
    assert_eq!(
        bind.serial("sites.example.test"),
        3,
        "one update for the site, one for its machine"
    );

    let records = ground.get(&format!("/api/v1/instances/{instance}/dns_records")).await;
    let names = names_of(&records);
    assert_eq!(names.len(), 6, "{records:#}");
    assert!(records["records"].as_array().unwrap().iter().all(|it| it["is_managed"] == true));
    for (name, value) in &names {
        let is_there = |rtype, value: &str| {
            bind.dig(name, rtype).iter().any(|line| line.ends_with(&format!(" {rtype} {value}")))
        };
        let is_written = is_there("CNAME", &format!("{value}.")) || is_there("A", value);
        assert!(is_written, "{name} {value}");
    }
    assert_eq!(names[5].0, format!("vm1.{SITE}"));

    let archive = format!("/instances/{instance}/archive");
    let run_of = text(&ground.post(&archive, json!({ "reason": "a test" })).await, "run");
    assert_eq!(
        ground.await_run(&run_of).await,
        "completed",
        "{:#?}",
        ground.read_log(&run_of).await
    );
    for (name, _) in &names {
        assert!(!bind.has(name), "{name} is left");
    }
    let left = ground.get(&format!("/api/v1/resources?instance={instance}&kind=dns_name")).await;
    assert_eq!(left["items"], json!([]));
    assert!(!ground.read_logs().contains(SECRET));
    ground.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_names_come_to_gandi_and_what_somebody_else_has_there_stops_the_launch() {
    let mut service = HttpDouble::start("gandi", &format!("Bearer {TOKEN}"), None).await;
    service.order("domain example.test").await;
    service.order("put example.test studio.beta.sites CNAME hers.example.net.").await;
    let url = format!("http://127.0.0.1:{}/v5/livedns", service.port);
    let settings = [
        ("DEFAULT_INSTANCE_BASE_DOMAIN", "sites.example.test"),
        ("OCIM_GANDI_TOKEN", TOKEN),
        ("OCIM_GANDI_URL", url.as_str()),
    ];
    let mut ground = Ground::serve_with(&settings).await;
    let (is_fine, said) = run(&ground, &["doctor"], &settings);
    let expected = "Gandi: the account has example.test; writing is tried at the first launch";
    assert!(said.contains(expected), "{is_fine} {said}");
    let (instance, other) =
        (ground.create_instance("alpha").await, ground.create_instance("beta").await);
    ground.hold(WRITTEN);
    let (_, launch) = ground.launch(&instance).await;
    ground.await_hold(WRITTEN).await;
    let records = service.order("records example.test").await;
    let aliases = records.as_object().unwrap();
    assert_eq!(aliases.len(), 6, "{aliases:?}");
    assert_eq!(aliases["alpha.sites"]["CNAME"]["rrset_ttl"], 1200);
    ground.post(&format!("/runs/{launch}/cancel"), json!({ "reason": "a test" })).await;
    ground.release(WRITTEN);
    assert_eq!(ground.await_run(&launch).await, "unwound");
    let archive = format!("/instances/{instance}/archive");
    let archived = text(&ground.post(&archive, json!({ "reason": "a test" })).await, "run");
    assert_eq!(ground.await_run(&archived).await, "completed");
    let records = service.order("records example.test").await;
    assert_eq!(records.as_object().unwrap().len(), 1, "hers stays: {records}");

    let (_, launch) = ground.launch(&other).await;
    assert_eq!(ground.await_run(&launch).await, "unwound");
    let detail = ground.get(&format!("/api/v1/runs/{launch}")).await.to_string();
    assert!(
        detail.contains("studio.beta.sites.example.test (CNAME hers.example.net.)"),
        "{detail}"
    );
    assert!(detail.contains("dns_name_taken"), "{detail}");
    assert!(!ground.read_logs().contains(TOKEN));
    ground.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dns_service_the_records_to_set_are_listed_and_looked_up() {
    let mut ground = Ground::serve().await;
    ground.await_balancer().await;
    let body = json!({
        "sub_domain": "alpha",
        "name": "Alpha",
        "external_lms_domain": "learn.alpha.invalid",
    });
    let instance = text(&ground.post("/instances", body).await, "id");
    let path = format!("/api/v1/instances/{instance}/dns_records");
    let records = ground.get(&path).await;
    let names: Vec<_> = names_of(&records).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names[..3], ["learn.alpha.invalid", "alpha.localhost", "preview.alpha.localhost"]);
    assert_eq!(names.len(), 6);
    let note = "no DNS service is configured: somebody has to set them";
    assert_eq!(records["note"], note);
    assert!(records["records"].as_array().unwrap().iter().all(|it| it["is_managed"] == false));
    let looked_at = ground.get(&format!("{path}?check=true")).await;
    // Without a network nobody knows whether there is such a name.
    let state = text(&looked_at["records"][0], "state");
    assert!(["missing", "unknown"].contains(&state.as_str()), "{looked_at:#}");
    let (is_fine, said) = run(&ground, &["instance", "records", "alpha"], &[]);
    assert!(is_fine && said.contains(note) && said.contains("learn.alpha.invalid"), "{said}");
    let (is_fine, said) = run(&ground, &["instance", "records", "alpha", "--check"], &[]);
    assert!(!is_fine && said.contains(&state) && said.contains("are not set"), "{said}");
    ground.terminate().await;
}

/// What an administrator reads who configures something wrong, before anything is started.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_with_each_wrong_setting() {
    let bind = Bind::start();
    let mut gandi = HttpDouble::start("gandi", &format!("Bearer {TOKEN}"), None).await;
    gandi.order("domain example.test").await;
    let url = format!("http://127.0.0.1:{}/v5/livedns", gandi.port);
    let address = bind.address();
    let ground = Ground::prepare().await;
    let server = [
        ("DEFAULT_INSTANCE_BASE_DOMAIN", "sites.example.test"),
        ("OCIM_DNS_SERVER", address.as_str()),
        ("OCIM_DNS_ZONES", "example.test,sites.example.test"),
        ("OCIM_DNS_KEY_NAME", "ocim"),
        ("OCIM_DNS_KEY_SECRET", SECRET),
    ];
    let token = [
        ("DEFAULT_INSTANCE_BASE_DOMAIN", "sites.example.test"),
        ("OCIM_GANDI_URL", url.as_str()),
        ("OCIM_GANDI_TOKEN", TOKEN),
    ];
    let look = |settings: &[(&str, &str)], more: &[(&str, &str)]| {
        let all: Vec<_> = settings.iter().chain(more).copied().collect();
        let (_, said) = run(&ground, &["doctor"], &all);
        assert!(!said.contains(SECRET) && !said.contains(TOKEN), "{said}");
        let lines = said.lines().filter(|line| line.starts_with("dns ") || line.contains("DNS"));
        lines.collect::<Vec<_>>().join("\n")
    };
    for (settings, more, expected) in [
        (&[][..], vec![], "no service is configured"),
        (&server[..], vec![], "Ocim may write into example.test, sites.example.test"),
        (&server, vec![("OCIM_DNS_KEY_NAME", "nobody")], "BADKEY"),
        (&server, vec![("OCIM_DNS_KEY_SECRET", "b3RoZXI=")], "BADSIG"),
        (&server, vec![("OCIM_DNS_KEY_ALGORITHM", "hmac-sha512")], "BADKEY"),
        (&server, vec![("OCIM_DNS_ZONES", "nowhere.test")], "NOTAUTH"),
        (&server, vec![("OCIM_DNS_ZONES", "closed.test")], "REFUSED"),
        (&server, vec![("OCIM_DNS_SERVER", "127.0.0.1:1")], "does not answer"),
        (
            &server,
            vec![("DEFAULT_INSTANCE_BASE_DOMAIN", "example.org")],
            "example.org is in no zone that Ocim writes into",
        ),
        (&token, vec![], "Gandi: the account has example.test; writing is tried"),
        (&token, vec![("OCIM_GANDI_TOKEN", "other")], "OCIM_GANDI_TOKEN is refused"),
        (&token, vec![("OCIM_GANDI_URL", "http://127.0.0.1:1")], "does not answer"),
    ] {
        let said = look(settings, &more);
        assert!(said.contains(expected), "{more:?}: {said}");
    }
}
