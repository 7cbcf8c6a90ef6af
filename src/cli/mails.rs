//! `ocim mail …`

use super::client::Client;
use super::error::CliError;
use super::list::ListArgs;
use super::output::{Output, time};
use clap::Subcommand;
use ocim_api_spec::{Mail, ReferenceKind};

/// What one may do with mails.
#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// List the mails that Ocim sends, the newest first
    List {
        /// Only those about this instance
        instance: Option<String>,
        #[command(flatten)]
        wanted: ListArgs,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: MailCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let MailCommand::List { instance, wanted } = command;
    let instance = match instance {
        Some(text) => Some(client.find_id(ReferenceKind::Instance, &text).await?),
        None => None,
    };
    let query: Vec<_> = instance.iter().map(|id| ("instance", id.as_str())).collect();
    let items: Vec<Mail> = client.list("/mails", &query, &wanted).await?;
    output.wide_table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("ABOUT", &|it| it.about.word().replace('_', " ")),
            ("APPSERVER", &|it| it.appserver.clone().unwrap_or_default()),
            ("TO", &|it| it.recipients.to_string()),
            ("STATE", &|it| it.state.word().replace('_', " ")),
            ("SINCE", &|it| time(it.modified)),
            ("WHY", &tell),
        ],
        &[("RUN", &|it| it.run.clone()), ("INSTANCE", &|it| it.instance.clone())],
    )
}

/// What is to be said of how it went.
fn tell(mail: &Mail) -> String {
    match (&mail.reason, mail.refused) {
        (Some(reason), _) => reason.clone(),
        (None, Some(count)) if count > 0 => {
            format!("not taken for {count}: `ocim run logs {}`", mail.run)
        }
        (None, _) => String::new(),
    }
}
