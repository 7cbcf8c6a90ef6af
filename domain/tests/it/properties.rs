//! What holds for every history, every layer and every name.

use crate::sample::{self, at};
use ocim_domain::configuration::{Variables, merge, yaml};
use ocim_domain::decider::Decider;
use ocim_domain::names::{
    DOMAIN_LENGTH_MAX, RESOURCE_NAME_LENGTH_MAX, RoutedNames, bucket_name, check_domain,
    database_name, domain_slug, iam_user_name, machine_name, server_hostname, slug,
};
use ocim_domain::settings::InstanceSettings;
use ocim_domain::{
    appserver, instance, inventory, load_balancer, name, region, saga, server, token,
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

proptest! {
    #[test]
    fn evolve_is_total(
        appservers in any_history(sample::appserver_events()),
        instances in any_history(sample::instance_events()),
        load_balancers in any_history(sample::load_balancer_events()),
        names in any_history(sample::name_events()),
        regions in any_history(sample::region_events()),
        inventories in any_history(sample::inventory_events()),
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
                },
                1 => Command::SettleLaunch { appserver: id, outcome: LaunchOutcome::Running },
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
            prop_assert!(numbers.is_sorted(), "launches begin in their order");
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
        for name in [
            database_name(&settings),
            bucket_name(&settings, "ocim"),
            iam_user_name(&settings, "ocim"),
        ] {
            prop_assert!(name.chars().count() <= RESOURCE_NAME_LENGTH_MAX, "{}", name);
        }
        prop_assert!(domain_slug(&settings, &id).len() <= 20 + 1 + id.len());
        prop_assert!(server_hostname(&settings, number).len() <= 63);
        let appserver = sample::appserver_id(number.into());
        let machine = machine_name(&settings, appserver);
        prop_assert!(machine.len() <= 63 && machine.ends_with(&appserver.0.to_string()));
        if check_domain(&domain).is_ok() {
            prop_assert!(domain.len() <= DOMAIN_LENGTH_MAX && domain.is_ascii());
        }
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
