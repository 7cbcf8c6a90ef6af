//! What a launch asks of the world outside, beside what the original asked (`tests/vectors`).

use super::stage::{BALANCER, REGION, Stage, somebody};
use ocim::app::{App, DetailsAsk, LaunchAsk};
use ocim::processes::activate_appserver::ACTIVATE_APPSERVER;
use ocim::processes::launch_appserver::LAUNCH_APPSERVER;
use ocim::processes::step::Definition;
use ocim::processes::traffic::DRAIN_MARGIN;
use ocim::processes::world::{Limits, World};
use ocim_adapters::dns::TTL_SECONDS;
use ocim_adapters::playbooks::Source;
use ocim_domain::ids::RunId;
use ocim_domain::saga::Phase;
use ocim_domain::settings::SETTINGS;
use ocim_domain::shared_server::url::parse_server_url;
use ocim_domain::shared_server::{Address, Mongodb, Mysql, NewServer, Rabbitmq};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The original's effects, by the step of ours that has them.
const EFFECTS: [(&str, &[&str]); 9] = [
    ("publish_preliminary_page", &["lb.playbook"]),
    ("write_dns_records", &["gandi"]),
    ("provision_mysql", &["mysql.connect", "mysql"]),
    ("provision_mongodb", &["mongo.connect", "mongo"]),
    ("provision_storage", &["swift", "aws"]),
    ("provision_rabbitmq", &["rabbitmq"]),
    ("create_server", &["nova.create"]),
    ("run_main_playbook", &["ansible"]),
    ("run_common_playbook", &["ansible"]),
];

/// Steps that wait for a capability which Ocim does not have yet, where a site keeps its uploads so.
const WAITING: [(&str, &str); 1] = [("provision_storage", "s3")];

/// Effects of the original without a step of ours: metadata in Consul wait for that capability.
const NO_STEP: [&str; 1] = ["consul"];

struct Recorded {
    file: String,
    inputs: Value,
    outputs: Value,
}

fn recorded() -> Vec<Recorded> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/instances");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 8, "eight instances were recorded");
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut vector: Value = serde_json::from_str(&text).unwrap();
            let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
            Recorded { file, inputs: vector["inputs"].take(), outputs: vector["outputs"].take() }
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// A commit for a version.
fn commit_of(version: &str) -> String {
    format!("{:0>40x}", version.len())
}

impl Recorded {
    /// The original's fields as people would give them to us, in a region of ours.
    fn settings(&self) -> Map<String, Value> {
        let known = SETTINGS.iter().map(|it| it.name);
        let mut settings: Map<_, _> = known
            .filter_map(|field| {
                let value = self.inputs["instance_fields"].get(field)?;
                Some((field.to_owned(), value.clone()))
            })
            .collect();
        settings.insert("name".to_owned(), self.inputs["name"].clone());
        settings.insert("lms_users".to_owned(), self.lms_users());
        // Whole numbers beyond 64 bits are refused here with the advice to quote them.
        let extra = text(&self.inputs["instance_fields"]["configuration_extra_settings"]);
        let big = "123456789012345678901234567890";
        let extra = extra.replace(&format!("BIG: {big}"), &format!("BIG: \"{big}\""));
        settings.insert("configuration_extra_settings".to_owned(), extra.into());
        settings.insert("openstack_region".to_owned(), REGION.into());
        settings
    }

    /// Its LMS users, as the playbook got them.
    fn lms_users(&self) -> Value {
        let users = &self.outputs["appserver"]["lms_user_settings"]["parsed"]["django_users"];
        let user = |user: &Value| {
            json!({
                "username": user["username"],
                "email": user["email"],
                "password_hash": user["initial_password_hash"],
            })
        };
        users.as_array().unwrap().iter().map(user).collect()
    }

    fn configure(&self, world: &mut World) {
        let config = &self.inputs["settings"];
        let deployment = &mut world.deployment;
        deployment.security_group = text(&config["OPENEDX_APPSERVER_SECURITY_GROUP_NAME"]);
        deployment.preliminary_page_ip =
            config["PRELIMINARY_PAGE_SERVER_IP"].as_str().map(str::to_owned);
        let source = Source::Git {
            repository: text(&config["ANSIBLE_APPSERVER_REPO"]),
            version: text(&config["ANSIBLE_APPSERVER_VERSION"]),
        };
        deployment.common_playbook = Some((
            source,
            text(&config["ANSIBLE_APPSERVER_PLAYBOOK"]),
            text(&config["ANSIBLE_APPSERVER_REQUIREMENTS_PATH"]),
        ));
    }

    /// A world in which its first launch has succeeded.
    async fn launch(&self) -> (Stage, RunId) {
        let stage = Stage::without_instance(|world| self.configure(world)).await;
        self.register_servers(stage.app()).await;
        let created =
            stage.app().create_instance(&somebody(), self.settings(), DetailsAsk::default()).await;
        let instance = created.unwrap_or_else(|error| panic!("{}: {error:?}", self.file)).value;
        for domain in self.outputs["names"]["load_balanced_domains"].as_array().unwrap() {
            // As browsers ask for it.
            stage.answer(&text(domain).to_lowercase(), None);
        }
        for (repository, version) in self.versions() {
            stage.playbooks.move_version(&repository, &version, &commit_of(&version));
        }
        let asked = stage.app().launch_appserver(&somebody(), instance, LaunchAsk::default()).await;
        let run = asked.unwrap().value.run;
        stage.start(run).await;
        assert_eq!(stage.drive(run).await.phase, Phase::Completed, "{}", self.file);
        (stage, run)
    }

    /// The shared servers that it was given.
    async fn register_servers(&self, app: &App) {
        let fields = &self.inputs["instance_fields"];
        let host = |server: &Value| text(&server["hostname"]);
        let port = |server: &Value| u16::try_from(server["port"].as_u64().unwrap()).unwrap();
        let server = &fields["mysql_server"];
        let mysql = Mysql { host: host(server), port: port(server), tls: false };
        add_server(app, mysql, &server["username"], &server["password"]).await;
        let set = &fields["mongodb_replica_set"];
        let one = [fields["mongodb_server"].clone()];
        let members = set["members"].as_array().map_or(&one[..], Vec::as_slice);
        let primary =
            members.iter().find(|member| member["primary"] == true).unwrap_or(&members[0]);
        let mongodb = Mongodb {
            hosts: members.iter().map(host).collect(),
            primary: host(primary),
            port: port(primary),
            replica_set: set["name"].as_str().map(str::to_owned),
            tls: false,
        };
        add_server(app, mongodb, &primary["username"], &primary["password"]).await;
        let server = &fields["rabbitmq_server"];
        let rabbitmq = Rabbitmq {
            api_url: text(&server["api_url"]),
            instance_host: text(&server["instance_host"]),
            instance_port: u16::try_from(server["instance_port"].as_u64().unwrap()).unwrap(),
        };
        add_server(app, rabbitmq, &server["admin_username"], &server["admin_password"]).await;
    }

    /// As many things as the original made, on the same servers; what they are is compared beside the
    /// domain.
    fn compare_shared_servers(&self, stage: &Stage) {
        let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for ((server, id), _) in stage.servers.held() {
            made.entry(server).or_default().insert(format!("{} {}", id.kind, id.name));
        }
        let outputs = &self.outputs;
        let connect = &outputs["mysql_provision"]["connect"][0];
        let mut expected =
            BTreeMap::from([(format!("MySQL server {}", text(&connect["host"])), 24)]);
        let url = text(&outputs["mongo_provision"][0]["url"]);
        let url = parse_server_url(&url).unwrap();
        expected.insert(format!("MongoDB server {}", url.host), 4);
        let url = text(&outputs["rabbitmq_provision"][0]["url"]);
        let (url, _) = url.split_once("/api/").unwrap();
        expected.insert(format!("RabbitMQ server {url}"), 3);
        if let Some(called) = outputs["swift_provision"].as_array().unwrap().first() {
            let url = text(&called["auth"]["os_auth_url"]);
            expected.insert(format!("Swift at {url}"), 1);
        }
        let made: BTreeMap<_, _> =
            made.into_iter().map(|(server, items)| (server, items.len())).collect();
        assert_eq!(made, expected, "{}", self.file);
    }

    /// What the original took its playbooks from.
    fn versions(&self) -> Vec<(String, String)> {
        let runs = self.outputs["playbook_runs"][0]["playbooks"].as_array().unwrap().iter();
        runs.map(|run| (text(&run["source_repo"]), text(&run["version"]))).collect()
    }

    fn compare_machine(&self, asked: &Value) {
        let theirs = &self.outputs["nova_create"][0];
        for (ours, field) in [
            ("flavor", "flavor_selector"),
            ("image", "image_selector"),
            ("keyname", "key_name"),
            ("security_groups", "security_groups"),
        ] {
            assert_eq!(asked[ours], theirs[field], "{} {field}", self.file);
        }
        // Machines bear the appserver's id here, and a number there.
        let theirs = text(&theirs["name"]).rsplit_once('-').unwrap().0.to_owned();
        let name = text(&asked["name"]);
        let (stem, id) = name.split_at(theirs.len());
        assert_eq!(stem, theirs, "{}", self.file);
        assert!(id.starts_with('-') && id[1..].parse::<uuid::Uuid>().is_ok(), "{id}");
    }

    fn compare_playbooks(&self, stage: &Stage) {
        let theirs = &self.outputs["playbook_runs"][0];
        let address = stage.cloud.machines()[0].address.clone().unwrap();
        let started = stage.playbooks.list_started();
        let ours: Vec<_> = started
            .iter()
            .map(|run| {
                let Source::Git { repository, version } = &run.source else { panic!("{run:?}") };
                json!({
                    "playbook_path": run.playbook,
                    "requirements_path": run.requirements,
                    "source_repo": repository,
                    "version": version,
                })
            })
            .collect();
        let mut expected = theirs["playbooks"].as_array().unwrap().clone();
        for run in &mut expected {
            run.as_object_mut().unwrap().remove("variables");
            // A version is played at the commit that it meant when the launch began.
            run["version"] = commit_of(&text(&run["version"])).into();
        }
        assert_eq!(ours, expected, "{}", self.file);
        let users = &self.outputs["appserver"]["lms_user_settings"]["parsed"];
        for run in &started {
            // Each gets its own variables, and none of the others'.
            let is_main = run.variables.get("EDXAPP_LMS_BASE").is_some();
            let is_common = run.variables.get("consul_servers").is_some();
            let is_users = run.playbook.ends_with("manage_edxapp_users_and_groups.yml");
            assert_eq!(u8::from(is_main) + u8::from(is_common) + u8::from(is_users), 1);
            if is_users {
                let mut own = run.variables.clone();
                own.as_object_mut().unwrap().remove("OCIM_RUN_KEY");
                own["ignore_user_creation_errors"] = users["ignore_user_creation_errors"].clone();
                assert_eq!(own, *users, "{}", self.file);
            }
            let target = &run.target;
            assert_eq!((&target.address, target.groups.len()), (&address, 2), "{}", self.file);
            assert_eq!(target.address.ssh_user, theirs["user"], "{}", self.file);
            let (group, parent) = (&target.groups[0], &target.groups[1]);
            let ip = text(&self.inputs["vm_public_ips"][0]);
            let inventory = format!("[{group}]\n{ip}\n[{parent}:children]\n{group}");
            assert_eq!(inventory, text(&self.outputs["inventory"]), "{}", self.file);
            assert_eq!(inventory, text(&theirs["inventory"]), "{}", self.file);
        }
    }

    fn compare_names(&self, stage: &Stage) {
        let balancer = text(&self.inputs["load_balancer"]["domain"]);
        let zones = BTreeMap::from([
            (1001, "example.com"),
            (1002, "opencraft.hosting"),
            (1003, "opencraft.co.uk"),
        ]);
        let mut expected = BTreeMap::new();
        for record in self.outputs["dns_records_on_spawn"].as_array().unwrap() {
            assert_eq!((&record["type"], &record["ttl"]), (&"CNAME".into(), &TTL_SECONDS.into()));
            assert_eq!(
                record["value"],
                format!("{}.", balancer.trim_end_matches('.')),
                "{}",
                self.file
            );
            let zone = zones[&record["zone"].as_u64().unwrap()];
            expected.insert(format!("{}.{zone}", text(&record["name"])), BALANCER.to_owned());
        }
        // The original writes its records in lower case; the DNS does not tell them apart.
        let aliases = stage.dns.aliases().into_iter();
        let ours: BTreeMap<_, _> =
            aliases.map(|(name, target)| (name.to_lowercase(), target)).collect();
        assert_eq!(ours, expected, "{}", self.file);
    }

    async fn compare_order(&self, stage: &Stage, run: RunId) {
        let history = stage.history(run).await;
        let mut ours: Vec<&str> = vec![];
        for (kind, step) in &history {
            let storage = &self.inputs["instance_fields"]["storage_type"];
            let is_waiting = WAITING.iter().any(|(path, of)| path == step && storage == of);
            if is_waiting {
                assert_ne!(kind, "saga.step_done", "{step} is there: take it off the list");
            }
            if kind == "saga.step_done" || (kind == "saga.step_skipped" && is_waiting) {
                ours.extend(EFFECTS.iter().filter(|(path, _)| path == step).map(|it| it.0));
            }
        }
        let step_of = |effect: &str| {
            let found = EFFECTS.iter().find(|(_, effects)| effects.contains(&effect));
            found.unwrap_or_else(|| panic!("{}: nobody does {effect}", self.file)).0
        };
        let order = self.outputs["spawn_effect_order"].as_array().unwrap().iter().map(text);
        let mut theirs: Vec<&str> =
            order.filter(|it| !NO_STEP.contains(&it.as_str())).map(|it| step_of(&it)).collect();
        theirs.dedup();
        // Both playbooks are one of the original's effects, and what a site does not need (storage
        // in files) the original does not touch.
        ours.retain(|step| *step != "run_common_playbook" && theirs.contains(step));
        assert_eq!(ours, theirs, "{}", self.file);
    }
}

async fn add_server<A: Address>(app: &App, address: A, username: &Value, password: &Value) {
    let server = NewServer {
        name: String::new(),
        description: String::new(),
        address,
        username: text(username),
        password: text(password),
        accepts_new_clients: true,
    };
    app.add_server(&somebody(), server).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_launch_asks_the_world_what_the_original_asked_in_its_order() {
    for recorded in recorded() {
        let (stage, run) = recorded.launch().await;
        let requested = stage.events(&["server.requested"]).await;
        recorded.compare_machine(&requested[0].data);
        recorded.compare_playbooks(&stage);
        recorded.compare_names(&stage);
        recorded.compare_shared_servers(&stage);
        recorded.compare_order(&stage, run).await;
    }
}

fn time_of(definition: &Definition, path: &str) -> Duration {
    let row = definition.steps.iter().find(|row| row.path == path).unwrap();
    (row.timeout)(&Limits::default())
}

#[test]
fn waits_are_the_originals() {
    let limits = Limits::default();
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(time_of(&LAUNCH_APPSERVER, "await_server"), hours(1));
    assert_eq!(time_of(&LAUNCH_APPSERVER, "await_ssh"), hours(1));
    assert_eq!(time_of(&LAUNCH_APPSERVER, "await_reboot"), hours(1));
    assert_eq!(time_of(&LAUNCH_APPSERVER, "await_heartbeat"), Duration::from_secs(1800));
    assert_eq!(limits.drain_wait, Duration::from_secs(60));
    let drain = time_of(&ACTIVATE_APPSERVER, "drain_connections");
    assert_eq!(drain, limits.drain_wait + DRAIN_MARGIN.to_std().unwrap());
    assert_eq!(limits.failed_server_kept, hours(48));
    assert_eq!(limits.line_timeout, Duration::from_secs(1500));
    assert_eq!(limits.playbook_timeout, Duration::from_secs(9000));
    assert_eq!(limits.shutdown_wait, Duration::from_secs(600));
    assert_eq!(TTL_SECONDS, 1200);
}
