//! `ocim balancer …`

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::orders::OrderArgs;
use super::output::{Output, time};
use clap::Subcommand;
use ocim_api_spec::{LoadBalancer, PreparationPlan, PrepareLoadBalancer, ReferenceKind};

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
    /// Have everything there as it should be: HAProxy, our program, what the sites need
    Prepare {
        /// Its id or domain
        balancer: String,
        #[command(flatten)]
        order: OrderArgs,
    },
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
            ("NEW SITES", &|it| it.accepts_new_backends.to_string()),
            ("TROUBLES", &|it| it.troubles.join("; ")),
        ],
        &[
            ("PREPARED BY", &|it| it.preparation_run.clone().unwrap_or_default()),
            ("ALSO LISTENS", &|it| it.also_listens.clone().unwrap_or_default()),
            ("CREATED", &|it| time(it.created)),
        ],
    )
}
