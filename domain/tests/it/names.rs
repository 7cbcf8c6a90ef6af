//! Derived names as the original derives them.

use crate::{sample, vectors};
use ocim_domain::hosts::to_ascii;
use ocim_domain::names::{
    Service, appserver_name, domain_slug, effective_domain, extended_heartbeat_url,
    load_balanced_domains, machine_domain, managed_domains, monitored_urls, nginx_regex,
    redirect_domains, server_hostname, server_name_prefix, site_url, slug,
};
use ocim_domain::resources::{
    ResourceNames, ResourcePrefixes, database_name, forum_database_name, iam_user_name,
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
        let prefix = |name: &str| row[name].as_str().unwrap().to_owned();
        let prefixes =
            ResourcePrefixes { bucket: prefix("bucket_prefix"), iam_user: prefix("iam_prefix") };
        let resources = ResourceNames::propose(domain, &prefixes, sample::instance_id(), 0);
        assert_eq!(resources.database, row["database_name"], "{domain}");
        assert_eq!(resources.container, row["database_name"], "{domain}");
        assert_eq!(resources.forum_database, row["forum_database_name"], "{domain}");
        assert_eq!(resources.bucket, row["bucket_name"], "{domain}");
        assert_eq!(resources.iam_user, row["iam_username"], "{domain}");
        let regex = nginx_regex(&settings, Service::Studio);
        if domain.is_ascii() {
            assert_eq!(regex, row["studio_domain_nginx_regex"], "{domain}");
        } else {
            // Browsers send A-labels: the original's pattern never fits.
            let ascii = settings_below(&to_ascii(domain));
            let external = format!("Ext-studio.{domain}");
            let settings = InstanceSettings {
                external_studio_domain: to_ascii(&external).into_owned(),
                ..ascii
            };
            assert_eq!(regex, nginx_regex(&settings, Service::Studio), "{domain}");
            assert!(regex.is_ascii(), "{regex}");
        }
        assert_eq!(slug(domain), row["slug_of_domain"], "{domain}");
        assert_eq!(
            domain_slug(effective_domain(&settings, Service::Lms), "7"),
            row["domain_slug"],
            "{domain}"
        );
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
        let mut monitored = monitored_urls(&settings);
        monitored.sort();
        assert_eq!(monitored[..], vectors::texts(&names["monitored_urls"]), "{file}");
        let redirects = vectors::texts(&names["prefix_domains"]);
        let expected = if settings.enable_prefix_domains_redirect { redirects } else { vec![] };
        assert_eq!(redirect_domains(&settings), expected, "{file}");
        let id = recorded.inputs["instance_id"].to_string();
        assert_eq!(
            domain_slug(effective_domain(&settings, Service::Lms), &id),
            names["domain_slug"],
            "{file}"
        );
        let database = database_name(&settings.internal_lms_domain);
        assert_eq!(database, names["database_name"], "{file}");
        assert_eq!(forum_database_name(&database), names["forum_database_name"], "{file}");
        assert_eq!(iam_user_name(&database, "ocim"), names["iam_username"], "{file}");
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
        ("über.example.com", "uberexamplecom"),
        ("École №5", "ecole-no5"),
        ("ﬁne ½", "fine-12"),
        ("", ""),
    ] {
        assert_eq!(slug(text), expected, "{text:?}");
    }
}

#[test]
fn a_unicode_name_is_shown_as_written_and_goes_over_the_wire_in_a_labels() {
    let settings = InstanceSettings {
        internal_lms_domain: "über.example.com".to_owned(),
        internal_studio_domain: "studio.über.example.com".to_owned(),
        external_lms_domain: "école.example.org".to_owned(),
        ..sample::settings()
    };
    assert_eq!(effective_domain(&settings, Service::Lms), "école.example.org");
    let balanced = load_balanced_domains(&settings);
    let (ours, studio) = ("xn--ber-goa.example.com", "studio.xn--ber-goa.example.com");
    assert_eq!(balanced[..2], ["xn--cole-9oa.example.org".to_owned(), ours.to_owned()]);
    assert!(balanced.contains(&studio.to_owned()), "{balanced:?}");
    assert!(managed_domains(&settings).iter().all(|domain| domain.is_ascii()));
    assert_eq!(site_url(&settings, Service::Lms), "https://xn--cole-9oa.example.org/");
    assert_eq!(site_url(&settings, Service::Studio), format!("https://{studio}/"));
    // What is called after a domain takes its letters, by the original's rules.
    assert_eq!(database_name(&settings.internal_lms_domain), "ber_example_com");
    assert_eq!(server_name_prefix(&settings), "edxapp-ecoleexampleo");
}

#[test]
fn each_machine_in_traffic_has_a_host_by_its_place() {
    let settings = settings_below("übung.example.com");
    assert_eq!(machine_domain(&settings, 1), "vm1.xn--bung-zra.example.com");
    assert_eq!(machine_domain(&settings, 2), "vm2.xn--bung-zra.example.com");
}
