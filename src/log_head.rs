//! Where the log ends, kept in the data folder too: what is cut off the log's end is noticed then.

mod keeper;

pub use keeper::HeadKeeper;

use crate::data_folder::DataFolderError;
use deadpool_postgres::Pool;
use ocim_domain::event::Position;
use ocim_domain::event_log::Head;
use ocim_engine::projector::{self, ProjectorError};
use ocim_engine::store::{Engine, ReadError};

/// What to do about a log that is not what the data folder has seen.
const ADVICE: &str = "somebody has deleted events, or this is another database: restore the right \
                      one, or a backup of database and data folder from the same moment. To go on \
                      with what is there: `ocim events accept-head --reason WHY`";

/// Why the log is not taken for the one that this data folder knows.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It ends before events that were there.
    #[error("the event log ends at {found}, but this data folder has seen {known}: {ADVICE}")]
    Behind {
        /// The last event that was seen.
        known: Position,
        /// The last one that there is.
        found: Position,
    },
    /// Something else stands where that event was.
    #[error(
        "the event log's event at {known} is not the one that this data folder has seen: {ADVICE}"
    )]
    Different {
        /// The last event that was seen.
        known: Position,
    },
    /// Read models show events that are not there.
    #[error(
        "the read models {} know of events after {found}, where the event log ends: {ADVICE}",
        names.join(", ")
    )]
    ReadModelsAhead {
        /// The read models.
        names: Vec<String>,
        /// The last event that there is.
        found: Position,
    },
    /// The log can't be read.
    #[error("the event log can't be read")]
    Log(#[from] ReadError),
    /// The read models can't be read.
    #[error("the read models' positions can't be read")]
    ReadModels(#[from] ProjectorError),
    /// The data folder can't be read or written.
    #[error("the head of the log can't be kept in the data folder")]
    Folder(#[from] DataFolderError),
}

/// Where the log ends now.
///
/// # Errors
/// What the database says.
pub async fn read_head(store: &dyn Engine) -> Result<Head, ReadError> {
    let (position, hash) = store.head_hash().await?;
    Ok(Head { position, hash: hexadecimal(hash) })
}

fn hexadecimal(hash: [u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares the log with what is known of it, and the read models with the log; tells where it ends.
///
/// # Errors
/// [`HeadError`], with what to do.
pub async fn check_head(
    known: Option<&Head>,
    store: &dyn Engine,
    pool: &Pool,
) -> Result<Head, HeadError> {
    let found = read_head(store).await?;
    if let Some(known) = known {
        check_known(known, found.position, store).await?;
    }
    let names = projector::find_ahead(pool, found.position).await?;
    if names.is_empty() {
        return Ok(found);
    }
    Err(HeadError::ReadModelsAhead { names, found: found.position })
}

/// Whether the log, which ends there, still has the event that is known.
async fn check_known(known: &Head, found: Position, store: &dyn Engine) -> Result<(), HeadError> {
    let known_at = known.position;
    if found < known_at {
        return Err(HeadError::Behind { known: known_at, found });
    }
    let is_there = known_at == Position::START
        || store.hash_at(known_at).await?.map(hexadecimal).as_ref() == Some(&known.hash);
    if is_there { Ok(()) } else { Err(HeadError::Different { known: known_at }) }
}
