//! Runs to be disturbed, and what is left once each of them is at rest.

mod begin;

pub(crate) use begin::*;

use super::former::FORMER_LAUNCH;
use super::stage::{BALANCER, REGION, SITE, Stage, somebody};
use ocim::app::LaunchAsk;
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim::app::load_balancers::load_balancer_id;
use ocim::processes::activate_appserver::ACTIVATE_APPSERVER;
use ocim::processes::archive_instance::ARCHIVE_INSTANCE;
use ocim::processes::change_maintenance::CHANGE_MAINTENANCE;
use ocim::processes::clean_up_appserver::CLEAN_UP_APPSERVER;
use ocim::processes::deactivate_appserver::DEACTIVATE_APPSERVER;
use ocim::processes::delete_instance::DELETE_INSTANCE;
use ocim::processes::delete_orphan::DELETE_ORPHAN;
use ocim::processes::launch_appserver::LAUNCH_APPSERVER;
use ocim::processes::prepare_load_balancer::PREPARE_LOAD_BALANCER;
use ocim::processes::provision_load_balancer::PROVISION_LOAD_BALANCER;
use ocim::processes::publish_metadata::PUBLISH_METADATA;
use ocim::processes::publish_test_link::PUBLISH_TEST_LINK;
use ocim::processes::restart_appserver::RESTART_APPSERVER;
use ocim::processes::run_bulk_operation::RUN_BULK_OPERATION;
use ocim::processes::run_timer::RUN_TIMER;
use ocim::processes::send_mail::SEND_MAIL;
use ocim::processes::step::Definition;
use ocim::processes::terminate_appserver::TERMINATE_APPSERVER;
use ocim::processes::unarchive_instance::UNARCHIVE_INSTANCE;
use ocim::processes::update_monitors::UPDATE_MONITORS;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::fragment::probe_host;
use ocim_domain::ids::{RunId, ServerId};
use ocim_domain::instance::{self, Attempts, Instance, OnSuccess};
use ocim_domain::ledger::{Leaves, ResourceKey};
use ocim_domain::load_balancer::LoadBalancer;
use ocim_domain::region::{Region, region_id};
use ocim_domain::saga::{Phase, Run, step_key};
use ocim_domain::server::{self, Server};
use std::collections::{BTreeMap, BTreeSet};

/// A launch whose Appserver takes the place of all others.
pub(crate) const ACTIVE: LaunchAsk = LaunchAsk {
    queue: false,
    then: OnSuccess { activate: true, deactivate_others: true },
    attempts: Attempts::ONE,
};

/// A process in a certain situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Launch,
    /// The cloud can't build the machine.
    LaunchWithoutMachine,
    /// The main playbook ends with an error.
    LaunchMisconfigured,
    LaunchCancelled,
    /// By the process as it was before regions had slots.
    FormerLaunch,
    FormerLaunchCancelled,
    /// Nothing served before.
    ActivateFirst,
    /// Takes over from another one.
    ActivateSecond,
    /// Somebody else answers under the probe domain.
    ActivateUnproven,
    ActivateCancelled,
    Deactivate,
    DeactivateCancelled,
    Terminate,
    TerminateCancelled,
    Provision,
    ProvisionCancelled,
    CleanUp,
    CleanUpCancelled,
    /// Of one that runs, is old, and older than another one that runs.
    CleanUpObsolete,
    DeleteOrphan,
    DeleteOrphanCancelled,
    /// A fragment is not as it was sent, and another is nobody's.
    Prepare,
    PrepareCancelled,
    Archive,
    ArchiveCancelled,
    /// What was archived, without a launch.
    Unarchive,
    UnarchiveCancelled,
    Delete,
    DeleteCancelled,
    /// One instance whose settings can't be changed after its SQL, and one that is not there.
    Bulk,
    /// While it waits for the time of its second batch.
    BulkCancelled,
    /// One serves, and visitors get a page.
    Maintain,
    MaintainCancelled,
    /// Of one that serves beside another.
    Restart,
    RestartCancelled,
    /// To one that does not serve, beside one that does.
    Link,
    LinkCancelled,
    /// About a launch that failed.
    SendMail,
    SendMailCancelled,
    /// Logs of runs that ended long ago are deleted.
    RunTimer,
    RunTimerCancelled,
    /// Two that run are obsolete.
    RunCleanUp,
    /// One has begun to serve.
    UpdateMonitors,
    UpdateMonitorsCancelled,
    /// They are there, and the site is taken out of service for a while.
    MuteMonitors,
    /// One has begun to serve.
    PublishMetadata,
    PublishMetadataCancelled,
    /// The site was archived.
    WithdrawMetadata,
}

impl Scenario {
    pub(crate) const ALL: [Self; 48] = [
        Self::Launch,
        Self::LaunchWithoutMachine,
        Self::LaunchMisconfigured,
        Self::LaunchCancelled,
        Self::FormerLaunch,
        Self::FormerLaunchCancelled,
        Self::ActivateFirst,
        Self::ActivateSecond,
        Self::ActivateUnproven,
        Self::ActivateCancelled,
        Self::Deactivate,
        Self::DeactivateCancelled,
        Self::Terminate,
        Self::TerminateCancelled,
        Self::Provision,
        Self::ProvisionCancelled,
        Self::CleanUp,
        Self::CleanUpCancelled,
        Self::CleanUpObsolete,
        Self::DeleteOrphan,
        Self::DeleteOrphanCancelled,
        Self::Prepare,
        Self::PrepareCancelled,
        Self::Archive,
        Self::ArchiveCancelled,
        Self::Unarchive,
        Self::UnarchiveCancelled,
        Self::Delete,
        Self::DeleteCancelled,
        Self::Bulk,
        Self::BulkCancelled,
        Self::Maintain,
        Self::MaintainCancelled,
        Self::Restart,
        Self::RestartCancelled,
        Self::Link,
        Self::LinkCancelled,
        Self::SendMail,
        Self::SendMailCancelled,
        Self::RunTimer,
        Self::RunTimerCancelled,
        Self::RunCleanUp,
        Self::UpdateMonitors,
        Self::UpdateMonitorsCancelled,
        Self::MuteMonitors,
        Self::PublishMetadata,
        Self::PublishMetadataCancelled,
        Self::WithdrawMetadata,
    ];

    /// Those that come to every step of their process; one for each.
    pub(crate) const FORWARD: [Self; 20] = [
        Self::Launch,
        Self::FormerLaunch,
        Self::ActivateSecond,
        Self::Deactivate,
        Self::Terminate,
        Self::Provision,
        Self::CleanUp,
        Self::DeleteOrphan,
        Self::Prepare,
        Self::Archive,
        Self::Unarchive,
        Self::Delete,
        Self::Bulk,
        Self::Maintain,
        Self::Restart,
        Self::Link,
        Self::SendMail,
        Self::RunTimer,
        Self::UpdateMonitors,
        Self::PublishMetadata,
    ];

    /// Those that undo every step of their process which has an undo; one for each.
    pub(crate) const BACK: [Self; 20] = [
        Self::LaunchCancelled,
        Self::FormerLaunchCancelled,
        Self::ActivateCancelled,
        Self::DeactivateCancelled,
        Self::TerminateCancelled,
        Self::ProvisionCancelled,
        Self::CleanUpCancelled,
        Self::DeleteOrphanCancelled,
        Self::PrepareCancelled,
        Self::ArchiveCancelled,
        Self::UnarchiveCancelled,
        Self::DeleteCancelled,
        Self::BulkCancelled,
        Self::MaintainCancelled,
        Self::RestartCancelled,
        Self::LinkCancelled,
        Self::SendMailCancelled,
        Self::RunTimerCancelled,
        Self::UpdateMonitorsCancelled,
        Self::PublishMetadataCancelled,
    ];

    /// The process.
    pub(crate) fn definition(self) -> &'static Definition {
        match self {
            Self::Launch
            | Self::LaunchWithoutMachine
            | Self::LaunchMisconfigured
            | Self::LaunchCancelled => &LAUNCH_APPSERVER,
            Self::FormerLaunch | Self::FormerLaunchCancelled => &FORMER_LAUNCH,
            Self::ActivateFirst
            | Self::ActivateSecond
            | Self::ActivateUnproven
            | Self::ActivateCancelled => &ACTIVATE_APPSERVER,
            Self::Deactivate | Self::DeactivateCancelled => &DEACTIVATE_APPSERVER,
            Self::Terminate | Self::TerminateCancelled => &TERMINATE_APPSERVER,
            Self::Provision | Self::ProvisionCancelled => &PROVISION_LOAD_BALANCER,
            Self::CleanUp | Self::CleanUpCancelled | Self::CleanUpObsolete => &CLEAN_UP_APPSERVER,
            Self::DeleteOrphan | Self::DeleteOrphanCancelled => &DELETE_ORPHAN,
            Self::Prepare | Self::PrepareCancelled => &PREPARE_LOAD_BALANCER,
            Self::Archive | Self::ArchiveCancelled => &ARCHIVE_INSTANCE,
            Self::Unarchive | Self::UnarchiveCancelled => &UNARCHIVE_INSTANCE,
            Self::Delete | Self::DeleteCancelled => &DELETE_INSTANCE,
            Self::Bulk | Self::BulkCancelled => &RUN_BULK_OPERATION,
            Self::Maintain | Self::MaintainCancelled => &CHANGE_MAINTENANCE,
            Self::Restart | Self::RestartCancelled => &RESTART_APPSERVER,
            Self::Link | Self::LinkCancelled => &PUBLISH_TEST_LINK,
            Self::SendMail | Self::SendMailCancelled => &SEND_MAIL,
            Self::RunTimer | Self::RunTimerCancelled | Self::RunCleanUp => &RUN_TIMER,
            Self::UpdateMonitors | Self::UpdateMonitorsCancelled | Self::MuteMonitors => {
                &UPDATE_MONITORS
            }
            Self::PublishMetadata | Self::PublishMetadataCancelled | Self::WithdrawMetadata => {
                &PUBLISH_METADATA
            }
        }
    }

    /// A run of it that has not begun; a cancelled one is at the last step before its pivot.
    pub(crate) async fn prepare(self) -> (Stage, RunId) {
        self.prepare_on(Stage::new().await).await
    }

    /// As [`Scenario::prepare`], on a stage of one's own.
    pub(crate) async fn prepare_on(self, mut stage: Stage) -> (Stage, RunId) {
        if self.definition().name == PUBLISH_METADATA.name {
            stage.tell_others();
        }
        stage.add_lms_user().await;
        let run = self.begin(&stage).await;
        let last = match self {
            Self::LaunchCancelled | Self::FormerLaunchCancelled => "await_heartbeat",
            Self::ActivateCancelled => "switch_traffic",
            Self::DeactivateCancelled
            | Self::TerminateCancelled
            | Self::ArchiveCancelled
            | Self::DeleteCancelled => "withdraw_traffic",
            Self::UnarchiveCancelled => "write_dns_records",
            Self::MaintainCancelled => "change_page",
            Self::RestartCancelled => "note_boot",
            Self::LinkCancelled => "claim_traffic",
            Self::ProvisionCancelled => "install_balancer",
            Self::CleanUpCancelled => "release_traffic",
            Self::DeleteOrphanCancelled => "confirm_orphan",
            Self::PrepareCancelled => "apply_fragments",
            Self::BulkCancelled => "advance_instances",
            Self::SendMailCancelled => "request_mail",
            Self::RunTimerCancelled => "announce_work",
            Self::UpdateMonitorsCancelled => "announce_pages",
            Self::PublishMetadataCancelled => "compose_metadata",
            _ => return (stage, run),
        };
        stage.drive_until(run, |run| run.steps.contains_key(last)).await;
        stage.cancel(run).await;
        (stage, run)
    }

    async fn begin(self, stage: &Stage) -> RunId {
        match self {
            Self::Launch | Self::LaunchCancelled => stage.begin_launch(ACTIVE).await.run,
            Self::FormerLaunch | Self::FormerLaunchCancelled => {
                let asked = stage.app().launch_appserver(&somebody(), stage.instance, ACTIVE).await;
                let run = asked.unwrap().value.run;
                stage.start_version(run, FORMER_LAUNCH.version).await;
                run
            }
            Self::LaunchWithoutMachine => {
                stage.cloud.set_boot_fault(Some("No valid host was found."));
                stage.begin_launch(LaunchAsk::default()).await.run
            }
            Self::LaunchMisconfigured => {
                let end = RunState::Exited(2);
                stage.playbooks.set_default_script(Script { end, ..Script::default() });
                stage.begin_launch(LaunchAsk::default()).await.run
            }
            Self::ActivateFirst => {
                let launched = stage.launch().await;
                stage.begin_activation(launched.appserver, true).await
            }
            Self::ActivateSecond | Self::ActivateUnproven | Self::ActivateCancelled => {
                let first = stage.launch_active().await;
                let second = stage.launch().await;
                if self == Self::ActivateUnproven {
                    let other = Some(first.appserver.to_string());
                    stage.answer(&probe_host(stage.instance, 2), other);
                }
                stage.begin_activation(second.appserver, true).await
            }
            Self::Deactivate | Self::DeactivateCancelled => {
                let first = stage.launch_active().await;
                stage.launch_active().await;
                stage.begin_deactivation(first.appserver).await
            }
            Self::Terminate | Self::TerminateCancelled => {
                let first = stage.launch_active().await;
                stage.launch_active().await;
                stage.begin_termination(first.appserver).await
            }
            Self::Provision | Self::ProvisionCancelled => begin_provision(stage).await,
            Self::CleanUp | Self::CleanUpCancelled => begin_clean_up(stage).await,
            Self::DeleteOrphan | Self::DeleteOrphanCancelled => begin_orphan_deletion(stage).await,
            Self::Prepare | Self::PrepareCancelled => begin_preparation(stage).await,
            Self::Archive | Self::ArchiveCancelled => {
                launch_two(stage).await;
                stage.begin_change(LifecycleAsk::Archive).await
            }
            Self::Unarchive | Self::UnarchiveCancelled => {
                launch_two(stage).await;
                let archive = stage.begin_change(LifecycleAsk::Archive).await;
                stage.drive(archive).await;
                stage.begin_change(LifecycleAsk::Unarchive { launch: false }).await
            }
            Self::Delete | Self::DeleteCancelled => {
                launch_two(stage).await;
                stage.begin_change(LifecycleAsk::Delete(confirmed())).await
            }
            Self::Bulk => begin_bulk(stage, 0).await,
            Self::BulkCancelled => begin_bulk(stage, 60).await,
            Self::Maintain | Self::MaintainCancelled => {
                launch_two(stage).await;
                stage.begin_maintenance(true).await
            }
            Self::Restart | Self::RestartCancelled => {
                let first = stage.launch_active().await;
                stage.launch_active().await;
                stage.begin_restart(first.appserver).await
            }
            Self::Link | Self::LinkCancelled => {
                stage.launch_active().await;
                let second = stage.launch().await;
                stage.begin_link(second.appserver).await.run
            }
            Self::SendMail | Self::SendMailCancelled => begin_mail(stage).await,
            Self::RunTimer | Self::RunTimerCancelled => begin_timer(stage).await,
            Self::CleanUpObsolete => begin_obsolete(stage).await,
            Self::RunCleanUp => begin_daily_clean_up(stage).await,
            Self::UpdateMonitors | Self::UpdateMonitorsCancelled => begin_monitors(stage).await,
            Self::MuteMonitors => begin_muting(stage).await,
            Self::PublishMetadata | Self::PublishMetadataCancelled => begin_publishing(stage).await,
            Self::WithdrawMetadata => begin_withdrawing(stage).await,
        }
    }
}

/// A deletion of the stage's instance that ignores nothing.
pub(crate) fn confirmed() -> DeleteAsk {
    DeleteAsk { confirmation: SITE.to_owned(), ignore: vec![] }
}

/// One Appserver as it is at the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AppserverEnd {
    pub(crate) status: appserver::Status,
    pub(crate) active: bool,
    pub(crate) server: server::Status,
    pub(crate) server_gone: bool,
}

/// What is left: the same with and without disturbance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) phase: Phase,
    /// By number; one that was never frozen is missing.
    pub(crate) appservers: BTreeMap<usize, AppserverEnd>,
    pub(crate) launches_in_queue: usize,
    /// Whether a run keeps others from moving the site's traffic.
    pub(crate) traffic_claimed: bool,
    /// Runs in the region's slots, and in the line for them.
    pub(crate) in_region: usize,
    /// Names as the balancer knows them.
    pub(crate) serving: Vec<String>,
    /// Those that the instance's log says receive traffic.
    pub(crate) recorded_serving: Vec<String>,
    /// The consoles of what exists in the cloud: each tells its number of boots.
    pub(crate) machines: Vec<String>,
    /// Machines ever made for the run's key.
    pub(crate) created: u32,
    /// Times that each playbook step's processes were started.
    pub(crate) starts: Vec<usize>,
    pub(crate) playbooks_running: usize,
    /// Lines of playbooks' output in the run's log.
    pub(crate) output_lines: usize,
    pub(crate) balancers: usize,
    /// Whether the balancer has what the log says, and nothing else of ours.
    pub(crate) is_as_recorded: bool,
    /// Machines that were reported as nobody's.
    pub(crate) orphans: usize,
    /// How far the instance is in its life, and whether a run is at work on that.
    pub(crate) stage: (instance::Stage, bool),
    /// Whether visitors are to get a page, whether a change of that is under way, and whether they do.
    pub(crate) maintenance: (bool, bool, bool),
    /// Its names in the DNS.
    pub(crate) names: Vec<String>,
    /// The pages that are watched, once for each monitor, and whether all of them are muted.
    pub(crate) monitored: (Vec<String>, bool),
    /// What others read of the site, by key.
    pub(crate) metadata: BTreeMap<String, Vec<u8>>,
    /// The mails that people have, by their ids: a repetition is the same mail.
    pub(crate) mails: BTreeSet<String>,
    /// What its ledger has; of what is on shared servers, where accounts' names are drawn, the kinds alone.
    pub(crate) ledger: Vec<ResourceKey>,
    /// How much shared servers have.
    pub(crate) held: usize,
    /// Kinds of all that was recorded beside runs, applied fragments and renewed reservations, in
    /// order.
    pub(crate) facts: Vec<String>,
}

const PLAYBOOK_STEPS: [&str; 3] = ["run_main_playbook", "run_common_playbook", "install_balancer"];

/// What is repeated by whoever comes back for it: a reservation of which nothing came yet, too.
const REPEATED: [&str; 2] = ["load_balancer.fragment_applied", "name.renewed"];

/// Looks at all that a run may have touched.
pub(crate) async fn look(stage: &Stage, id: RunId, run: &Run) -> Outcome {
    let journal = stage.app().journal();
    let instance = journal.load::<Instance>(&stage.instance.stream()).await.unwrap().state;
    let instance = instance.present().unwrap().clone();
    let region = journal.load::<Region>(&region_id(REGION).stream()).await.unwrap().state;
    let mut appservers = BTreeMap::new();
    for (index, appserver) in instance.appservers.iter().enumerate() {
        let loaded = journal.load::<Appserver>(&appserver.stream()).await.unwrap().state;
        let Some(present) = loaded.present() else { continue };
        let server = load_server(stage, present.launched.server).await;
        let (status, active) = (present.status, present.active);
        let server_gone = present.server_gone;
        appservers.insert(index + 1, AppserverEnd { status, active, server, server_gone });
    }
    let mut machines = vec![];
    for machine in stage.cloud.machines() {
        machines.push(stage.cloud.read_console(&machine.id).await.unwrap());
    }
    let number = |id| instance.appservers.iter().position(|known| known == id).unwrap() + 1;
    let mut recorded_serving: Vec<_> =
        instance.active.iter().map(|id| format!("appserver-{}", number(id))).collect();
    recorded_serving.sort();
    let ledger = stage.app().ledger_of(stage.instance).await.unwrap();
    let lines = stage.world.logs.read_lines(id, 1, usize::MAX).await.unwrap();
    let balancer = load_balancer_id(BALANCER).stream();
    let balancer = journal.load::<LoadBalancer>(&balancer).await.unwrap().state.unwrap();
    let fragments = stage.balancer.fragments(BALANCER).into_iter();
    let digests = fragments.filter_map(|(name, fragment)| Some((name, fragment.digest()?)));
    let is_as_recorded = balancer.compare_fragments(&digests.collect()).is_empty();
    let is_fact = |kind: &String| !kind.starts_with("saga.") && !REPEATED.contains(&kind.as_str());
    let facts = stage.events(&[]).await.into_iter().map(|event| event.kind);
    Outcome {
        phase: run.phase.clone(),
        appservers,
        launches_in_queue: instance.launches.len(),
        traffic_claimed: instance.traffic_run.is_some(),
        in_region: region.running.len() + region.queue.len(),
        serving: stage.balancer.serving(BALANCER, SITE),
        recorded_serving,
        machines,
        created: ["create_server", "create_machine"]
            .map(|step| stage.cloud.count_created(step_key(id, step)))
            .iter()
            .sum(),
        starts: PLAYBOOK_STEPS
            .map(|step| stage.playbooks.count_starts(step_key(id, step)))
            .to_vec(),
        playbooks_running: stage.playbooks.list_running().len(),
        output_lines: lines.iter().filter(|line| line.line.text == "PLAY RECAP").count(),
        balancers: stage.app().list_registered_balancers().await.unwrap().len(),
        is_as_recorded,
        orphans: stage.app().list_orphans(REGION).await.unwrap().len(),
        stage: (instance.lifecycle.stage, instance.lifecycle.run.is_some()),
        maintenance: (
            instance.maintenance.is_some(),
            instance.maintenance_change.is_some(),
            stage.balancer.find_page("192.0.2.1:80".parse().unwrap(), SITE).is_some(),
        ),
        names: stage.dns.aliases().into_keys().chain(stage.dns.addresses().into_keys()).collect(),
        monitored: monitored(stage),
        metadata: stage.metadata.part(&stage.instance.0.to_string()),
        mails: stage.mailer.ids(),
        ledger: ledger.into_iter().map(|entry| without_drawn_names(entry.resource.id)).collect(),
        held: stage.servers.held().len(),
        facts: facts.filter(is_fact).collect(),
    }
}

fn without_drawn_names(id: ResourceKey) -> ResourceKey {
    match id.kind.leaves() {
        Leaves::WithDeletion => ResourceKey { key: String::new(), ..id },
        Leaves::WithArchive | Leaves::Never => id,
    }
}

fn monitored(stage: &Stage) -> (Vec<String>, bool) {
    let monitors = stage.monitoring.monitors();
    let is_muted = !monitors.is_empty() && monitors.values().all(|monitor| monitor.is_muted);
    let mut urls: Vec<_> = monitors.into_values().map(|monitor| monitor.url).collect();
    urls.sort();
    (urls, is_muted)
}

async fn load_server(stage: &Stage, id: ServerId) -> server::Status {
    let loaded = stage.app().journal().load::<Server>(&id.stream()).await.unwrap().state;
    loaded.present().unwrap().status
}

/// What must hold at the end of every run, disturbed or not.
pub(crate) fn assert_sound(outcome: &Outcome, cell: &str) {
    assert!(outcome.phase.is_over(), "{cell}: {outcome:#?}");
    assert_eq!(outcome.launches_in_queue, 0, "{cell}: the queue is not empty");
    assert!(!outcome.stage.1, "{cell}: a run is still at work on the instance");
    assert!(!outcome.traffic_claimed, "{cell}: the traffic is still claimed");
    assert_eq!(outcome.in_region, 0, "{cell}: a slot is still taken");
    assert_eq!(outcome.playbooks_running, 0, "{cell}: a playbook was left");
    assert!(outcome.created <= 1, "{cell}: machines were made twice");
    assert!(outcome.starts.iter().all(|starts| *starts <= 1), "{cell}: a playbook ran twice");
    // Without anybody the balancer shows the preliminary page.
    let shown: Vec<_> =
        outcome.serving.iter().filter(|name| name.starts_with("appserver-")).cloned().collect();
    let (is_away, is_changing, has_page) = outcome.maintenance;
    assert_eq!((is_away, is_changing), (has_page, false), "{cell}: visitors get something else");
    let serving = if is_away { &vec![] } else { &outcome.recorded_serving };
    assert_eq!(shown, *serving, "{cell}: traffic is not where it is said to be");
    for (number, end) in &outcome.appservers {
        assert_eq!(
            end.server_gone,
            end.server == server::Status::Terminated,
            "{cell}: appserver {number} and its server differ: {end:?}"
        );
    }
    let live = outcome.appservers.values().filter(|end| !end.server_gone).count();
    let balancers = outcome.balancers - 1;
    assert_eq!(outcome.machines.len(), live + balancers + outcome.orphans, "{cell}: {outcome:#?}");
}
