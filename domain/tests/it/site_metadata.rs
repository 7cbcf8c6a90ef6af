//! What others read of sites, against what the original kept, and its versions.

use crate::sample;
use crate::vectors;
use ocim_domain::names::RoutedNames;
use ocim_domain::site_metadata::{ActiveServer, SiteMetadata, VERSION, read_version};
use serde_json::Value;
use std::collections::BTreeMap;

/// As somebody keeps it.
fn kept(keys: &BTreeMap<&'static str, String>) -> BTreeMap<String, Vec<u8>> {
    keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes())).collect()
}

fn site(name: &str) -> SiteMetadata {
    let settings = sample::settings();
    let names = RoutedNames::new(&settings);
    SiteMetadata::new(name, &settings, &names, "7", &[]).unwrap()
}

#[test]
fn recorded_instances_have_the_metadata_they_had() {
    for recorded in vectors::instances() {
        let (inputs, file) = (&recorded.inputs, &recorded.file);
        let settings = recorded.settings();
        let ips = vectors::texts(&inputs["vm_public_ips"]);
        let first = inputs["first_appserver_id"].as_u64().unwrap();
        let server = |nth: u64, ip: &str| ActiveServer {
            number: u32::try_from(first + nth).unwrap(),
            ip: Some(ip.parse().unwrap()),
        };
        let active = [server(0, &ips[0]), server(1, &ips[1])];
        let id = inputs["instance_id"].to_string();
        let name = inputs["name"].as_str().unwrap();
        let names = RoutedNames::new(&settings);
        let ours = SiteMetadata::new(name, &settings, &names, &id, &active).unwrap();
        let theirs = &recorded.outputs["consul_metadata_with_two_active_appservers"];
        let theirs = theirs.as_object().unwrap();
        assert_eq!(ours.keys().len(), theirs.len(), "{file}");
        for (key, expected) in theirs {
            let value = &ours.keys()[key.as_str()];
            match expected {
                Value::String(expected) => assert_eq!(value, expected, "{file} {key}"),
                expected => {
                    let value: Value = serde_json::from_str(value).unwrap();
                    assert_eq!(value, *expected, "{file} {key}");
                }
            }
        }
    }
}

#[test]
fn a_version_grows_with_each_change_and_with_nothing_else() {
    let mut there = BTreeMap::new();
    // A name of digits alone is text, too, and is no change when it stays.
    for (name, version) in
        [("a", 1), ("a", 1), ("12345", 2), ("12345", 2), ("Ça va 例", 3), ("a", 4)]
    {
        if let Some(changes) = site(name).changes(&there) {
            there.extend(kept(&changes));
        }
        assert_eq!(read_version(&there), Some(version), "{name}");
        assert_eq!(there["name"], name.as_bytes());
    }
}

#[test]
fn only_what_differs_is_written_and_what_is_not_ours_stays() {
    let mut there = kept(site("a").keys());
    there.insert("note".to_owned(), b"somebody's".to_vec());
    there.insert(VERSION.to_owned(), b"6".to_vec());
    assert_eq!(site("a").changes(&there), None);
    let changes = site("b").changes(&there).unwrap();
    assert_eq!(changes, BTreeMap::from([("name", "b".to_owned()), (VERSION, "7".to_owned())]));
    for broken in [&b"1e3"[..], b"-1", b"\xff", b""] {
        there.insert(VERSION.to_owned(), broken.to_vec());
        let changes = site("a").changes(&there).unwrap();
        assert_eq!(changes, BTreeMap::from([(VERSION, "1".to_owned())]), "{broken:?}");
    }
}

#[test]
fn servers_come_newest_first_and_one_without_address_is_told_as_such() {
    let settings = sample::settings();
    let names = RoutedNames::new(&settings);
    let active = [
        ActiveServer { number: 2, ip: None },
        ActiveServer { number: 3, ip: Some([192, 0, 2, 7].into()) },
    ];
    let told = |active: &[ActiveServer]| {
        let site = SiteMetadata::new("a", &settings, &names, "7", active).unwrap();
        ["active_app_servers", "health_checks_enabled"].map(|key| site.keys()[key].clone())
    };
    let expected = r#"[{"id":3,"public_ip":"192.0.2.7"},{"id":2,"public_ip":null}]"#;
    assert_eq!(told(&active), [expected, "true"]);
    assert_eq!(told(&active[..1])[1], "false");
    assert_eq!(told(&[]), ["[]", "false"]);
    let token = &site("a").keys()["basic_auth"].clone();
    assert!(!format!("{:?}", site("a")).contains(token.as_str()));
}
