//! Mails that Ocim sends: what about, and how far.

use crate::change::{NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::MailId;
use ocim_domain::mail::{About, Event};

table! {
    /// Mails.
    MAILS, columns = "mails", key [id],
    indexes [
        Index::on("created_at, id"),
        Index::on("state, created_at, id"),
    ]
    {
        /// `mail_…`.
        id: String,
        /// `launch_failed`.
        about: String,
        /// `inst_…` that it is about.
        instance: String,
        /// `apps_…` that it is about.
        appserver: Option<String>,
        /// `run_…` that it is about.
        about_run: Option<String>,
        /// `run_…` that sends it.
        run: String,
        /// To how many people.
        recipients: i64,
        /// `waiting`, `delivered` or `given_up`.
        state: String,
        /// For how many of the recipients the mail server has not taken it.
        refused: Option<i64>,
        /// Why it was given up.
        reason: Option<String>,
        /// When it was asked for.
        created_at: DateTime<Utc>,
        /// When that was said of it.
        updated_at: DateTime<Utc>,
    }
}

/// The read model of mails.
pub const PROJECTOR: Projector = Projector {
    name: "mails",
    version: 1,
    categories: &[MailId::CATEGORY],
    tables: &[MAILS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let (id, at) = (MailId(recorded.stream.id()), recorded.recorded_at);
    let update = |set| RowChange::update(MAILS.name, columns! { id: id }, set);
    Ok(vec![match event {
        Event::Requested { about, run, recipients } => {
            let About::LaunchFailed { instance, appserver, launch } = about;
            RowChange::Upsert {
                table: MAILS.name,
                key: columns! { id: id },
                initial: columns! { created_at: at },
                set: columns! {
                    about: about.word(), instance: instance, appserver: appserver,
                    about_run: launch, run: run, recipients: recipients, state: "waiting",
                    refused: NULL, reason: NULL, updated_at: at,
                },
            }
        }
        Event::Delivered { refused } => update(columns! {
            state: "delivered", refused: refused, reason: NULL, updated_at: at,
        }),
        Event::GivenUp { reason } => {
            update(columns! { state: "given_up", reason: reason, updated_at: at })
        }
    }])
}
