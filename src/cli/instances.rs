//! `ocim instance …`

use super::client::Client;
use super::error::{CliError, Kind};
use super::list::ListArgs;
use super::output::{Output, time};
use super::sites::open_site;
use super::timeline::{TimelineArgs, print_timeline};
use clap::Subcommand;
use ocim_api_spec::{CreatedInstance, Instance, InstanceDetail, ReferenceKind};
use ocim_domain::settings::SETTINGS;
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
        settings: Settings,
    },
    /// List instances, newest first
    List(ListArgs),
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
    /// Open a site in the browser, and say where it is
    Open {
        /// Which: name, domain, its first label, id or the beginning of it
        id: String,
    },
    /// Tell what happened to an instance, its appservers, their machines and runs
    Timeline(TimelineArgs),
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
        let fixed = if setting.is_fixed { " At creation only." } else { "" };
        text += &format!("\n{}: {}{fixed}", setting.name, setting.documentation());
    }
    text
}

impl Settings {
    fn read(&self) -> Result<Map<String, Value>, CliError> {
        self.assignments.iter().map(|assignment| read_assignment(assignment)).collect()
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
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| usage(&format!("can't read the file: {error}")))?,
        None => text.to_owned(),
    };
    Ok((field.to_owned(), Value::String(text)))
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
        InstanceCommand::Create { name, sub_domain, reason, settings } => {
            let mut input = settings.read()?;
            let given = [("name", name), ("sub_domain", sub_domain), ("reason", reason)];
            for (field, value) in given {
                if let Some(text) = value {
                    input.insert(field.to_owned(), Value::String(text));
                }
            }
            let created: CreatedInstance = client.post("/instances", &input).await?;
            if output.json { output.document(&created) } else { output.line(created.id) }
        }
        InstanceCommand::List(wanted) => {
            let items: Vec<Instance> = client.list("/instances", &[], &wanted).await?;
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
                    ("CREATED", &|it| time(it.created)),
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
        InstanceCommand::Open { id } => open_site(&id, client, output).await,
        InstanceCommand::Set { id, settings, if_version, reason } => {
            let id = client.find_id(ReferenceKind::Instance, &id).await?;
            let (path, mut input) = (format!("/instances/{id}"), settings.read()?);
            input.extend(reason.map(|reason| ("reason".to_owned(), Value::String(reason))));
            let detail: InstanceDetail = client.patch(&path, &input, if_version).await?;
            if output.json {
                output.document(&detail)
            } else {
                output.line(format!("the settings are at version {} now", detail.settings_version))
            }
        }
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
