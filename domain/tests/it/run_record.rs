//! What runs record still reads: one golden file for each form that a record ever had.
//!
//! `BLESS=1 cargo test -p ocim-domain` writes the file of a new record, and of a new form of one. An
//! existing file is never rewritten: what a form lacks must have a default.

use crate::golden::{folder, is_blessing};
use crate::sample::{
    address, appserver_id, at, bulk_id, instance_id, load_balancer_id, run_id, server_id, settings,
};
use crate::shared_server::{mongodb, mysql};
use ocim_domain::instance::OnSuccess;
use ocim_domain::ledger;
use ocim_domain::mail::About;
use ocim_domain::names::RoutedNames;
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::run_record::{
    AssignedServers, BalancerInput, BootId, BulkInput, CreatedServer, DeliveredMail, ExitStatus,
    HeartbeatStatus, InstanceInput, LaunchInput, LifecycleInput, MachineId, MailInput,
    MetadataInput, MoveInput, OrphanInput, PointedNames, ProvisionLoadBalancer, ReachedMachine,
    ResolvedPlaybooks, ServerInput, TestLinkInput, TimerInput, TrafficInput, TrafficPlan, names,
};
use ocim_domain::saga::RunRecord;
use ocim_domain::settings::InstanceSettings;
use ocim_domain::shared_server::Address;
use ocim_domain::site_metadata::WrittenMetadata;
use ocim_domain::timer::{Job, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

/// One of a record, and how it is read.
struct Sample {
    name: &'static str,
    json: Value,
    read: fn(Value) -> Result<Value, serde_json::Error>,
}

fn sample<T: RunRecord>(record: T) -> Sample {
    let read = |json| serde_json::from_value::<T>(json).and_then(serde_json::to_value);
    Sample { name: T::NAME, json: serde_json::to_value(record).unwrap(), read }
}

fn samples() -> Vec<Sample> {
    let text = str::to_owned;
    let then = OnSuccess { activate: true, deactivate_others: false };
    let (instance, appserver, load_balancer) = (instance_id(), appserver_id(1), load_balancer_id());
    let routed = RoutedNames::new(&settings());
    let prefixes = ResourcePrefixes::default();
    let lifecycle = LifecycleInput { instance, launch: true, ignore: vec![ledger::Kind::DnsName] };
    vec![
        sample(BalancerInput { load_balancer }),
        sample(BulkInput { bulk: bulk_id() }),
        sample(InstanceInput { instance }),
        sample(LaunchInput { instance, appserver, number: 1, then, in_bulk: true }),
        sample(lifecycle.clone()),
        sample(MailInput { about: About::LaunchFailed { instance, appserver, launch: run_id(1) } }),
        sample(MetadataInput::Server(ServerInput { server: server_id() })),
        sample(MoveInput::Instance(lifecycle)),
        sample(OrphanInput {
            place: text("test-region"),
            kind: ledger::Kind::Machine,
            key: text("vm-9"),
        }),
        sample(ProvisionLoadBalancer {
            region: text("test-region"),
            domain: text("haproxy.example.com"),
            fragment_name_postfix: text("a1b2"),
            flavor: json!({ "ram": 1024 }),
            image: json!({ "name": "Ubuntu 18.04" }),
            also_listens: Some(([127, 0, 0, 1], 8080).into()),
        }),
        sample(TestLinkInput { instance: instance_id(), link: Uuid::from_u128(0x0f01) }),
        sample(TimerInput { job: Job::DeleteOldLogs }),
        sample(TrafficInput { appserver, deactivate_others: true, force: false }),
        sample(AssignedServers {
            mysql: Some(mysql().server_id()),
            mongodb: Some(mongodb().server_id()),
            rabbitmq: None,
        }),
        sample(BootId(text("5f0c"))),
        sample(CreatedServer { server: server_id(), machine: text("vm-7") }),
        sample(DeliveredMail { refused: 1 }),
        sample(ExitStatus(0)),
        sample(HeartbeatStatus(200)),
        sample(load_balancer),
        sample(MachineId(text("vm-7"))),
        sample(PointedNames(vec![text("lms.example.com")])),
        sample(ReachedMachine { address: address(7), host_keys: vec![text("ssh-ed25519 AAAA")] }),
        sample(ResolvedPlaybooks {
            repository: text("https://github.com/edx/configuration.git"),
            version: text("master"),
            playbook: text("playbooks/openedx_native.yml"),
            commit: Some(text("4b825dc642cb6eb9a060e54bf8d69288fbee4904")),
            common_commit: None,
        }),
        sample(ResourceNames::propose("lms.example.com", &prefixes, instance, 0)),
        sample(run_id(1)),
        sample(server_id()),
        sample(Outcome::LogsDeleted { before: at(0), runs: 2, lines: 7 }),
        sample(TrafficPlan {
            before: vec![appserver_id(1)],
            after: vec![appserver_id(2)],
            names: routed,
        }),
        sample(WrittenMetadata { version: 3, is_changed: true }),
    ]
}

fn file_name(record: &str, form: usize) -> String {
    format!("run.{record}.v{form}.json")
}

/// The golden files of a record, oldest first.
fn files_of(record: &str) -> Vec<String> {
    let all = (1..).map(|form| file_name(record, form));
    all.take_while(|name| folder().join(name).exists()).collect()
}

/// The golden files of all records.
pub(crate) fn golden_names() -> Vec<String> {
    names().flat_map(files_of).collect()
}

#[test]
fn what_runs_recorded_still_reads() {
    let samples = samples();
    let sampled: Vec<_> = samples.iter().map(|sample| sample.name).collect();
    assert_eq!(sampled, names().collect::<Vec<_>>(), "each record has a sample, in their order");
    for Sample { name, json, read } in samples {
        let written = |file: &String| -> Value {
            serde_json::from_str(&std::fs::read_to_string(folder().join(file)).unwrap()).unwrap()
        };
        let known = files_of(name);
        if is_blessing() && known.last().map(written).as_ref() != Some(&json) {
            let text = serde_json::to_string_pretty(&json).unwrap() + "\n";
            std::fs::write(folder().join(file_name(name, known.len() + 1)), text).unwrap();
        }
        let files = files_of(name);
        let newest = files.last().map(written);
        assert_eq!(newest, Some(json), "{name} has another form: see the head of this file");
        for file in &files {
            let again = read(written(file));
            assert!(again.is_ok(), "{file} can't be read any more: {again:?}");
        }
    }
}

#[test]
fn playbooks_are_resolved_anew_once_the_settings_name_others() {
    let settings = settings();
    let resolved = ResolvedPlaybooks {
        repository: settings.configuration_source_repo_url.clone(),
        version: settings.configuration_version.clone(),
        playbook: settings.configuration_playbook_name.clone(),
        commit: None,
        common_commit: None,
    };
    assert!(resolved.fits(&settings));
    let other = || "another".to_owned();
    for changed in [
        InstanceSettings { configuration_source_repo_url: other(), ..settings.clone() },
        InstanceSettings { configuration_version: other(), ..settings.clone() },
        InstanceSettings { configuration_playbook_name: other(), ..settings },
    ] {
        assert!(!resolved.fits(&changed));
    }
}
