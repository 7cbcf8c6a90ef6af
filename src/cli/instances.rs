//! `ocim instance …`

use super::clean_up::{CleanUpRuleArgs, change_clean_up};
use super::client::Client;
use super::dns_records::list_records;
use super::error::{CliError, Kind};
use super::list::ListArgs;
use super::maintenance::{MaintenanceCommand, change_maintenance};
use super::orders::OrderArgs;
use super::output::{Output, time};
use super::sites::open_site;
use super::timeline::{TimelineArgs, print_timeline};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use ocim_api_spec::{
    ArchiveInstance, ChangeDetails, CreatedInstance, DeleteInstance, HoldInstance, Instance,
    InstanceDetail, InstanceLifecycle, LifecyclePlan, ReferenceKind, ReleaseHold, ResourceKind,
    RestoreSettings, SettingChange, SettingsHistory, UnarchiveInstance,
};
use ocim_domain::settings::SETTINGS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What one may do with instances.
#[derive(Debug, Subcommand)]
pub(super) enum InstanceCommand {
    /// Make an instance; nothing is deployed until an appserver is launched
    Create {
        /// Display name
        #[arg(long)]
        name: Option<String>,
        /// Makes its domain below the configured base domain
        #[arg(long)]
        sub_domain: Option<String>,
        /// Why; it stands in the timeline
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        noted: Noted,
        #[command(flatten)]
        settings: Settings,
    },
    /// Note whose an instance is, notes and tags; no appserver is made from them
    Details {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        #[command(flatten)]
        noted: Noted,
        /// A tag that it is not to have; may be given several times
        #[arg(long, value_name = "TAG")]
        untag: Vec<String>,
        /// Why; it stands in the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// List instances, newest first; archived and deleted ones only where asked for
    List {
        /// Only archived ones
        #[arg(long, conflicts_with_all = ["lifecycle", "all"])]
        archived: bool,
        /// Only those that are so far: live, archiving, archived, unarchiving, deleting or deleted
        #[arg(long, value_name = "STAGE", value_parser = read_stage, conflicts_with = "all")]
        lifecycle: Option<InstanceLifecycle>,
        /// Archived and deleted ones, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        selected: Selected,
        #[command(flatten)]
        wanted: ListArgs,
    },
    /// Make an instance with the settings of another one, but for what is that one's own: its domains,
    /// keys and bucket
    Clone {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Makes its domain below the configured base domain
        #[arg(long)]
        sub_domain: Option<String>,
        /// Display name; that of the other one without it
        #[arg(long)]
        name: Option<String>,
        /// Why; it stands in the timeline
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        noted: Noted,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the versions of an instance's settings, newest first, with what changed
    History {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Most versions, up to 200
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only those before this version
        #[arg(long)]
        before: Option<u64>,
    },
    /// Set the settings to what they were at a version; appservers that exist keep theirs
    Restore {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Which version, as `ocim instance history` lists them
        #[arg(value_name = "VERSION")]
        to: u64,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Show an instance with its settings
    Show {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
    },
    /// Change settings; appservers that exist keep theirs
    Set {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        #[command(flatten)]
        settings: Settings,
        /// Only if the settings still have this version
        #[arg(long)]
        if_version: Option<u64>,
        /// Why; it stands in the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take an instance out of service; its data, settings and names are kept
    Archive {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Bring an archived instance back, and launch an appserver that serves it
    Unarchive {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Launch nothing
        #[arg(long)]
        no_launch: bool,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Take all away that an instance has, for good: its names are free then, its secrets unreadable
    Delete {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Its domain, once more
        #[arg(long, value_name = "DOMAIN")]
        confirm: String,
        /// Leave what can't be removed of this kind: `machine`, `fragment`, `dns_name` or
        /// `monitor`. May be given several times
        #[arg(long, value_name = "KIND", value_parser = read_kind)]
        ignore: Vec<ResourceKind>,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Keep everybody else from changing an instance until a time; the holder may place it anew
    Hold {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Until when, e.g. 2026-11-30T12:00:00Z
        #[arg(long)]
        until: DateTime<Utc>,
        /// Why; everybody who is refused reads it
        #[arg(long)]
        reason: String,
    },
    /// Say when an instance's obsolete appservers go; `ocim clean-up --dry-run` tells which do
    CleanUp(CleanUpRuleArgs),
    /// Let everybody change a held instance again
    Release {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Although it is somebody else's hold
        #[arg(long, requires = "reason")]
        force: bool,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Give visitors a page instead of the site, or the site again
    Maintenance {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        #[command(subcommand)]
        what: MaintenanceCommand,
    },
    /// Open a site in the browser, and say where it is
    Open {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
    },
    /// List the records that the site's names need in the DNS, and who sets them
    Records {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
        /// Look up whether each is set
        #[arg(long)]
        check: bool,
    },
    /// Tell what happened to an instance, its appservers, their machines and runs
    Timeline(TimelineArgs),
}

/// What is noted of an instance beside its settings.
#[derive(Debug, clap::Args)]
pub(super) struct Noted {
    /// The organization that owns it; blank for none
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Notes, or @FILE for a file's content; blank for none
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// A tag that it is to have; may be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
}

impl Noted {
    /// The notes: as they are written, or what is in the file.
    fn read_notes(&self) -> Result<Option<String>, CliError> {
        self.notes.as_deref().map(|notes| read_text("--notes", notes)).transpose()
    }

    /// Puts them beside the settings of a new instance.
    fn add_to(self, input: &mut Map<String, Value>) -> Result<(), CliError> {
        let notes = self.read_notes()?;
        for (field, text) in [("owner", self.owner), ("notes", notes)] {
            input.extend(text.map(|text| (field.to_owned(), Value::String(text))));
        }
        if !self.tag.is_empty() {
            input.insert("tags".to_owned(), self.tag.into());
        }
        Ok(())
    }
}

/// Which instances are listed; the server finds them.
#[derive(Debug, clap::Args)]
pub(super) struct Selected {
    /// Only those whose name has this in it
    #[arg(long)]
    name: Option<String>,
    /// Only those one of whose domains has this in it
    #[arg(long)]
    domain: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only those of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only those that are set to this release
    #[arg(long)]
    release: Option<String>,
    /// Only those whose newest appserver came so far, e.g. running or failed
    #[arg(long)]
    status: Option<String>,
    /// Only those that are well, or that are not
    #[arg(long, value_name = "true|false")]
    healthy: Option<bool>,
    /// Only those whose settings have changed since they are served, or have not
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    ahead: Option<bool>,
}

impl Selected {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let flag = |flag: Option<bool>| flag.map(|flag| if flag { "true" } else { "false" });
        let asked = [
            ("name", self.name.as_deref()),
            ("domain", self.domain.as_deref()),
            ("tag", self.tag.as_deref()),
            ("owner", self.owner.as_deref()),
            ("release", self.release.as_deref()),
            ("status", self.status.as_deref()),
            ("is_healthy", flag(self.healthy)),
            ("is_ahead", flag(self.ahead)),
        ];
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Settings on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// FIELD=TEXT, FIELD:=JSON, or FIELD=@FILE for a file's content
    #[arg(value_name = "FIELD=VALUE", long_help = list_settings())]
    assignments: Vec<String>,
}

/// What may be set, a line each.
fn list_settings() -> String {
    let mut text = "FIELD=TEXT, FIELD:=JSON, or FIELD=@FILE for a file's content:\n".to_owned();
    for setting in SETTINGS.iter() {
        let fixed = if setting.is_fixed { " Not once it was launched." } else { "" };
        text += &format!("\n{}: {}{fixed}", setting.name, setting.documentation());
    }
    text
}

impl Settings {
    fn read(&self) -> Result<Map<String, Value>, CliError> {
        self.assignments.iter().map(|assignment| read_assignment(assignment)).collect()
    }

    /// Those, and what has options of its own.
    fn read_with(
        &self,
        name: Option<String>,
        sub_domain: Option<String>,
        reason: Option<String>,
    ) -> Result<Map<String, Value>, CliError> {
        let mut input = self.read()?;
        for (field, value) in [("name", name), ("sub_domain", sub_domain), ("reason", reason)] {
            input.extend(value.map(|text| (field.to_owned(), Value::String(text))));
        }
        Ok(input)
    }
}

fn read_assignment(assignment: &str) -> Result<(String, Value), CliError> {
    let usage = |rule: &str| CliError::new(Kind::Usage, format!("`{assignment}`: {rule}"));
    let (field, text) =
        assignment.split_once('=').ok_or_else(|| usage("write FIELD=TEXT or FIELD:=JSON"))?;
    if let Some(field) = field.strip_suffix(':') {
        let value = serde_json::from_str(text).map_err(|_| usage("this is not JSON"))?;
        return Ok((field.to_owned(), value));
    }
    Ok((field.to_owned(), Value::String(read_text(assignment, text)?)))
}

/// A text, or with `@` before it a file's content.
pub(super) fn read_text(option: &str, text: &str) -> Result<String, CliError> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    std::fs::read_to_string(path).map_err(|error| {
        CliError::new(Kind::Usage, format!("`{option}`: can't read the file: {error}"))
    })
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: InstanceCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        InstanceCommand::Create { name, sub_domain, reason, noted, settings } => {
            let mut input = settings.read_with(name, sub_domain, reason)?;
            noted.add_to(&mut input)?;
            create_instance("/instances", &input, client, output).await
        }
        InstanceCommand::Details { id, noted, untag, reason } => {
            change_details(&id, noted, untag, reason, client, output).await
        }
        InstanceCommand::Clone { id, sub_domain, name, reason, noted, settings } => {
            let mut input = settings.read_with(name, sub_domain, reason)?;
            noted.add_to(&mut input)?;
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            create_instance(&format!("/instances/{id}/clone"), &input, client, output).await
        }
        InstanceCommand::History { id, limit, before } => {
            list_history(&id, limit, before, client, output).await
        }
        InstanceCommand::Restore { id, to, reason } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            let path = format!("/instances/{id}/settings/restore");
            let body = RestoreSettings { version: to, reason };
            tell_settings(&client.post(&path, &body).await?, output)
        }
        InstanceCommand::List { archived, lifecycle, all, selected, wanted } => {
            let lifecycle = lifecycle.or(archived.then_some(InstanceLifecycle::Archived));
            let mut query: Vec<_> =
                lifecycle.iter().map(|stage| ("lifecycle", stage.word())).collect();
            query.extend(all.then_some(("all", "true")));
            query.extend(selected.query());
            let items: Vec<Instance> = client.list("/instances", &query, &wanted).await?;
            output.wide_table(
                &items,
                &[
                    ("ID", &|it| it.id.clone()),
                    ("NAME", &|it| it.name.clone()),
                    ("DOMAIN", &|it| it.domain.clone()),
                    ("ACTIVE", &|it| it.active_appservers.len().to_string()),
                    ("WRONG NAMES", &|it| match it.name_troubles.len() {
                        0 => String::new(),
                        count => count.to_string(),
                    }),
                    ("APPSERVERS", &|it| it.appserver_count.to_string()),
                ],
                &[
                    ("OWNER", &|it| it.owner.clone()),
                    ("TAGS", &|it| it.tags.join(" ")),
                    ("AHEAD", &|it| if it.is_ahead { "yes".to_owned() } else { String::new() }),
                    ("CREATED", &|it| time(it.created)),
                    ("MAINTENANCE", &|it| {
                        it.maintenance.as_ref().map(|it| time(it.until)).unwrap_or_default()
                    }),
                    ("HELD BY", &|it| {
                        it.hold.as_ref().map(|it| it.holder.clone()).unwrap_or_default()
                    }),
                    ("LIFECYCLE", &|it| it.lifecycle.word().to_owned()),
                    ("LAUNCHES", &|it| it.launches.join(" ")),
                    ("BALANCER", &|it| it.load_balancer.clone().unwrap_or_default()),
                ],
            )
        }
        InstanceCommand::Show { id } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            let detail: InstanceDetail = client.get(&format!("/instances/{id}")).await?;
            output.record(&detail)
        }
        InstanceCommand::Timeline(args) => {
            print_timeline(ReferenceKind::Instance, &args, client, output).await
        }
        InstanceCommand::Archive { id, order } => {
            let body = ArchiveInstance { reason: order.reason.clone(), dry_run: order.dry_run };
            change_life(&id, "archive", &body, &order, client, output).await
        }
        InstanceCommand::Unarchive { id, no_launch, order } => {
            let (reason, dry_run) = (order.reason.clone(), order.dry_run);
            let body = UnarchiveInstance { reason, launch: !no_launch, dry_run };
            change_life(&id, "unarchive", &body, &order, client, output).await
        }
        InstanceCommand::Delete { id, confirm, ignore, order } => {
            let (reason, dry_run) = (order.reason.clone(), order.dry_run);
            let body = DeleteInstance { confirm, reason, ignore, dry_run };
            change_life(&id, "delete", &body, &order, client, output).await
        }
        InstanceCommand::Hold { id, until, reason } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            let body = HoldInstance { until, reason };
            client.post_without_answer(&format!("/instances/{id}/hold"), &body).await?;
            let said = format!("nobody else changes it until {}", time(until));
            if output.json { Ok(()) } else { output.line(said) }
        }
        InstanceCommand::CleanUp(args) => change_clean_up(args, client, output).await,
        InstanceCommand::Release { id, force, reason } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            let body = ReleaseHold { force, reason };
            client.post_without_answer(&format!("/instances/{id}/release"), &body).await?;
            if output.json { Ok(()) } else { output.line("everybody may change it again") }
        }
        InstanceCommand::Maintenance { id, what } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            change_maintenance(&id, what, client, output).await
        }
        InstanceCommand::Records { id, check } => list_records(&id, check, client, output).await,
        InstanceCommand::Open { id } => open_site(&id, client, output).await,
        InstanceCommand::Set { id, settings, if_version, reason } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            let (path, mut input) = (format!("/instances/{id}"), settings.read()?);
            input.extend(reason.map(|reason| ("reason".to_owned(), Value::String(reason))));
            tell_settings(&client.patch(&path, &input, if_version).await?, output)
        }
    }
}

/// Notes whose an instance is, notes and tags.
async fn change_details(
    id: &str,
    noted: Noted,
    untag: Vec<String>,
    reason: Option<String>,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, id).await?;
    let notes = noted.read_notes()?;
    let Noted { owner, tag: add_tags, .. } = noted;
    let change = ChangeDetails { owner, notes, add_tags, remove_tags: untag, reason };
    let path = format!("/instances/{id}/details");
    let detail: InstanceDetail = client.patch(&path, &change, None).await?;
    if output.json {
        return output.document(&detail);
    }
    let Instance { owner, tags, .. } = &detail.instance;
    let owner = if owner.is_empty() { "nobody".to_owned() } else { owner.clone() };
    let tags = if tags.is_empty() { "none".to_owned() } else { tags.join(" ") };
    output.line(format!("owner: {owner}; tags: {tags}"))
}

/// Orders what changes how far an instance is in its life.
async fn change_life(
    id: &str,
    verb: &str,
    body: &impl Serialize,
    order: &OrderArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, id).await?;
    order.give::<LifecyclePlan>(&format!("/instances/{id}/{verb}"), body, client, output).await
}

fn read_stage(text: &str) -> Result<InstanceLifecycle, String> {
    read_word(text, "live, archiving, archived, unarchiving, deleting or deleted")
}

pub(super) fn read_kind(text: &str) -> Result<ResourceKind, String> {
    read_word(
        text,
        "machine, fragment, dns_name, mysql_database or another kind of `ocim resources list`",
    )
}

/// A word of the API's.
fn read_word<T: DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| format!("write {known}"))
}

async fn create_instance(
    path: &str,
    input: &Map<String, Value>,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let created: CreatedInstance = client.post(path, input).await?;
    if output.json { output.document(&created) } else { output.line(created.id) }
}

fn tell_settings(detail: &InstanceDetail, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return output.document(detail);
    }
    output.line(format!("the settings are at version {} now", detail.settings_version))
}

/// Prints the versions of an instance's settings: a line each, and one below it for each change.
async fn list_history(
    id: &str,
    limit: usize,
    before: Option<u64>,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, id).await?;
    let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
    let path = format!("/instances/{id}/settings?limit={limit}{before}");
    let history: SettingsHistory = client.get(&path).await?;
    if output.json {
        return output.document(&history);
    }
    for version in &history.items {
        let why = version.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let at = time(version.at);
        output.line(format!("{} {at} by {}{why}", version.version, version.actor))?;
        for change in &version.changes {
            output.line(format!("    {}", tell_change(change)))?;
        }
    }
    match history.next {
        Some(next) => output.progress(format!("older ones: --before {next}")),
        None => Ok(()),
    }
}

fn tell_change(change: &SettingChange) -> String {
    match (&change.before, &change.since) {
        (Some(before), Some(since)) => format!("{}: {before} -> {since}", change.setting),
        _ => format!("{}: changed, and not told", change.setting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn assignments_are_text_json_or_a_files_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A: 1\n").unwrap();
        let read = |text: &str| read_assignment(text).map(|(_, value)| value);
        assert_eq!(read("openedx_release=2019").unwrap(), json!("2019"));
        assert_eq!(read("deploy_simpletheme:=true").unwrap(), json!(true));
        assert_eq!(read("email=a=b@c").unwrap(), json!("a=b@c"));
        assert_eq!(read(&format!("x=@{}", file.path().display())).unwrap(), json!("A: 1\n"));
        for wrong in ["name", "flag:=yes", "x=@/nowhere/at/all"] {
            assert_eq!(read(wrong).unwrap_err().kind, Kind::Usage, "{wrong}");
        }
    }
}
