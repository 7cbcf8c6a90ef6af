//! What holds for every history, every layer and every name.

use crate::sample::{self, at};
use ocim_domain::configuration::{Variables, merge, yaml};
use ocim_domain::decider::Decider;
use ocim_domain::fragment::{
    FragmentInput, FragmentServer, ProbeInput, compose_fragment, probe_host,
};
use ocim_domain::name::Kind;
use ocim_domain::names::{
    RoutedNames, Service, domain_slug, effective_domain, machine_name, reserved_domains,
    server_hostname, slug,
};
use ocim_domain::resources::{RESOURCE_NAME_LENGTH_MAX, ResourceNames, ResourcePrefixes};
use ocim_domain::settings::{InstanceSettings, change_settings, create_settings};
use ocim_domain::{
    appserver, instance, inventory, ledger, load_balancer, name, region, saga, server, token,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any history at all, of events that never happened in such an order.
fn any_history<E: Clone + std::fmt::Debug + 'static>(
    samples: Vec<E>,
) -> impl Strategy<Value = Vec<E>> {
    prop::collection::vec(prop::sample::select(samples), 0..40)
}

/// Folding event by event and folding all at once end in the same state; neither panics.
fn check_total<D: Decider>(history: &[D::Event]) -> Result<(), TestCaseError>
where
    D::State: PartialEq + std::fmt::Debug,
{
    let stepwise = history.iter().fold(D::State::default(), D::evolve);
    prop_assert_eq!(D::fold(history), stepwise);
    Ok(())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-c]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_layer() -> impl Strategy<Value = Variables> {
    prop::collection::vec(("[a-c]", any_value()), 0..4)
        .prop_map(|members| members.into_iter().collect())
}

/// A mapping whose values are mappings all the way to scalars of one kind: no type ever changes.
fn any_uniform_layer() -> impl Strategy<Value = Variables> {
    let inner = || prop::collection::btree_map("[a-c]", any::<u8>(), 0..3);
    prop::collection::btree_map("[a-c]", inner(), 0..3)
        .prop_map(|layer| layer.into_iter().map(|(key, value)| (key, json!(value))).collect())
}

/// Settings of a site that pass all rules, with domains of few letters in many spellings.
fn any_site() -> impl Strategy<Value = InstanceSettings> {
    let label =
        prop::sample::select(vec!["a", "A", "b", "studio-a", "über", "xn--ber-goa", "日本"]);
    let domain = (label, prop::sample::select(vec!["example.com", "Example.com", "a.example.com"]))
        .prop_map(|(label, base)| format!("{label}.{base}"));
    let external = prop::option::of(domain.clone());
    (domain, external.clone(), external, any::<bool>()).prop_filter_map(
        "the settings break a rule",
        |(lms, lms_external, studio_external, redirect)| {
            let input = json!({
                "internal_lms_domain": lms,
                "external_lms_domain": lms_external,
                "external_studio_domain": studio_external,
                "enable_prefix_domains_redirect": redirect,
            });
            let input = serde_json::from_value(input).unwrap();
            create_settings(input, &sample::defaults(), "inst", &sample::secrets()).ok()
        },
    )
}

proptest! {
    #[test]
    fn evolve_is_total(
        appservers in any_history(sample::appserver_events()),
        instances in any_history(sample::instance_events()),
        load_balancers in any_history(sample::load_balancer_events()),
        names in any_history(sample::name_events()),
        regions in any_history(sample::region_events()),
        inventories in any_history(sample::inventory_events()),
        ledgers in any_history(sample::ledger_events()),
        runs in any_history(sample::saga_events()),
        servers in any_history(sample::server_events()),
        tokens in any_history(sample::token_events()),
    ) {
        check_total::<appserver::Appserver>(&appservers)?;
        check_total::<instance::Instance>(&instances)?;
        check_total::<load_balancer::LoadBalancer>(&load_balancers)?;
        check_total::<name::Name>(&names)?;
        check_total::<region::Region>(&regions)?;
        check_total::<inventory::Inventory>(&inventories)?;
        check_total::<ledger::Ledger>(&ledgers)?;
        check_total::<saga::Saga>(&runs)?;
        check_total::<server::Server>(&servers)?;
        check_total::<token::Token>(&tokens)?;
    }

    /// Whatever is asked of an instance, its lists stay sound.
    #[test]
    fn an_instances_lists_stay_sound(
        asked in prop::collection::vec((0u8..4, 1u128..5, any::<bool>()), 0..40),
    ) {
        use instance::{Command, Instance, LaunchOutcome};
        let created = instance::Event::Created { settings: Box::new(sample::settings()) };
        let names = || RoutedNames::new(&sample::settings());
        let assign = |add, remove, may_empty| {
            Command::AssignTraffic { add, remove, names: names(), may_empty }
        };
        let mut state = Instance::fold([&created]);
        for (which, number, flag) in asked {
            let id = sample::appserver_id(number);
            let command = match which {
                0 => Command::RequestLaunch {
                    appserver: id,
                    run: sample::run_id(number),
                    may_queue: flag,
                    then: instance::OnSuccess { activate: flag, deactivate_others: flag },
                    attempts: instance::Attempts {
                        attempts: std::num::NonZeroU32::new(1 + u32::from(flag)).unwrap(),
                        ..instance::Attempts::ONE
                    },
                },
                1 => Command::SettleLaunch {
                    appserver: id,
                    outcome: if flag { LaunchOutcome::Failed } else { LaunchOutcome::Running },
                    next: (sample::appserver_id(number + 100), sample::run_id(number + 100)),
                },
                2 => assign(vec![id, id], vec![], flag),
                _ => assign(vec![], vec![id], flag),
            };
            let was_serving = !state.present().unwrap().active.is_empty();
            if let Ok(events) = Instance::decide(&state, command, at(1)) {
                state = events.iter().fold(state, Instance::evolve);
            }
            let present = state.present().unwrap();
            let mut active = present.active.clone();
            active.sort();
            active.dedup();
            prop_assert_eq!(active.len(), present.active.len(), "nobody is active twice");
            let is_serving = !present.active.is_empty();
            prop_assert!(flag || !was_serving || is_serving, "no site goes dark unasked");
            let numbers: Vec<_> = present.launches.iter().map(|launch| launch.number).collect();
            // Another attempt comes before those that wait.
            let waiting = numbers.get(1..).unwrap_or_default();
            prop_assert!(waiting.is_sorted(), "launches begin in their order");
        }
    }

    #[test]
    fn merging_twice_changes_nothing_more(base in any_layer(), layer in any_layer()) {
        let once = merge(base, layer.clone());
        prop_assert_eq!(merge(once.clone(), layer), once);
    }

    #[test]
    fn an_empty_layer_changes_nothing(layer in any_layer()) {
        prop_assert_eq!(merge(layer.clone(), Variables::new()), layer.clone());
        prop_assert_eq!(merge(Variables::new(), layer.clone()), layer);
    }

    /// Not for all layers: a scalar between two mappings forgets the lower one.
    #[test]
    fn merging_is_associative_where_types_agree(
        a in any_uniform_layer(), b in any_uniform_layer(), c in any_uniform_layer(),
    ) {
        let left = merge(merge(a.clone(), b.clone()), c.clone());
        prop_assert_eq!(left, merge(a, merge(b, c)));
    }

    #[test]
    fn the_upper_layer_always_shows(base in any_layer(), layer in any_layer()) {
        let merged = merge(base.clone(), layer.clone());
        for (key, value) in &layer {
            if !(value.is_object() && base.get(key).is_some_and(Value::is_object)) {
                prop_assert_eq!(&merged[key], value);
            }
        }
        for key in base.keys() {
            prop_assert!(merged.contains_key(key));
        }
    }

    #[test]
    fn names_never_exceed_their_limits(
        domain in "\\PC{0,120}|[A-Za-z0-9.-]{0,120}",
        id in "[a-z0-9]{1,12}",
        number in any::<u32>(),
    ) {
        let settings =
            InstanceSettings { internal_lms_domain: domain.clone(), ..sample::settings() };
        let propose = |attempt| {
            let prefixes = ResourcePrefixes::default();
            ResourceNames::propose(&domain, &prefixes, sample::instance_id(), attempt)
        };
        let (plain, own) = (propose(0), propose(1));
        prop_assert_ne!(&plain.database, &own.database);
        for name in [
            plain.database.clone(),
            plain.bucket,
            plain.iam_user,
            own.container,
            own.bucket,
            own.iam_user,
        ] {
            prop_assert!(name.chars().count() <= RESOURCE_NAME_LENGTH_MAX, "{}", name);
        }
        prop_assert!(domain_slug(effective_domain(&settings, Service::Lms), &id).len() <= 20 + 1 + id.len());
        prop_assert!(server_hostname(&settings, number).len() <= 63);
        let appserver = sample::appserver_id(number.into());
        let machine = machine_name(&settings, appserver);
        prop_assert!(machine.len() <= 63 && machine.ends_with(&appserver.0.to_string()));
    }

    /// Whatever a balancer's map may hold for a site is reserved for it, or below such a host in a
    /// place that no setting can ask for: so two sites never share a line.
    #[test]
    fn what_goes_into_a_map_is_reserved(settings in any_site()) {
        let reserved: Vec<_> = reserved_domains(&settings)
            .into_iter()
            .map(|(_, domain)| Kind::Domain.key(&domain))
            .collect();
        let probe = probe_host(sample::instance_id(), 7);
        let server = FragmentServer {
            name: "appserver-1".to_owned(),
            ip: [192, 0, 2, 1].into(),
            port: 80,
            cookie: "appserver-1".to_owned(),
            disabled: false,
        };
        let proving = ProbeInput {
            host: probe.clone(),
            site: "lms.example.com".to_owned(),
            servers: vec![server.clone()],
        };
        for (servers, preliminary_page_ip) in
            [(vec![server], None), (vec![], Some("192.0.2.9".to_owned()))]
        {
            let names = RoutedNames::new(&settings);
            let input = FragmentInput {
                servers,
                preliminary_page_ip,
                probe: Some(proving.clone()),
                ..FragmentInput::new(&settings, names, sample::instance_id(), "").unwrap()
            };
            let map = compose_fragment(&input).unwrap().map;
            let hosts: Vec<_> =
                map.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
            for host in &hosts {
                let key = Kind::Domain.key(host);
                prop_assert!(reserved.contains(&key) || key == Kind::Domain.key(&probe), "{}", host);
            }
            let mut once = hosts.iter().map(|host| Kind::Domain.key(host)).collect::<Vec<_>>();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), hosts.len(), "{}", map);
        }
        let stolen = json!({ "external_lms_domain": probe });
        let stolen = change_settings(&sample::settings(), serde_json::from_value(stolen).unwrap(), true);
        prop_assert!(stolen.is_err());
    }

    #[test]
    fn a_slug_is_its_own_slug(text in "\\PC{0,60}") {
        let once = slug(&text);
        prop_assert_eq!(slug(&once), once.clone());
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        prop_assert!(once.bytes().all(is_plain));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|[a-c:\\-\\[\\]{}&*!|>'\"#\n 0-9.]{0,200}") {
        if let Err(error) = yaml::parse_mapping(&text) {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }

    /// JSON is YAML: what is written as JSON is read as it was.
    #[test]
    fn json_is_read_as_it_was(layer in any_layer()) {
        let text = serde_json::to_string(&layer).unwrap();
        prop_assert_eq!(yaml::parse_mapping(&text).unwrap(), layer);
    }
}
