//! What goes wrong at a real OpenStack: servers that fail, and services that are stopped, killed or frozen.

use super::{access, await_power, config, open, own_stack, remove, spec, use_stack};
use ocim_adapters::cloud::openstack::{Login, OpenStackAccess, OpenStackCloud, OpenStackConfig};
use ocim_adapters::cloud::{Cloud, MachineSpec, Power};
use ocim_domain::port_error::{Blame, Class};
use ocim_domain::saga::ErrorCode;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn wrong_credentials_and_regions_are_told_at_once_and_no_password_is() {
    let stack = use_stack().await;
    let right = access(&stack, None);
    let Login::Password { user, user_domain, project, .. } = right.login.clone() else { panic!() };
    let password = "hunter2".to_owned();
    let login = Login::Password { user, password, user_domain, project };
    let wrong = OpenStackAccess { login, ..right.clone() };
    let elsewhere = OpenStackAccess { region: Some("Nowhere".to_owned()), ..right.clone() };
    let no_keystone =
        OpenStackAccess { auth_url: right.auth_url.replace("/v3", "/nothing"), ..right };
    for (access, words) in [
        (wrong, "look at the region's credentials"),
        (elsewhere, "the catalog has no such service there"),
        (no_keystone, "look at Keystone's URL"),
    ] {
        let cloud = OpenStackCloud::new(config(access, "wrong")).unwrap();
        let begun = Instant::now();
        let error = cloud.list_machines().await.unwrap_err();
        assert_eq!(
            (error.class.clone(), error.code),
            (Class::Permanent, Some(ErrorCode::CloudRefused))
        );
        assert!(error.message.contains(words), "{}", error.message);
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(!format!("{error:?}{cloud:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_server_that_fails_says_why_and_goes_all_the_same() {
    let stack = own_stack().await;
    let test = "failing";
    let cloud = open(&stack, test);
    let nowhere = MachineSpec { flavor: json!({"name": "m1.nowhere"}), ..spec("nowhere") };
    let made = cloud.create_machine(&nowhere).await.unwrap();
    let failed = await_power(&cloud, &made.id, Power::Error).await;
    assert!(failed.fault.unwrap().contains("No valid host was found"));
    let error = cloud.reboot_machine(&made.id).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MachineFailed));
    remove(&cloud, &made.id).await;
    stack.steer("spawn_error", Some("the disk is on fire"));
    let made = cloud.create_machine(&spec(test)).await.unwrap();
    let failed = await_power(&cloud, &made.id, Power::Error).await;
    stack.steer("spawn_error", None);
    assert!(failed.fault.unwrap().contains("the disk is on fire"));
    remove(&cloud, &made.id).await;
    assert!(cloud.list_machines().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_off_is_seen_and_started_by_a_reboot() {
    let stack = use_stack().await;
    let test = "off";
    let cloud = open(&stack, test);
    let made = cloud.create_machine(&spec(test)).await.unwrap();
    await_power(&cloud, &made.id, Power::Active).await;
    stack.client(&stack.user(), &format!("cloud.compute.stop_server('{}')", made.id));
    await_power(&cloud, &made.id, Power::Shutoff).await;
    cloud.reboot_machine(&made.id).await.unwrap();
    await_power(&cloud, &made.id, Power::Active).await;
    // Somebody deletes it behind our back.
    stack.client(&stack.user(), &format!("cloud.compute.delete_server('{}')", made.id));
    super::await_machine(&cloud, &made.id, |machine| machine.is_none()).await;
    assert!(cloud.list_machines().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_frozen_nova_is_waited_for_so_long_and_nothing_is_made_twice() {
    let stack = own_stack().await;
    let test = "frozen";
    let config = config(access(&stack, None), test);
    let answer_timeout = Duration::from_secs(3);
    let cloud = OpenStackCloud::new(OpenStackConfig { answer_timeout, ..config }).unwrap();
    // It knows where all is, and what there is.
    cloud.try_out().await.unwrap();
    stack.service("pause", "nova-api");
    let begun = Instant::now();
    let id = "00000000-0000-0000-0000-000000000000";
    let error = cloud.reboot_machine(id).await.unwrap_err();
    let took = begun.elapsed();
    stack.service("resume", "nova-api");
    assert_eq!((error.class, error.blame), (Class::Transient, Blame::Provider));
    // It was asked again, but not for ever.
    assert!(took >= answer_timeout * 2 && took < Duration::from_secs(60), "{took:?}");
    let begun = Instant::now();
    while let Err(error) = cloud.list_machines().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
    }
}

#[tokio::test]
async fn a_stopped_keystone_fails_new_logins_alone_and_is_found_again() {
    let stack = own_stack().await;
    let (known, new) = (open(&stack, "known"), open(&stack, "new"));
    known.list_machines().await.unwrap();
    stack.service("stop", "keystone");
    let begun = Instant::now();
    let error = new.list_machines().await.unwrap_err();
    let took = begun.elapsed();
    let known_one = known.list_machines().await;
    stack.service("start", "keystone");
    assert_eq!((error.class, error.blame), (Class::Transient, Blame::Provider));
    assert!(error.message.starts_with("Keystone of 127.0.0.1"), "{}", error.message);
    assert!(took < Duration::from_secs(20), "{took:?}");
    known_one.unwrap();
    let begun = Instant::now();
    while let Err(error) = new.list_machines().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_in_the_middle_of_work_is_renewed() {
    let stack = own_stack().await;
    let cloud = open(&stack, "revoked");
    cloud.list_machines().await.unwrap();
    // All tokens of a user end when they are shut out. Nova may remember ours, Glance has never seen it.
    let script = "user = cloud.identity.find_user('tester')
cloud.identity.update_user(user, is_enabled=False)
cloud.identity.update_user(user, is_enabled=True)";
    stack.client(&stack.administrator(), script);
    let image = json!({"name": "Ubuntu 22.04"});
    cloud.check_selectors(&json!({"name": "m1.small"}), &image).await.unwrap();
    cloud.list_machines().await.unwrap();
}

#[tokio::test]
async fn a_killed_neutron_fails_what_needs_it_and_is_found_again() {
    let stack = own_stack().await;
    let test = "neutron";
    let (cloud, group) = (open(&stack, test), "edxapp-appserver".to_owned());
    let groups = std::slice::from_ref(&group);
    cloud.ensure_security_groups(groups).await.unwrap();
    stack.service("kill", "neutron-server");
    let groups_failed = cloud.ensure_security_groups(groups).await.unwrap_err();
    let spec = spec(test);
    let made = cloud.create_machine(&spec).await;
    stack.service("start", "neutron-server");
    assert_eq!((groups_failed.class, groups_failed.blame), (Class::Transient, Blame::Provider));
    // Nova needs it, too; perhaps it has made the server all the same.
    let failed = made.unwrap_err();
    assert_eq!(failed.class, Class::Ambiguous, "{failed}");
    let begun = Instant::now();
    while let Err(error) = cloud.ensure_security_groups(groups).await {
        assert!(begun.elapsed() < Duration::from_secs(120), "{error}");
    }
    if let Some(machine) = cloud.find_machine(spec.key).await.unwrap() {
        remove(&cloud, &machine.id).await;
    }
}

#[tokio::test]
async fn a_host_that_dies_while_it_boots_a_server_leaves_nothing_behind() {
    let stack = own_stack().await;
    let test = "killed";
    let cloud = open(&stack, test);
    stack.steer("spawn_seconds", Some("20"));
    let made = cloud.create_machine(&spec(test)).await.unwrap();
    let begun = Instant::now();
    while !stack
        .client(
            &stack.user(),
            &format!("print(cloud.compute.get_server('{}').task_state)", made.id),
        )
        .contains("spawning")
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    stack.service("kill", "nova-compute");
    stack.steer("spawn_seconds", None);
    let seen = cloud.read_machine(&made.id).await.unwrap().unwrap();
    cloud.delete_machine(&made.id).await.unwrap();
    cloud.delete_machine(&made.id).await.unwrap();
    stack.service("start", "nova-compute");
    assert_eq!(seen.power, Power::Building);
    remove(&cloud, &made.id).await;
}
