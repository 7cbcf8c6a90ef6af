//! A balancer's configuration as the original wrote it, and what must never get into it.

use crate::sample::{at, instance_id};
use crate::vectors;
use ocim_domain::fragment::{
    FragmentInput, FragmentServer, FragmentText, ProbeInput, TEST_COOKIE, TEST_PATH, TestInput,
    backend_name, compose_fragment, fragment_name, probe_host,
};
use ocim_domain::hosts::check_domain;
use ocim_domain::names::{RoutedNames, Service, domain_slug, effective_domain};
use ocim_domain::protected::Protected;
use ocim_domain::settings::InstanceSettings;
use serde_json::Value;

fn server(name: &str, last: u8) -> FragmentServer {
    FragmentServer {
        name: name.to_owned(),
        ip: [192, 0, 2, last].into(),
        port: 8080,
        cookie: name.to_owned(),
        disabled: false,
    }
}

fn site() -> FragmentInput {
    FragmentInput {
        names: RoutedNames {
            site: "lms.example.com".to_owned(),
            domains: vec!["LMS.example.com".to_owned(), "studio.example.com".to_owned()],
            redirects: vec![],
            redirect_target: "lms.example.com".to_owned(),
            pages: vec![],
        },
        owner: "inst_7".to_owned(),
        postfix: "ab".to_owned(),
        auth_token: "dXNlcjpwYXNz".to_owned(),
        servers: vec![server("appserver-1", 1)],
        preliminary_page_ip: None,
        maintenance: None,
        tests: vec![],
        probe: None,
    }
}

/// Lines that say something, without blanks at their ends.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

fn original_server(id: u64, ip: &str) -> FragmentServer {
    FragmentServer {
        name: format!("appserver-{id}"),
        ip: ip.parse().unwrap(),
        port: 80,
        cookie: format!("appserver-{id}"),
        disabled: false,
    }
}

#[test]
fn recorded_instances_have_the_fragments_they_had() {
    for recorded in vectors::instances() {
        let inputs = &recorded.inputs;
        let settings = recorded.settings();
        let postfix = inputs["load_balancer"]["fragment_name_postfix"].as_str().unwrap();
        let slug = domain_slug(
            effective_domain(&settings, Service::Lms),
            &inputs["instance_id"].to_string(),
        );
        let names = RoutedNames::new(&settings);
        let mut input = FragmentInput::new(&settings, names, instance_id(), postfix).unwrap();
        assert_eq!(compose_fragment(&input).unwrap(), FragmentText::default());
        let preliminary = inputs["settings"]["PRELIMINARY_PAGE_SERVER_IP"].as_str();
        let ips = vectors::texts(&inputs["vm_public_ips"]);
        let first = inputs["first_appserver_id"].as_u64().unwrap();
        let servers = [original_server(first + 1, &ips[1]), original_server(first, &ips[0])];
        for (situation, servers, preliminary) in [
            ("no_active_appserver", &servers[2..], preliminary),
            ("no_active_appserver_no_preliminary_page", &servers[2..], None),
            ("one_active_appserver", &servers[1..], preliminary),
            ("two_active_appservers", &servers[..], preliminary),
        ] {
            // The original has two ids for an instance where we have one.
            let reference = inputs["reference_id"].to_string();
            input.owner = if servers.is_empty() { reference } else { slug.clone() };
            input.servers = servers.to_vec();
            input.preliminary_page_ip = preliminary.map(str::to_owned);
            let ours = compose_fragment(&input).unwrap();
            let theirs = &recorded.outputs["haproxy"][situation];
            let what = format!("{} {situation}", recorded.file);
            let configuration = theirs["lb_backend_conf_text"].as_str().unwrap();
            assert_eq!(lines(&ours.configuration), lines(configuration), "{what}");
            let map = theirs["lb_backend_map_text"].as_str().unwrap();
            assert_eq!(lines(&ours.map), lines(map), "{what}");
        }
    }
}

#[test]
fn a_shared_balancers_text_is_that_of_its_instances() {
    let scenarios = vectors::read("haproxy.json");
    let mut compared = 0;
    for (scenario, vector) in scenarios.as_object().unwrap() {
        let inputs = &vector["inputs"];
        let mut ours = FragmentText::default();
        let mut refused = false;
        for row in inputs["instances"].as_array().unwrap() {
            match fragment_of_row(inputs, row) {
                Some(text) => {
                    ours.configuration.push_str(&text.configuration);
                    ours.map.push_str(&text.map);
                }
                None => refused = true,
            }
        }
        // One site without an address stopped the original's whole balancer. Each of ours has a
        // fragment of its own, so the others go on.
        assert_eq!(refused, vector["outputs"]["error"].is_object(), "{scenario}");
        if refused {
            assert!(ours.configuration.contains("fine.example.com"));
            continue;
        }
        compared += 1;
        let configuration = vector["outputs"]["backend_conf_text"].as_str().unwrap();
        assert_eq!(lines(&ours.configuration), lines(configuration), "{scenario}");
        let map = vector["outputs"]["backend_map_text"].as_str().unwrap();
        assert_eq!(lines(&ours.map), lines(map), "{scenario}");
    }
    assert!(compared >= 2);
}

/// The fragment of one instance of a scenario; `None` when an active Appserver has no address.
fn fragment_of_row(inputs: &Value, row: &Value) -> Option<FragmentText> {
    let text = |field: &str| row[field].as_str().unwrap().to_owned();
    let below = |prefix: &str| format!("{prefix}.{}", text("internal_lms_domain"));
    let settings = InstanceSettings {
        internal_lms_domain: text("internal_lms_domain"),
        internal_lms_preview_domain: below("preview"),
        internal_studio_domain: below("studio"),
        internal_discovery_domain: below("discovery"),
        internal_ecommerce_domain: below("ecommerce"),
        external_lms_domain: text("external_lms_domain"),
        enable_prefix_domains_redirect: row["enable_prefix_domains_redirect"].as_bool().unwrap(),
        secret_key_b64encoded: Protected::new("vector", text("secret_key_b64encoded")),
        ..crate::sample::settings()
    };
    let postfix = inputs["fragment_name_postfix"].as_str().unwrap();
    let names = RoutedNames::new(&settings);
    let mut input = FragmentInput::new(&settings, names, instance_id(), postfix).unwrap();
    input.preliminary_page_ip = inputs["preliminary_page_server_ip"].as_str().map(str::to_owned);
    let appservers = row["appservers"].as_array().unwrap().iter().rev();
    for appserver in appservers.filter(|appserver| appserver["active"] == true) {
        let id = appserver["id"].as_u64().unwrap();
        input.servers.push(original_server(id, appserver["public_ip"].as_str()?));
    }
    let is_idle = input.servers.is_empty();
    input.owner = if is_idle { row["reference_id"].to_string() } else { text("domain_slug") };
    Some(compose_fragment(&input).unwrap())
}

#[test]
fn fragments_and_backends_have_names_of_their_own() {
    assert_eq!(fragment_name("opencraft-", "ab", "inst_7"), "opencraft-ab-inst_7");
    assert_eq!(backend_name("inst_7", "ab"), "be-inst_7ab");
}

#[test]
fn no_setting_but_the_domains_themselves_changes_what_a_fragment_is_called_by() {
    let called = |settings: &InstanceSettings| {
        let names = RoutedNames::new(settings);
        let mut input = FragmentInput::new(settings, names, instance_id(), "ab").unwrap();
        input.servers = vec![server("appserver-1", 1)];
        let probe = ProbeInput {
            host: probe_host(instance_id(), 2),
            site: input.names.site.clone(),
            servers: vec![server("appserver-2", 2)],
        };
        let text = compose_fragment(&FragmentInput { probe: Some(probe), ..input }).unwrap();
        let backends = text.configuration.lines().filter(|line| line.starts_with("backend "));
        backends.map(str::to_owned).collect::<Vec<_>>()
    };
    let id = instance_id();
    let expected = [format!("backend be-probe-{id}ab"), format!("backend be-{id}ab")];
    let sample = crate::sample::settings();
    assert_eq!(called(&sample), expected);
    for domain in ["tiny.example.org", "a.b.c.example.org"] {
        let renamed = InstanceSettings {
            name: domain.to_owned(),
            internal_lms_domain: domain.to_owned(),
            external_lms_domain: format!("www.{domain}"),
            ..sample.clone()
        };
        assert_eq!(called(&renamed), expected, "{domain}");
    }
}

#[test]
fn no_instance_can_have_the_host_of_a_probe_as_its_domain() {
    let host = probe_host(instance_id(), 1);
    assert!(check_domain(&host).is_err());
    // Nor do two Appservers share one.
    assert_ne!(probe_host(instance_id(), 2), host);
    assert!(host.contains(&instance_id().to_string()), "{host}");
}

#[test]
fn a_disabled_server_waits_and_needs_no_checks() {
    let waiting = FragmentServer { disabled: true, ..server("appserver-2", 2) };
    let mut input = FragmentInput { servers: vec![waiting, server("appserver-1", 1)], ..site() };
    let servers = |input: &FragmentInput| {
        let text = compose_fragment(input).unwrap().configuration;
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with("server "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = [
        "server appserver-2 192.0.2.2:8080 cookie appserver-2 disabled",
        "server appserver-1 192.0.2.1:8080 cookie appserver-1",
    ];
    assert_eq!(servers(&input), expected);
    input.servers.push(server("appserver-3", 3));
    let expected = [
        "server appserver-2 192.0.2.2:8080 cookie appserver-2 check disabled",
        "server appserver-1 192.0.2.1:8080 cookie appserver-1 check",
        "server appserver-3 192.0.2.3:8080 cookie appserver-3 check",
    ];
    assert_eq!(servers(&input), expected);
}

#[test]
fn a_probe_leads_to_the_new_server_alone() {
    let probe = ProbeInput {
        host: "Probe-2.inst_7".to_owned(),
        site: "lms.example.com".to_owned(),
        servers: vec![server("appserver-2", 2)],
    };
    let text = compose_fragment(&FragmentInput { probe: Some(probe), ..site() }).unwrap();
    let map = "probe-2.inst_7 be-probe-inst_7ab\n\
               lms.example.com be-inst_7ab\n\
               studio.example.com be-inst_7ab\n";
    assert_eq!(text.map, map);
    let (probe, site_text) = text.configuration.split_once("backend be-inst_").unwrap();
    assert!(probe.contains("backend be-probe-inst_7ab\n"));
    assert!(probe.contains("192.0.2.2:8080") && probe.contains("'Basic dXNlcjpwYXNz'"));
    assert!(!site_text.contains("192.0.2.2"));
    let without = compose_fragment(&site()).unwrap().configuration;
    assert_eq!(without, format!("backend be-inst_{site_text}"), "the site is served as before");
}

#[test]
fn nothing_to_serve_is_an_empty_fragment() {
    let idle = FragmentInput { servers: vec![], ..site() };
    assert_eq!(compose_fragment(&idle).unwrap(), FragmentText::default());
}

#[test]
fn no_text_can_break_out_of_its_place() {
    type Break = fn(&mut FragmentInput, String);
    let places: [(&str, Break); 12] = [
        ("domain", |input, text| input.names.site = text),
        ("domain", |input, text| input.names.domains[1] = text),
        ("domain", |input, text| input.names.redirects = vec![text]),
        ("domain", |input, text| input.names.redirect_target = text),
        ("owner", |input, text| input.owner = text),
        ("postfix", |input, text| input.postfix = text),
        ("token", |input, text| input.auth_token = text),
        ("address", |input, text| input.preliminary_page_ip = Some(text)),
        ("server", |input, text| input.servers[0].name = text),
        ("cookie", |input, text| input.servers[0].cookie = text),
        ("host", |input, text| {
            input.probe = Some(ProbeInput { host: text, site: "s".to_owned(), servers: vec![] });
        }),
        ("domain", |input, text| {
            input.probe = Some(ProbeInput { host: "h".to_owned(), site: text, servers: vec![] });
        }),
    ];
    for (what, break_it) in places {
        for evil in [
            "zq b", "zq\nb", "zq'b", "zq\"b", "zq%[b]", "zq#b", "zq\\b", "zq${b}", "é", " ", "zq\t",
        ] {
            let mut input = site();
            break_it(&mut input, evil.to_owned());
            let refused = compose_fragment(&input).expect_err(evil);
            assert_eq!(refused.what, what, "{evil:?}");
            assert!(!refused.to_string().contains("zq"), "the text is not repeated");
        }
    }
}

#[test]
fn credentials_stay_out_of_debug_output() {
    let shown = format!("{:?} {:?}", site(), compose_fragment(&site()).unwrap());
    assert!(!shown.contains("dXNlcjpwYXNz"), "{shown}");
}

#[test]
fn a_test_link_leads_whoever_has_its_cookie_to_one_server_until_its_end() {
    let test = TestInput {
        hosts: vec!["lms.example.com".to_owned(), "studio.example.com".to_owned()],
        secret: "c0ffee".to_owned(),
        until: at(0),
        server: server("appserver-2", 2),
    };
    let tests = vec![test.clone(), TestInput { secret: "5eed".to_owned(), ..test }];
    let text = compose_fragment(&FragmentInput { tests, ..site() }).unwrap();
    for line in [
        "lms.example.com/c0ffee be-test-0-inst_7ab",
        "studio.example.com/c0ffee be-test-0-inst_7ab",
        "lms.example.com/5eed be-test-1-inst_7ab",
        "lms.example.com be-inst_7ab",
    ] {
        assert!(lines(&text.map).contains(&line), "{line} in {}", text.map);
    }
    let (_, test) = text.configuration.split_once("backend be-test-0-inst_7ab\n").unwrap();
    let (test, _) = test.split_once("\nbackend ").unwrap();
    assert!(test.contains("server appserver-2 192.0.2.2:8080"), "{test}");
    assert!(test.contains(&format!("{TEST_COOKIE}=c0ffee; Path=/; Expires=")), "{test}");
    assert!(test.contains(&format!("if {{ path_beg {TEST_PATH} }}")), "{test}");
    assert!(test.contains(&format!("if {{ date ge {} }}", at(0).timestamp())), "{test}");
    assert!(!test.contains("192.0.2.1"), "{test}");
    assert!(!test.contains("dXNlcjpwYXNz"), "whoever tests logs in themselves");
}
