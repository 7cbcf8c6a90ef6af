//! Security groups at a real Neutron: ours has its rules and no others, those of others are only looked for.

use super::{open, use_stack};
use crate::support::private_openstack::PrivateOpenStack;
use ocim_adapters::cloud::Cloud;
use ocim_domain::port_error::Class;
use ocim_domain::saga::ErrorCode;

/// The rules of a group, one a line, and how many groups of that name there are.
fn rules(stack: &PrivateOpenStack, name: &str) -> (usize, Vec<String>) {
    let script = format!(
        "groups = list(cloud.network.security_groups(name={name:?}))
print(len(groups), groups[0].description)
for rule in groups[0].security_group_rules:
    print(rule['direction'], rule['ethertype'], rule['protocol'], rule['port_range_min'],
          rule['port_range_max'], rule['remote_group_id'])"
    );
    let told = stack.client(&stack.user(), &script);
    let mut lines = told.lines();
    let (count, description) = lines.next().unwrap().split_once(' ').unwrap();
    assert!(description.ends_with("Managed automatically by OpenCraft IM."), "{description}");
    let mut rules: Vec<String> = lines.map(str::to_owned).collect();
    rules.sort();
    (count.parse().unwrap(), rules)
}

#[tokio::test]
async fn our_group_has_its_rules_and_no_others_and_the_rest_must_be_there() {
    let stack = use_stack().await;
    let cloud = open(&stack, "groups");
    let ours = "ours".to_owned();
    assert!(!cloud.find_security_groups(std::slice::from_ref(&ours)).await.unwrap());
    // Two launches at once make one group.
    let groups = std::slice::from_ref(&ours);
    let (one, other) =
        tokio::join!(cloud.ensure_security_groups(groups), cloud.ensure_security_groups(groups));
    one.unwrap();
    other.unwrap();
    let (count, made) = rules(&stack, &ours);
    assert_eq!((count, made.len()), (1, 10), "{made:?}");
    for rule in [
        "ingress IPv4 tcp 8300 8302 None",
        "ingress IPv4 tcp 22 22 None",
        "egress IPv6 None None None None",
    ] {
        assert!(made.contains(&rule.to_owned()), "{rule}: {made:?}");
    }
    let script = format!(
        "group = cloud.network.find_security_group({ours:?})
cloud.network.update_security_group(group, description='mine')
cloud.network.create_security_group_rule(security_group_id=group.id, direction='ingress',
    protocol='tcp', port_range_min=3306, port_range_max=3306)
for rule in group.security_group_rules:
    if rule['port_range_min'] == 443:
        cloud.network.delete_security_group_rule(rule['id'])
cloud.network.create_security_group(name='private-db')"
    );
    stack.client(&stack.user(), &script);
    let both = [ours.clone(), "private-db".to_owned()];
    cloud.ensure_security_groups(&both).await.unwrap();
    assert_eq!(rules(&stack, &ours), (1, made));
    assert!(cloud.find_security_groups(&both).await.unwrap());
    // What people did there stays as it is where it is not ours.
    let script = "print(len(cloud.network.find_security_group('private-db').security_group_rules))";
    assert_eq!(stack.client(&stack.user(), script), "2");
    let missing = [ours.clone(), "private-db".to_owned(), "other".to_owned()];
    let error = cloud.ensure_security_groups(&missing).await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Permanent, Some(ErrorCode::CloudRefused)));
    assert!(error.message.contains("no security group `other`"), "{}", error.message);
    stack.client(&stack.user(), &format!("cloud.network.create_security_group(name={ours:?})"));
    let error = cloud.ensure_security_groups(groups).await.unwrap_err();
    assert!(error.message.contains("several security groups"), "{}", error.message);
}
