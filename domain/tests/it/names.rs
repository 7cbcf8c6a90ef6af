//! Derived names as the original derives them, and the checks that keep names harmless.

use crate::{sample, vectors};
use ocim_domain::names::{
    Service, appserver_name, bucket_name, check_domain, check_sub_domain, database_name,
    domain_slug, effective_domain, extended_heartbeat_url, forum_database_name, iam_user_name,
    load_balanced_domains, managed_domains, nginx_regex, redirect_domains, server_hostname,
    server_name_prefix, site_url, slug,
};
use ocim_domain::settings::InstanceSettings;

/// The same site below another domain, with a customer's name for Studio.
fn settings_below(domain: &str) -> InstanceSettings {
    InstanceSettings {
        internal_lms_domain: domain.to_owned(),
        internal_studio_domain: format!("studio.{domain}"),
        external_studio_domain: format!("Ext-studio.{domain}"),
        ..sample::settings()
    }
}

#[test]
fn names_follow_from_domains_as_the_originals_do() {
    let rows = vectors::read("derived_names.json");
    for row in rows.as_array().unwrap() {
        let domain = row["internal_lms_domain"].as_str().unwrap();
        let settings = settings_below(domain);
        assert_eq!(database_name(&settings), row["database_name"], "{domain}");
        assert_eq!(forum_database_name(&settings), row["forum_database_name"], "{domain}");
        let bucket = bucket_name(&settings, row["bucket_prefix"].as_str().unwrap());
        assert_eq!(bucket, row["bucket_name"], "{domain}");
        let iam = iam_user_name(&settings, row["iam_prefix"].as_str().unwrap());
        assert_eq!(iam, row["iam_username"], "{domain}");
        let regex = nginx_regex(&settings, Service::Studio);
        assert_eq!(regex, row["studio_domain_nginx_regex"], "{domain}");
        // The original folds accents away; a domain of ours is ASCII before it comes here.
        if domain.contains('é') {
            assert!(check_domain(domain).is_err());
            continue;
        }
        assert_eq!(slug(domain), row["slug_of_domain"], "{domain}");
        assert_eq!(domain_slug(&settings, "7"), row["domain_slug"], "{domain}");
        assert_eq!(server_name_prefix(&settings), row["server_name_prefix"], "{domain}");
        assert_eq!(server_hostname(&settings, 12), row["server_hostname"], "{domain}");
    }
}

#[test]
fn recorded_instances_have_the_names_they_had() {
    for recorded in vectors::instances() {
        let settings = recorded.settings();
        let names = &recorded.outputs["names"];
        let file = &recorded.file;
        for (service, field) in [
            (Service::Lms, "domain"),
            (Service::LmsPreview, "lms_preview_domain"),
            (Service::Studio, "studio_domain"),
            (Service::Discovery, "discovery_domain"),
            (Service::Ecommerce, "ecommerce_domain"),
        ] {
            let expected = &names["effective_domains"][field];
            assert_eq!(effective_domain(&settings, service), expected, "{file} {field}");
        }
        let balanced = vectors::texts(&names["load_balanced_domains"]);
        assert_eq!(load_balanced_domains(&settings), balanced, "{file}");
        assert_eq!(managed_domains(&settings), vectors::texts(&names["managed_domains"]), "{file}");
        let redirects = vectors::texts(&names["prefix_domains"]);
        let expected = if settings.enable_prefix_domains_redirect { redirects } else { vec![] };
        assert_eq!(redirect_domains(&settings), expected, "{file}");
        let id = recorded.inputs["instance_id"].to_string();
        assert_eq!(domain_slug(&settings, &id), names["domain_slug"], "{file}");
        assert_eq!(database_name(&settings), names["database_name"], "{file}");
        assert_eq!(forum_database_name(&settings), names["forum_database_name"], "{file}");
        assert_eq!(iam_user_name(&settings, "ocim"), names["iam_username"], "{file}");
        assert_eq!(site_url(&settings, Service::Lms), names["url"], "{file}");
        assert_eq!(site_url(&settings, Service::Studio), names["studio_url"], "{file}");
        assert_eq!(site_url(&settings, Service::LmsPreview), names["lms_preview_url"], "{file}");
        let heartbeat = extended_heartbeat_url(&settings);
        assert_eq!(heartbeat, names["lms_extended_heartbeat_url"], "{file}");
        let appserver = &recorded.outputs["appserver"];
        assert_eq!(server_hostname(&settings, 1), appserver["server_hostname"], "{file}");
        assert_eq!(server_name_prefix(&settings), appserver["server_name_prefix"], "{file}");
        assert_eq!(appserver_name(1), appserver["name"], "{file}");
    }
}

#[test]
fn slugs_keep_leading_hyphens_and_join_runs() {
    for (text, expected) in [
        ("AppServer 12", "appserver-12"),
        ("--a -- b--", "-a-b-"),
        ("  Trim me  ", "trim-me"),
        ("lms.example.com", "lmsexamplecom"),
        ("under_score", "under_score"),
        ("日本", ""),
        ("", ""),
    ] {
        assert_eq!(slug(text), expected, "{text:?}");
    }
}

#[test]
fn a_domain_can_only_be_a_host_name() {
    let label = "x".repeat(63);
    let long = format!("{label}.{}.com", "y".repeat(32));
    assert_eq!(long.len(), 100);
    for good in ["a.b", "lms.example.com", "Test-A.Sub-B.example.com", "1.example.com", &long] {
        assert_eq!(check_domain(good), Ok(()), "{good}");
    }
    let too_long = format!("a{long}");
    let long_label = format!("{label}x.com");
    for bad in [
        "",
        "com",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a.com",
        "a-.com",
        "a b.com",
        "a\n.com",
        "a'.com",
        "a\".com",
        "a%.com",
        "a#.com",
        "a{.com",
        "a;.com",
        "a/.com",
        "a:80.com",
        "_a.com",
        "café.com",
        "127.0.0.1",
        "a.com ",
        &too_long,
        &long_label,
    ] {
        assert!(check_domain(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_sub_domain_is_one_lower_case_label() {
    for good in ["hogwarts", "hog-warts", "hog1warts", "abc", &"x".repeat(63)] {
        assert_eq!(check_sub_domain(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "ab",
        "?hogwarts",
        "-hogwarts",
        "hogwarts-",
        "_hogwarts",
        "hog_warts",
        "hog.warts",
        "Hogwarts",
        "hogwartsX",
        "hogwarts\n",
        &"x".repeat(64),
    ] {
        assert!(check_sub_domain(bad).is_err(), "{bad:?}");
    }
}
