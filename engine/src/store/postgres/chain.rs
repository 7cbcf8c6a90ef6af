//! Verifies the hash chain: that the log is what was written, in the order it was written.

use super::read::Reader;
use crate::store::engine::{ChainError, Verified};
use crate::store::row::{GENESIS, Hash, Row, position};
use ocim_domain::event::Position;

/// Rows read at a time.
const PAGE_ROWS: i64 = 1_000;

/// Checks every event after `after` up to `to`; the hash stored at `after` is taken as true.
pub(super) async fn verify(
    reader: &Reader,
    after: Position,
    to: Position,
) -> Result<Verified, ChainError> {
    let [first, _] = after.0;
    let [last, _] = to.0;
    let mut hash = anchor(reader, first).await?;
    let mut pos = first;
    while pos < last {
        let page = i64::try_from(last - pos).unwrap_or(i64::MAX).min(PAGE_ROWS);
        let rows = reader.read_rows(pos, page).await?;
        if rows.is_empty() {
            return Err(broken(pos + 1, "the event is missing"));
        }
        for row in rows {
            check(&row, pos, &hash)?;
            (pos, hash) = (pos + 1, row.hash);
        }
    }
    Ok(Verified { events: pos - first, head: position(pos), hash })
}

async fn anchor(reader: &Reader, pos: u64) -> Result<Hash, ChainError> {
    if pos == 0 {
        return Ok(GENESIS);
    }
    let row = reader.read_rows(pos - 1, 1).await?.pop().filter(|row| row.position == position(pos));
    row.map(|row| row.hash).ok_or_else(|| broken(pos, "the event is missing"))
}

fn check(row: &Row, before: u64, hash: &Hash) -> Result<(), ChainError> {
    if row.position != position(before + 1) {
        return Err(broken(before + 1, "the event is missing"));
    }
    if row.hash != row.hash_after(hash) {
        return Err(broken(before + 1, "its hash does not fit it and the event before"));
    }
    Ok(())
}

fn broken(pos: u64, reason: &'static str) -> ChainError {
    ChainError::Broken { position: position(pos), reason }
}
