//! The command line. Most commands ask the running server; a few open the database themselves.

mod accept_head;
mod appservers;
mod balancers;
mod bulk;
mod clean_up;
mod client;
mod conditions;
mod database;
mod demo;
mod dns_records;
mod doctor;
mod error;
mod events;
mod explain;
mod incidents;
mod instances;
mod launch_plans;
mod list;
mod login;
mod logs;
mod machines;
mod mails;
mod maintenance;
mod nodes;
mod operators;
mod orders;
mod output;
mod references;
mod regions;
mod resources;
mod runs;
mod saved_servers;
mod serve;
mod servers;
mod shared_servers;
mod simulate;
mod sites;
mod ssh;
mod statistics;
mod status;
mod table;
mod target;
mod timeline;
mod timers;
mod tokens;
mod variables;
mod words;

pub use error::{CliError, EXIT_CODES, Kind};

use clap::{CommandFactory, Parser, Subcommand};
use events::ProjectionCommand;
use ocim_api_spec::ReferenceKind;
use output::{Format, Output};
use shared_servers::{
    MongodbMove, MongodbPlace, MysqlMove, MysqlPlace, RabbitmqMove, RabbitmqPlace,
    SharedServerCommand,
};
use std::process::ExitCode;
use target::{Target, TargetArgs};

/// Deploys and runs Open edX sites.
#[derive(Debug, Parser)]
#[command(name = "ocim", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    /// Print JSON; the same as `-o json`
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,
    /// How to print the answer
    #[arg(short = 'o', long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    target: TargetArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until Ctrl-C or SIGTERM
    Serve(serve::ServeArgs),
    /// Deploy a site on this machine alone, with real parts, and remove it all at the end
    Demo(demo::DemoArgs),
    /// Try Ocim in a simulated world that goes wrong by a seed, on virtual time
    Simulate(simulate::SimulateArgs),
    /// Try all that Ocim needs, and say what to do about what is missing; writes nothing
    #[command(alias = "check")]
    Doctor,
    /// Tell what needs you and what runs; ends with 8 when something needs you
    Status(status::StatusArgs),
    /// Have no work begin: all, of a region, or at a provider; commands are taken, and wait
    Pause(incidents::PauseArgs),
    /// Let paused work go on, all at once or so many runs a minute
    Resume(incidents::ResumeArgs),
    /// List known trouble: what is paused, which provider keeps failing, and what is over
    Incidents(incidents::IncidentArgs),
    /// Find the things that a name, a domain or the beginning of an id stands for
    Find {
        /// What to look for
        text: String,
    },
    /// Ask another server from now on; the token comes from standard input unless it is given
    Login(login::LoginArgs),
    /// Forget a server that was logged in to
    Logout(login::LogoutArgs),
    /// List the servers that were logged in to
    Servers,
    /// Tokens for the API
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Sites
    #[command(subcommand)]
    Instance(instances::InstanceCommand),
    /// Deployments of a site
    #[command(subcommand)]
    Appserver(appservers::AppserverCommand),
    /// Machines and regions
    #[command(subcommand)]
    Server(servers::ServerCommand),
    /// What sites have outside of Ocim
    #[command(subcommand)]
    Resources(resources::ResourceCommand),
    /// Long work and its steps
    #[command(subcommand)]
    Run(runs::RunCommand),
    /// Launch an appserver of each of many instances, a few at a time
    Redeploy(bulk::RedeployArgs),
    /// Take many instances out of service, a few at a time
    ArchiveInstances(bulk::ArchiveArgs),
    /// Work on many instances: how far it is; pause, resume and stop it
    #[command(subcommand)]
    Bulk(bulk::BulkCommand),
    /// Regions of clouds, and who waits for a slot there
    #[command(subcommand)]
    Region(regions::RegionCommand),
    /// Load balancers, which lead visitors to sites
    #[command(subcommand)]
    Balancer(balancers::BalancerCommand),
    /// MySQL servers that sites share
    #[command(subcommand)]
    MysqlServer(SharedServerCommand<MysqlPlace, MysqlMove>),
    /// MongoDB servers that sites share: single hosts and replica sets
    #[command(subcommand)]
    MongodbServer(SharedServerCommand<MongodbPlace, MongodbMove>),
    /// RabbitMQ servers that sites share
    #[command(subcommand)]
    RabbitmqServer(SharedServerCommand<RabbitmqPlace, RabbitmqMove>),
    /// Say what a code, a problem or a run is about, and what to do
    Explain(explain::ExplainArgs),
    /// Mails that Ocim sends
    #[command(subcommand)]
    Mail(mails::MailCommand),
    /// What comes again and again by itself: when it comes next, and how it went last
    Timers {
        #[command(subcommand)]
        command: Option<timers::TimerCommand>,
    },
    /// Take appservers away that serve nobody and are neither fallback nor release candidate, as every day
    /// at 01:00 UTC; or tell which would go
    CleanUp(clean_up::CleanUpArgs),
    /// Machines of this computer, which outlive `ocim serve`
    #[command(subcommand)]
    Machine(machines::MachineCommand),
    /// Nodes of Ocim on one database
    #[command(subcommand)]
    Node(nodes::NodeCommand),
    /// The log of events
    #[command(subcommand)]
    Events(events::EventCommand),
    /// Read models
    #[command(subcommand)]
    Projections(ProjectionCommand),
    /// Print `openapi.json`, the description of the API
    Openapi,
    /// Print what makes a shell complete our commands, e.g. `source <(ocim completion bash)`
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Runs the process's command line; errors go to standard error in one line.
pub async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage as u8));
        }
    };
    let format = if cli.json { Format::Json } else { cli.format };
    let mut output = Output::standard(format);
    match run(cli.command, &Target::new(cli.target), &mut output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind == Kind::Unread => ExitCode::SUCCESS,
        Err(error) => {
            if !error.message.is_empty() {
                let line = error.message.replace('\n', " ");
                let _ = output.progress(format!("ocim: {line}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(command: Command, target: &Target, output: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => {
            let config = args.apply(target.local("serve")?);
            serve::run(config, output).await
        }
        Command::Pause(args) => incidents::pause(args, &target.client()?, output).await,
        Command::Resume(args) => incidents::resume(args, &target.client()?, output).await,
        Command::Incidents(args) => incidents::list(args, &target.client()?, output).await,
        Command::Demo(args) => demo::run(args, target.local("demo")?, output).await,
        Command::Simulate(args) => simulate::run(args, output).await,
        Command::Doctor => {
            target.refuse_remote("doctor")?;
            doctor::run(target.configured(), output).await
        }
        Command::Status(args) => status::run(args, &target.client()?, output).await,
        Command::Find { text } => references::run(&text, &target.client()?, output).await,
        Command::Login(args) => login::log_in(args, target, output).await,
        Command::Logout(args) => login::log_out(args, target, output),
        Command::Servers => login::list_servers(target, output),
        Command::Token(command) => tokens::run(command, &target.client()?, output).await,
        Command::Instance(command) => instances::run(command, &target.client()?, output).await,
        Command::Appserver(command) => appservers::run(command, &target.client()?, output).await,
        Command::Server(command) => servers::run(command, &target.client()?, output).await,
        Command::Resources(command) => resources::run(command, &target.client()?, output).await,
        Command::Balancer(command) => balancers::run(command, &target.client()?, output).await,
        Command::MysqlServer(command) => {
            let kind = ReferenceKind::MysqlServer;
            shared_servers::run(kind, command, &target.client()?, output).await
        }
        Command::MongodbServer(command) => {
            let kind = ReferenceKind::MongodbServer;
            shared_servers::run(kind, command, &target.client()?, output).await
        }
        Command::RabbitmqServer(command) => {
            let kind = ReferenceKind::RabbitmqServer;
            shared_servers::run(kind, command, &target.client()?, output).await
        }
        Command::Run(command) => runs::run(command, &target.client()?, output).await,
        Command::Redeploy(args) => bulk::redeploy(args, &target.client()?, output).await,
        Command::ArchiveInstances(args) => bulk::archive(args, &target.client()?, output).await,
        Command::Bulk(command) => bulk::run(command, &target.client()?, output).await,
        Command::Region(command) => regions::run(command, &target.client()?, output).await,
        Command::Explain(args) => match args.run_id() {
            Some(run) => operators::explain(run, &target.client()?, output).await,
            None => explain::print_page(&args, output),
        },
        Command::Mail(command) => mails::run(command, &target.client()?, output).await,
        Command::CleanUp(args) => clean_up::run(&args, &target.client()?, output).await,
        Command::Timers { command } => timers::run(command, &target.client()?, output).await,
        Command::Machine(command) => machines::run(command, &target.local("machine")?, output),
        Command::Node(command) => nodes::run(command, &target.local("node")?, output).await,
        Command::Events(command) => {
            events::run_events(command, &target.local("events")?, output).await
        }
        Command::Projections(ProjectionCommand::Skip(args)) => {
            events::skip_event(args, &target.client()?, output).await
        }
        Command::Projections(ProjectionCommand::Direct(command)) => {
            events::run_projections(command, &target.local("projections")?, output).await
        }
        Command::Openapi => print_openapi(output),
        Command::Completion { shell } => print_completion(shell, output),
    }
}

fn print_openapi(output: &mut Output) -> Result<(), CliError> {
    let text = crate::http::openapi::document_text().map_err(std::io::Error::from)?;
    output.own_lines(text.trim_end())
}

fn print_completion(shell: clap_complete::Shell, output: &mut Output) -> Result<(), CliError> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "ocim", &mut script);
    output.own_lines(String::from_utf8_lossy(&script).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Else what stands there counts for both: `ocim server show NAME` once asked a server called so.
    #[test]
    fn no_argument_of_a_command_is_called_as_a_global_one() {
        fn find_clashes(command: &clap::Command, globals: &[clap::Id], found: &mut Vec<String>) {
            for below in command.get_subcommands() {
                let clashes = below.get_arguments().filter(|it| globals.contains(it.get_id()));
                found.extend(clashes.map(|it| format!("{} of {}", it.get_id(), below.get_name())));
                find_clashes(below, globals, found);
            }
        }
        let (command, mut found) = (Cli::command(), vec![]);
        let globals = command.get_arguments().filter(|it| it.is_global_set());
        let globals: Vec<_> = globals.map(|it| it.get_id().clone()).collect();
        assert!(globals.iter().any(|id| id == "server"), "{globals:?}");
        find_clashes(&command, &globals, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    /// Every command that has no commands below it, e.g. `run list`, and every other name of one.
    fn leaves(command: &clap::Command, path: &str) -> Vec<String> {
        let mut found = vec![];
        for below in command.get_subcommands().filter(|it| it.get_name() != "help") {
            for name in std::iter::once(below.get_name()).chain(below.get_all_aliases()) {
                let path = format!("{path} {name}");
                let deeper = leaves(below, &path);
                found.extend(if deeper.is_empty() { vec![path] } else { deeper });
            }
        }
        found
    }

    #[test]
    fn the_page_names_every_command_and_no_other() {
        let page = include_str!("../docs/cli.md");
        let known = leaves(&Cli::command(), "ocim");
        for command in &known {
            assert!(page.contains(&format!("`{command}")), "docs/cli.md does not name {command}");
        }
        let named = page.split('`').skip(1).step_by(2).filter(|span| span.starts_with("ocim "));
        for span in named.filter(|span| *span != "ocim help") {
            let words = format!("{span} ");
            let is_known = known.iter().any(|command| words.starts_with(&format!("{command} ")));
            assert!(is_known, "docs/cli.md names `{span}`");
        }
    }

    #[test]
    fn what_the_api_calls_a_parameter_is_an_option_here() {
        let mut options = std::collections::BTreeSet::new();
        collect_options(&Cli::command(), &mut options);
        let document = serde_json::to_value(crate::http::openapi::document()).unwrap();
        let operations = document["paths"].as_object().unwrap().values();
        let operations = operations.flat_map(|methods| methods.as_object().unwrap().values());
        let parameters =
            operations.flat_map(|it| it["parameters"].as_array().into_iter().flatten());
        // Set by the command line itself, and by nobody else.
        let own = ["Idempotency-Key", "Last-Event-ID", "after", "order", "run", "instance"];
        for parameter in parameters.filter(|it| it["in"] != "path") {
            let name = parameter["name"].as_str().unwrap();
            if own.contains(&name) {
                continue;
            }
            let option = words::option_of(name);
            let option = option.unwrap_or_else(|| panic!("no option for `{name}`"));
            let is_known = !option.starts_with("--") || options.contains(option);
            assert!(is_known, "there is no {option} for `{name}`");
        }
    }

    fn collect_options(command: &clap::Command, options: &mut std::collections::BTreeSet<String>) {
        let long = command.get_arguments().filter_map(|it| it.get_long());
        options.extend(long.map(|name| format!("--{name}")));
        for below in command.get_subcommands() {
            collect_options(below, options);
        }
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let cli = Cli::try_parse_from(["ocim", "run", "list", "--open", "--json"]).unwrap();
        assert!(cli.json);
        let both = ["ocim", "run", "list", "--server", "http://x", "--data-dir", "/x"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
