//! Machines at a real OpenStack: each call of the port, and what goes wrong there.

mod answers;
mod faults;
mod groups;
pub(crate) mod launch;
mod quota;
mod swift;

use crate::support::http_double::HttpDouble;
use crate::support::private_openstack::{PrivateOpenStack, own_stack, use_stack};
use ocim_adapters::cloud::openstack::{
    Login, OpenStackAccess, OpenStackCloud, OpenStackConfig, Project,
};
use ocim_adapters::cloud::{Cloud, Machine, MachineSpec, Power};
use ocim_adapters::shell::Shell;
use ocim_adapters::shell::ssh::SshShell;
use ocim_domain::port_error::Class;
use ocim_domain::saga::ErrorCode;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Somebody's key, where nobody logs in.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhBERhveLQTTgNBo5o8oAIlrQABh6kSLfLpo+pJlCf";
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(300);
/// The only group that tests put machines into, beside those that they try.
const GROUP: &str = "edxapp-appserver";

/// Where the stack is for an ordinary user: by itself, or through a double that spoils answers.
fn access(stack: &PrivateOpenStack, through: Option<&HttpDouble>) -> OpenStackAccess {
    let user = stack.user();
    let of = |name: &str| user[name].clone();
    let auth_url = match through {
        Some(double) => {
            let port = of("OS_AUTH_URL").replace("http://127.0.0.1:", "");
            format!("http://127.0.0.1:{}/{port}", double.port)
        }
        None => of("OS_AUTH_URL"),
    };
    OpenStackAccess {
        auth_url,
        login: Login::Password {
            user: of("OS_USERNAME"),
            password: of("OS_PASSWORD"),
            user_domain: of("OS_USER_DOMAIN_NAME"),
            project: Project::Name(of("OS_PROJECT_NAME"), of("OS_PROJECT_DOMAIN_NAME")),
        },
        region: Some("RegionOne".to_owned()),
        interface: "public".to_owned(),
        ca_file: None,
        verify: true,
    }
}

/// A region whose machines are that test's alone.
fn config(access: OpenStackAccess, test: &str) -> OpenStackConfig {
    OpenStackConfig {
        access,
        region: "north".to_owned(),
        owner: test.to_owned(),
        authorized_key: KEY.to_owned(),
        ssh_user: "ubuntu".to_owned(),
        network: None,
        floating_pool: None,
        trust_first_host_key: false,
        shutdown_timeout: Duration::from_secs(30),
        answer_timeout: Duration::from_secs(30),
    }
}

fn open(stack: &PrivateOpenStack, test: &str) -> OpenStackCloud {
    OpenStackCloud::new(config(access(stack, None), test)).unwrap()
}

fn open_through(stack: &PrivateOpenStack, double: &HttpDouble, test: &str) -> OpenStackCloud {
    OpenStackCloud::new(config(access(stack, Some(double)), test)).unwrap()
}

async fn start_double() -> HttpDouble {
    HttpDouble::start("openstack", "", None).await
}

fn spec(test: &str) -> MachineSpec {
    MachineSpec {
        key: Uuid::new_v5(&Uuid::NAMESPACE_OID, test.as_bytes()),
        name: format!("edxapp-{test}-1"),
        flavor: json!({"ram": 512}),
        image: json!({"name": "Ubuntu 22.04"}),
        keyname: format!("key of {test}"),
        security_groups: vec![],
    }
}

/// Waits for a machine to be as wanted.
async fn await_machine(
    cloud: &OpenStackCloud,
    id: &str,
    is_wanted: impl Fn(Option<&Machine>) -> bool,
) -> Option<Machine> {
    let begun = Instant::now();
    loop {
        let machine = cloud.read_machine(id).await.unwrap();
        if is_wanted(machine.as_ref()) {
            return machine;
        }
        assert!(begun.elapsed() < PATIENCE, "{machine:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn await_power(cloud: &OpenStackCloud, id: &str, power: Power) -> Machine {
    let is_so = |machine: Option<&Machine>| machine.is_some_and(|it| it.power == power);
    await_machine(cloud, id, is_so).await.unwrap()
}

/// Deletes a machine, as often as a run would, until it is gone.
async fn remove(cloud: &OpenStackCloud, id: &str) {
    let begun = Instant::now();
    while cloud.read_machine(id).await.unwrap().is_some() {
        cloud.delete_machine(id).await.unwrap();
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(POLL).await;
    }
}

/// A key pair of SSH: the private file, and the public line.
fn make_key(folder: &Path) -> (std::path::PathBuf, String) {
    let file = folder.join("key");
    let mut command = Command::new("ssh-keygen");
    let made = command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).status();
    assert!(made.unwrap().success());
    let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    (file, public.trim().to_owned())
}

#[tokio::test]
async fn a_machine_is_made_once_is_found_by_its_key_and_goes() {
    let stack = use_stack().await;
    let folder = tempfile::TempDir::new().unwrap();
    let (private, public) = make_key(folder.path());
    let test = "once";
    let config = config(access(&stack, None), test);
    let cloud = OpenStackCloud::new(OpenStackConfig { authorized_key: public, ..config }).unwrap();
    let spec = MachineSpec { security_groups: vec![GROUP.to_owned()], ..spec(test) };
    cloud.ensure_security_groups(&spec.security_groups).await.unwrap();
    let made = cloud.create_machine(&spec).await.unwrap();
    assert_eq!((made.key, made.name.as_str()), (Some(spec.key), spec.name.as_str()));
    assert_eq!(cloud.create_machine(&spec).await.unwrap().id, made.id, "asked again");
    // It is up, and its console has shown its host key.
    let is_up = |machine: Option<&Machine>| machine.is_some_and(|it| !it.host_keys.is_empty());
    let up = await_machine(&cloud, &made.id, is_up).await.unwrap();
    let address = up.address.clone().unwrap();
    assert_eq!((up.power, address.ssh_user.as_str()), (Power::Active, "ubuntu"));
    assert!(cloud.read_console(&up.id).await.unwrap().contains(&up.host_keys[0]));
    assert_eq!(cloud.find_machine(spec.key).await.unwrap(), Some(up.clone()));
    assert_eq!(cloud.list_machines().await.unwrap(), std::slice::from_ref(&up));
    // Neither another Ocim nor another region of this one takes it for its own.
    let other = open(&stack, "another");
    assert_eq!(other.find_machine(spec.key).await.unwrap(), None);
    assert!(other.list_machines().await.unwrap().is_empty());
    // One logs in there, and it boots anew.
    let shell = SshShell::new(private, folder.path().join("ssh"));
    let before = shell.read_boot_id(&address, &up.host_keys).await.unwrap();
    cloud.reboot_machine(&up.id).await.unwrap();
    let begun = Instant::now();
    while !shell.read_boot_id(&address, &up.host_keys).await.is_ok_and(|now| now != before) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(POLL).await;
    }
    await_power(&cloud, &up.id, Power::Active).await;
    cloud.delete_machine(&up.id).await.unwrap();
    await_machine(&cloud, &up.id, |machine| machine.is_none()).await;
    cloud.delete_machine(&up.id).await.unwrap();
    assert_eq!(cloud.find_machine(spec.key).await.unwrap(), None);
    let error = cloud.reboot_machine(&up.id).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MachineVanished));
    let error = cloud.read_console(&up.id).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MachineVanished));
}

#[tokio::test]
async fn a_selector_means_one_flavor_and_one_image_by_any_attribute() {
    let stack = use_stack().await;
    let cloud = open(&stack, "selectors");
    let image = json!({"name": "Ubuntu 16.04"});
    // The lists come in pages: see `max_limit` in tests/private_openstack.
    for flavor in
        [json!({"ram": 16384, "disk": 160}), json!({"name": "m1.nowhere"}), json!({"id": "1"})]
    {
        cloud.check_selectors(&flavor, &image).await.unwrap();
    }
    let small = json!({"name": "m1.small"});
    let refused = async |flavor: &Value, image: &Value| {
        let error = cloud.check_selectors(flavor, image).await.unwrap_err();
        assert_eq!(
            (error.class, error.code),
            (Class::Permanent, Some(ErrorCode::MachineNotOffered))
        );
        error.message
    };
    let several = refused(&json!({"vcpus": 1}), &image).await;
    for name in ["3 of the region's flavors", "`m1.tiny` (1)", "`m1.small` (2)", "`m1.nowhere` (6)"]
    {
        assert!(several.contains(name), "{several}");
    }
    let several = refused(&small, &json!({"disk_format": "raw"})).await;
    assert!(several.contains("`Ubuntu 16.04`") && several.contains("`Ubuntu 22.04`"), "{several}");
    assert!(refused(&small, &json!({"name": "Ubuntu"})).await.contains("no image that fits"));
    assert!(refused(&json!(null), &image).await.contains("selects nothing"));
}

#[tokio::test]
async fn the_key_pair_is_made_and_nobody_elses_is_taken_for_it() {
    let stack = use_stack().await;
    let test = "keys";
    let cloud = open(&stack, test);
    let spec = spec(test);
    let made = cloud.create_machine(&spec).await.unwrap();
    let script = format!("print(cloud.compute.find_keypair({:?}).public_key)", spec.keyname);
    assert_eq!(stack.client(&stack.user(), &script), KEY);
    let stranger = config(access(&stack, None), "a stranger");
    let authorized_key = KEY.replace("Bo5o8o", "BoAo8o");
    let stranger = OpenStackCloud::new(OpenStackConfig { authorized_key, ..stranger }).unwrap();
    let error = stranger.create_machine(&spec).await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Permanent, Some(ErrorCode::CloudRefused)));
    assert!(error.message.contains(&spec.keyname), "{}", error.message);
    remove(&cloud, &made.id).await;
}

#[tokio::test]
async fn a_machine_may_have_a_floating_address_which_goes_with_it() {
    let stack = use_stack().await;
    let test = "floating";
    let (network, floating_pool) = (Some("private".to_owned()), Some("public".to_owned()));
    let config = OpenStackConfig { network, floating_pool, ..config(access(&stack, None), test) };
    let cloud = OpenStackCloud::new(config.clone()).unwrap();
    let made = cloud.create_machine(&spec(test)).await.unwrap();
    let has_address = |machine: Option<&Machine>| machine.is_some_and(|it| it.address.is_some());
    let up = await_machine(&cloud, &made.id, has_address).await.unwrap();
    let ip = up.address.unwrap().ip;
    assert!(ip.to_string().starts_with("127.78."), "{ip}");
    // Asked again it stays the one that it has.
    assert_eq!(cloud.create_machine(&spec(test)).await.unwrap().address.unwrap().ip, ip);
    let script = "print(*[ip.floating_ip_address for ip in cloud.network.ips()])";
    let held =
        |stack: &PrivateOpenStack| stack.client(&stack.user(), script).contains(&ip.to_string());
    assert!(held(&stack));
    // Also by a region that gives none any more.
    let without = OpenStackConfig { floating_pool: None, ..config.clone() };
    remove(&OpenStackCloud::new(without).unwrap(), &made.id).await;
    assert!(!held(&stack), "it was given back");
    // One that a server has left behind is listed, as no other's is, and given back when that is asked for.
    let id = &made.id;
    let lend = |description: &str| {
        let script = format!(
            "public = cloud.network.find_network('public').id\n\
             cloud.network.create_ip(floating_network_id=public, description='{description}')"
        );
        stack.client(&stack.user(), &script);
    };
    let descriptions = [format!("{test} north {id}"), format!("{test} south {id}"), String::new()];
    descriptions.iter().for_each(|description| lend(description));
    let lent = cloud.list_floating_addresses().await.unwrap();
    assert_eq!(lent.iter().map(|it| &it.machine).collect::<Vec<_>>(), [id]);
    assert!(lent[0].address.starts_with("127.78.") && lent[0].made_at.is_some(), "{lent:?}");
    cloud.release_floating_address(&lent[0].id).await.unwrap();
    assert_eq!(cloud.list_floating_addresses().await.unwrap(), []);
    cloud.release_floating_address(&lent[0].id).await.unwrap();
    let script = "print(*[ip.description for ip in cloud.network.ips()])";
    assert!(
        stack.client(&stack.user(), script).contains(&descriptions[1]),
        "another region's stays"
    );
    // It goes, too, when the deletion of the server is asked for.
    lend(&descriptions[0]);
    assert!(stack.client(&stack.user(), script).contains(&descriptions[0]));
    cloud.delete_machine(id).await.unwrap();
    assert!(!stack.client(&stack.user(), script).contains(&descriptions[0]));
    let floating_pool = Some("elsewhere".to_owned());
    let wrong = OpenStackCloud::new(OpenStackConfig { floating_pool, ..config }).unwrap();
    let error = wrong.try_out().await.unwrap_err();
    assert!(
        error.message.contains("there are private, public")
            || error.message.contains("there are public, private"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn what_no_console_shows_is_believed_only_where_that_is_said() {
    let stack = own_stack().await;
    let test = "consoles";
    let strict = open(&stack, test);
    let config = config(access(&stack, None), test);
    let config = OpenStackConfig { trust_first_host_key: true, ..config };
    let trusting = OpenStackCloud::new(config).unwrap();
    stack.steer("no_console", Some(""));
    let made = strict.create_machine(&spec(test)).await.unwrap();
    assert!(await_power(&strict, &made.id, Power::Active).await.host_keys.is_empty());
    let seen = trusting.read_machine(&made.id).await.unwrap().unwrap().host_keys;
    // From now on they are those of the machine, whoever asks.
    assert_eq!(strict.read_machine(&made.id).await.unwrap().unwrap().host_keys, seen);
    stack.steer("no_console", None);
    let [key] = &seen[..] else { panic!("{seen:?}") };
    assert!(strict.read_console(&made.id).await.unwrap().contains(key));
    remove(&strict, &made.id).await;
}

#[tokio::test]
async fn quotas_are_told_before_and_named_when_they_are_used_up() {
    let stack = own_stack().await;
    let test = "quota";
    let cloud = open(&stack, test);
    let flavor = json!({"name": "m1.medium"});
    let quotas = cloud.read_quotas(&flavor).await.unwrap();
    let told: Vec<_> = quotas.iter().map(|it| (it.of.as_str(), it.limit, it.needed)).collect();
    assert_eq!(told, [("instances", Some(100), 1), ("cores", None, 2), ("RAM in MiB", None, 4096)]);
    let set = |instances: u32| {
        let script = format!("cloud.set_compute_quotas('tester', instances={instances})");
        stack.client(&stack.administrator(), &script);
    };
    set(0);
    let quotas = cloud.read_quotas(&flavor).await.unwrap();
    let error = cloud.create_machine(&spec(test)).await.unwrap_err();
    set(100);
    assert!(!quotas[0].has_room() && quotas[1].has_room(), "{quotas:?}");
    assert_eq!((error.class, error.code), (Class::Conflict, Some(ErrorCode::QuotaExceeded)));
    assert!(error.message.contains("Quota exceeded for instances"), "{}", error.message);
    assert!(cloud.list_machines().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_application_credential_lets_in_as_a_password_does() {
    let stack = use_stack().await;
    let script = "it = cloud.identity.create_application_credential(\
        cloud.current_user_id, 'ocim', roles=[{'name': 'member'}]); print(it.id, it.secret)";
    let made = stack.client(&stack.user(), script);
    let (id, secret) = made.split_once(' ').unwrap();
    let login = Login::ApplicationCredential { id: id.to_owned(), secret: secret.to_owned() };
    let access = OpenStackAccess { login, ..access(&stack, None) };
    let cloud = OpenStackCloud::new(config(access.clone(), "credential")).unwrap();
    let told = cloud.try_out().await.unwrap();
    assert!(told.starts_with("Keystone of 127.0.0.1 takes the credentials"), "{told}");
    let script =
        format!("cloud.identity.delete_application_credential(cloud.current_user_id, '{id}')");
    stack.client(&stack.user(), &script);
    let revoked = OpenStackCloud::new(config(access, "credential")).unwrap();
    let error = revoked.try_out().await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Permanent, Some(ErrorCode::CloudRefused)));
}
