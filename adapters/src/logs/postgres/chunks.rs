//! How lines become chunks and back: JSON lines, compressed by zlib, whose checksum is checked.

use crate::logs::{LogLine, NewLine};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use std::io::{self, Read as _, Write as _};

/// A chunk is full with this many lines: a reader of one line unpacks them all.
const MOST_LINES: usize = 1_000;

/// A chunk is full with this many bytes of JSON, too.
const MOST_BYTES: usize = 256 * 1024;

/// Some lines in a row.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The number of its first line; among new chunks counted from 1.
    pub(super) first_line: u64,
    /// How many lines it holds.
    pub(super) line_count: i32,
    /// The lines.
    pub(super) body: Vec<u8>,
}

/// Packs the lines into as few chunks as their limits allow.
pub(super) fn write_chunks(lines: &[NewLine]) -> Result<Vec<Chunk>, PortError> {
    let mut chunks = Vec::new();
    let mut rest = lines;
    let mut first_line = 1;
    while !rest.is_empty() {
        let chunk = write_chunk(rest, first_line).map_err(|error| {
            PortError::permanent(
                ErrorCode::DamagedLog,
                format!("log lines can't be packed: {error}"),
            )
        })?;
        first_line += u64::from(chunk.line_count.unsigned_abs());
        rest = &lines[lines.len().min(first_line as usize - 1)..];
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn write_chunk(lines: &[NewLine], first_line: u64) -> io::Result<Chunk> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut line_count = 0;
    let mut bytes = 0;
    for line in lines.iter().take(MOST_LINES) {
        let mut json = serde_json::to_vec(line)?;
        json.push(b'\n');
        encoder.write_all(&json)?;
        line_count += 1;
        bytes += json.len();
        if bytes >= MOST_BYTES {
            break;
        }
    }
    Ok(Chunk { first_line, line_count, body: encoder.finish()? })
}

/// The lines of a chunk with their numbers.
pub(super) fn read_chunk(chunk: &Chunk) -> Result<Vec<LogLine>, PortError> {
    let broken = |reason: &dyn std::fmt::Display| {
        PortError::permanent(
            ErrorCode::DamagedLog,
            format!("the log is damaged at line {}: {reason}", chunk.first_line),
        )
    };
    let mut json = Vec::new();
    ZlibDecoder::new(&*chunk.body).read_to_end(&mut json).map_err(|error| broken(&error))?;
    let lines: Vec<NewLine> = serde_json::Deserializer::from_slice(&json)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| broken(&error))?;
    if lines.len() as u64 != u64::from(chunk.line_count.unsigned_abs()) {
        return Err(broken(&"lines are missing"));
    }
    let numbers = chunk.first_line..;
    Ok(numbers.zip(lines).map(|(number, line)| LogLine { number, line }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Level;
    use ocim_domain::port_error::Class;

    fn lines(count: usize, text: &str) -> Vec<NewLine> {
        let line = |number| NewLine {
            at: ocim_domain::Timestamp::UNIX_EPOCH,
            level: Level::Info,
            step: "configure".to_owned(),
            text: format!("{number} {text}"),
        };
        (1..=count).map(line).collect()
    }

    fn unpack(chunks: &[Chunk]) -> Vec<LogLine> {
        chunks.iter().flat_map(|chunk| read_chunk(chunk).unwrap()).collect()
    }

    #[test]
    fn chunks_hold_all_lines_in_order_within_their_limits() {
        for (count, text, expected) in
            [(0, "", 0), (1, "", 1), (1_000, "", 1), (2_001, "", 3), (40, "x", 1)]
        {
            let lines = lines(count, text);
            let chunks = write_chunks(&lines).unwrap();
            assert_eq!(chunks.len(), expected);
            let unpacked = unpack(&chunks);
            assert!(unpacked.iter().map(|line| line.number).eq(1..=count as u64));
            assert!(unpacked.into_iter().map(|line| line.line).eq(lines));
        }
        assert_eq!(write_chunks(&lines(40, &"x".repeat(MOST_BYTES / 8))).unwrap().len(), 5);
    }

    #[test]
    fn damage_is_reported_with_the_line() {
        let mut chunk = write_chunks(&lines(3, "text")).unwrap().remove(0);
        chunk.first_line = 17;
        let middle = chunk.body.len() / 2;
        chunk.body[middle] ^= 0xff;
        let error = read_chunk(&chunk).unwrap_err();
        assert_eq!(error.class, Class::Permanent);
        assert!(error.message.starts_with("the log is damaged at line 17: "), "{error}");
    }
}
