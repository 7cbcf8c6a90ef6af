//! `ocim mysql-server …`, `ocim mongodb-server …` and `ocim rabbitmq-server …`.

use super::client::Client;
use super::error::{CliError, Kind};
use super::list::ListArgs;
use super::output::{Output, time};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ocim_api_spec::{AddedServer, ReferenceKind, RetireServer, TestedServer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Read;

/// What one may do with servers of one kind; each kind says in its own words where they are.
#[derive(Debug, Subcommand)]
pub(super) enum SharedServerCommand<Place: Args, Move: Args> {
    /// Add a server; nothing is asked of the server itself
    Add {
        #[command(flatten)]
        place: Place,
        /// Let it be given to instances
        #[arg(long)]
        accepts_new_clients: bool,
        #[command(flatten)]
        known: KnownArgs,
    },
    /// Change what is known of a server; what is left out stays
    Edit {
        /// Its id, the beginning of it, its name or its host
        id: String,
        #[command(flatten)]
        place: Move,
        /// Whether it may be given to instances
        #[arg(long, value_name = "BOOL")]
        accepts_new_clients: Option<bool>,
        #[command(flatten)]
        known: KnownArgs,
    },
    /// List all servers, newest first
    List(ListArgs),
    /// Show a server with the instances that use it
    Show {
        /// Its id, the beginning of it, its name or its host
        id: String,
    },
    /// Log in to a server as its administrator, and say what is wrong
    Test {
        /// Its id, the beginning of it, its name or its host
        id: String,
    },
    /// Have nobody use a server any more; refused while instances do
    Retire {
        /// Its id, the beginning of it, its name or its host
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// What is known of servers of all kinds.
#[derive(Debug, Args)]
pub(super) struct KnownArgs {
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// What people should know of it
    #[arg(long)]
    description: Option<String>,
    /// The account that administers it
    #[arg(long)]
    username: Option<String>,
    /// A file with the account's password on its first line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// Why; it stands in the log
    #[arg(long)]
    reason: Option<String>,
}

/// Where a MySQL server is.
#[derive(Debug, Args, Serialize)]
pub(super) struct MysqlPlace {
    /// Its host
    host: String,
    /// Its port; 3306 when left out
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Speak with it by TLS, and see that it is the server it says it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
}

/// What may change of where a MySQL server is.
#[derive(Debug, Args, Serialize)]
pub(super) struct MysqlMove {
    /// Its port
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Speak with it by TLS, and see that it is the server it says it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
}

/// Where a MongoDB server is.
#[derive(Debug, Args, Serialize)]
pub(super) struct MongodbPlace {
    /// Its hosts: one, or the members of a replica set
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,
    #[command(flatten)]
    #[serde(flatten)]
    rest: MongodbRest,
}

/// What may change of where a MongoDB server is.
#[derive(Debug, Args, Serialize)]
pub(super) struct MongodbMove {
    /// A host; several times for all members of a replica set
    #[arg(long = "host", value_name = "HOST")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[command(flatten)]
    #[serde(flatten)]
    rest: MongodbRest,
}

#[derive(Debug, Args, Serialize)]
struct MongodbRest {
    /// The host that is written to; the first one when left out
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<String>,
    /// The name of the replica set; needed where there are several hosts
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    replica_set: Option<String>,
    /// The port of each host; 27017 when left out
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Speak with it by TLS, and see that it is the server it says it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
}

/// Where a RabbitMQ server is.
#[derive(Debug, Args, Serialize)]
pub(super) struct RabbitmqPlace {
    /// The URL of its management API, without user and password
    api_url: String,
    /// The host that sites reach it by
    #[arg(long, value_name = "HOST")]
    instance_host: String,
    /// The port that sites reach it by; 5671 when left out
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_port: Option<u16>,
}

/// What may change of where a RabbitMQ server is.
#[derive(Debug, Args, Serialize)]
pub(super) struct RabbitmqMove {
    /// The host that sites reach it by
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_host: Option<String>,
    /// The port that sites reach it by
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_port: Option<u16>,
}

/// A server of any kind as lists show it.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    id: String,
    name: String,
    url: String,
    accepts_new_clients: bool,
    instance_count: i64,
    retired: Option<DateTime<Utc>>,
    created: DateTime<Utc>,
    description: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What is sent of a server that is added or changed.
#[derive(Serialize)]
struct Body<'a, Place> {
    #[serde(flatten)]
    place: &'a Place,
    #[serde(flatten)]
    known: Map<String, Value>,
}

impl KnownArgs {
    fn read(&self, accepts_new_clients: Option<bool>) -> Result<Map<String, Value>, CliError> {
        let password = self.password_file.as_deref().map(read_password).transpose()?;
        let texts = [
            ("name", self.name.clone()),
            ("description", self.description.clone()),
            ("username", self.username.clone()),
            ("password", password),
            ("reason", self.reason.clone()),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?.into())));
        let accepts = accepts_new_clients.map(|it| ("accepts_new_clients", it.into()));
        Ok(texts.chain(accepts).map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// The first line of a file, which no list of processes shows.
fn read_password(path: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        path => std::fs::read_to_string(path).map(|read| text = read),
    };
    let wrong = |error| CliError::new(Kind::Usage, format!("can't read {path}: {error}"));
    read.map_err(wrong)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Does it, with servers of this kind.
///
/// # Errors
/// What the server says.
pub(super) async fn run<Place: Args + Serialize, Move: Args + Serialize>(
    kind: ReferenceKind,
    command: SharedServerCommand<Place, Move>,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = format!("/{}s", kind.word());
    match command {
        SharedServerCommand::Add { place, accepts_new_clients, known } => {
            let body = Body { place: &place, known: known.read(Some(accepts_new_clients))? };
            let added: AddedServer = client.post(&path, &body).await?;
            if output.json { output.document(&added) } else { output.line(added.id) }
        }
        SharedServerCommand::Edit { id, place, accepts_new_clients, known } => {
            let id = client.find_id(kind, &id).await?;
            let body = Body { place: &place, known: known.read(accepts_new_clients)? };
            let now: Map<String, Value> =
                client.patch(&format!("{path}/{id}"), &body, None).await?;
            output.record(&now)
        }
        SharedServerCommand::List(wanted) => list_servers(&path, &wanted, client, output).await,
        SharedServerCommand::Show { id } => {
            let id = client.find_id(kind, &id).await?;
            output.record(&client.get::<Map<String, Value>>(&format!("{path}/{id}")).await?)
        }
        SharedServerCommand::Test { id } => {
            let id = client.find_id(kind, &id).await?;
            let tested: TestedServer = client.get(&format!("{path}/{id}/test")).await?;
            match &tested.problem {
                Some(problem) if !output.json => Err(CliError::new(Kind::Failed, problem.clone())),
                None if !output.json => output.line("it answers, and lets Ocim do its work"),
                _ => output.document(&tested),
            }
        }
        SharedServerCommand::Retire { id, reason } => {
            let id = client.find_id(kind, &id).await?;
            let path = format!("{path}/{id}/retire");
            let now: Map<String, Value> = client.post(&path, &RetireServer { reason }).await?;
            output.record(&now)
        }
    }
}

async fn list_servers(
    path: &str,
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let items: Vec<Listed> = client.list(path, &[], wanted).await?;
    let takes = |it: &Listed| match (it.retired, it.accepts_new_clients) {
        (Some(_), _) => "retired".to_owned(),
        (None, accepts) => accepts.to_string(),
    };
    output.wide_table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("NAME", &|it| it.name.clone()),
            ("URL", &|it| it.url.clone()),
            ("NEW SITES", &takes),
            ("INSTANCES", &|it| it.instance_count.to_string()),
        ],
        &[
            ("DESCRIPTION", &|it| it.description.clone()),
            ("CREATED", &|it| time(it.created)),
            ("RETIRED", &|it| it.retired.map(time).unwrap_or_default()),
        ],
    )
}
