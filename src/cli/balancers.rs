//! `ocim balancer …`

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::orders::OrderArgs;
use super::output::{Output, time};
use clap::{Args, Subcommand};
use ocim_api_spec::{
    AddedServer, LoadBalancer, PreparationPlan, PrepareLoadBalancer, ReferenceKind, RetireServer,
};
use serde::Serialize;

/// What one may do with balancers.
#[derive(Debug, Subcommand)]
pub(super) enum BalancerCommand {
    /// List all balancers, newest first
    List(ListArgs),
    /// Show a balancer
    Show {
        /// Its id or domain
        balancer: String,
    },
    /// Add a host that people have set up; what is missing there is put there by a run
    Add {
        /// Its DNS name
        domain: String,
        #[command(flatten)]
        reached: ReachedArgs,
        /// Let it take new sites
        #[arg(long)]
        accepts_new_backends: bool,
    },
    /// Change what is known of a balancer; what is left out stays
    Edit {
        /// Its id or domain
        balancer: String,
        #[command(flatten)]
        reached: ReachedArgs,
        /// Whether it takes new sites
        #[arg(long, value_name = "BOOL")]
        accepts_new_backends: Option<bool>,
    },
    /// Have nobody use a balancer any more; refused while sites do
    Retire {
        /// Its id or domain
        balancer: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Have everything there as it should be: HAProxy, our program, what the sites need
    Prepare {
        /// Its id or domain
        balancer: String,
        #[command(flatten)]
        order: OrderArgs,
    },
}

/// How a balancer is reached.
#[derive(Debug, Args, Serialize)]
pub(super) struct ReachedArgs {
    /// Its public address
    #[arg(long, value_name = "IP")]
    #[serde(skip_serializing_if = "Option::is_none")]
    public_ip: Option<String>,
    /// Whom to log in as, who may become root
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_username: Option<String>,
    /// Where it answers SSH; 22 when left out
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_port: Option<u16>,
    /// An SSH host key that it may show, e.g. 'ssh-ed25519 AAAA…'; several times for several
    #[arg(long = "host-key", value_name = "KEY")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    host_keys: Vec<String>,
    /// Where it listens for visitors; 80 when left out
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http_port: Option<u16>,
    /// Why; it stands in the log
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What is sent of a balancer that is added or changed.
#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(flatten)]
    reached: ReachedArgs,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepts_new_backends: Option<bool>,
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: BalancerCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        BalancerCommand::List(wanted) => list_balancers(&wanted, client, output).await,
        BalancerCommand::Show { balancer } => {
            let id = client.find_id(ReferenceKind::LoadBalancer, &balancer).await?;
            output.record(&client.get::<LoadBalancer>(&format!("/load_balancers/{id}")).await?)
        }
        BalancerCommand::Add { domain, reached, accepts_new_backends } => {
            let accepts_new_backends = Some(accepts_new_backends);
            let body = Body { domain: Some(domain), reached, accepts_new_backends };
            let added: AddedServer = client.post("/load_balancers", &body).await?;
            if output.json { output.document(&added) } else { output.line(added.id) }
        }
        BalancerCommand::Edit { balancer, reached, accepts_new_backends } => {
            let id = client.find_id(ReferenceKind::LoadBalancer, &balancer).await?;
            let body = Body { domain: None, reached, accepts_new_backends };
            let path = format!("/load_balancers/{id}");
            output.record(&client.patch::<LoadBalancer>(&path, &body, None).await?)
        }
        BalancerCommand::Retire { balancer, reason } => {
            let id = client.find_id(ReferenceKind::LoadBalancer, &balancer).await?;
            let path = format!("/load_balancers/{id}/retire");
            output.record(&client.post::<LoadBalancer>(&path, &RetireServer { reason }).await?)
        }
        BalancerCommand::Prepare { balancer, order } => {
            let id = client.find_id(ReferenceKind::LoadBalancer, &balancer).await?;
            let path = format!("/load_balancers/{id}/prepare");
            let (reason, dry_run) = (order.reason.clone(), order.dry_run);
            let body = PrepareLoadBalancer { reason, dry_run };
            order.give::<PreparationPlan>(&path, &body, client, output).await
        }
    }
}

async fn list_balancers(
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let items: Vec<LoadBalancer> = client.list("/load_balancers", &[], wanted).await?;
    output.wide_table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("DOMAIN", &|it| it.domain.clone()),
            ("ADDRESS", &|it| format!("{}:{}", it.public_ip, it.http_port)),
            ("NEW SITES", &|it| match it.retired {
                Some(_) => "retired".to_owned(),
                None => it.accepts_new_backends.to_string(),
            }),
            ("TROUBLES", &|it| it.troubles.join("; ")),
        ],
        &[
            ("PREPARED BY", &|it| it.preparation_run.clone().unwrap_or_default()),
            ("INSTANCES", &|it| it.instance_count.to_string()),
            ("ALSO LISTENS", &|it| it.also_listens.clone().unwrap_or_default()),
            ("CREATED", &|it| time(it.created)),
        ],
    )
}
