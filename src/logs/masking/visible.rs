//! Lines as secrets are looked for in them: without white space, all of them or one stream's.

use super::SourceLine;
use std::ops::Range;

/// Which lines are looked at as one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// All, in the order of the log.
    All,
    /// Those of standard error, or those of standard output.
    Stream { is_error: bool },
}

impl View {
    /// The views of these lines: each stream by itself only where there are two.
    pub(super) fn of(lines: &[SourceLine<'_>]) -> Vec<Self> {
        let has = |is_error| lines.iter().any(|line| line.is_error == is_error);
        let streams = [false, true].map(|is_error| Self::Stream { is_error });
        let streams = streams.into_iter().filter(|_| has(false) && has(true));
        [Self::All].into_iter().chain(streams).collect()
    }

    pub(super) fn shows(self, line: SourceLine<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Stream { is_error } => line.is_error == is_error,
        }
    }
}

/// The places of a text's lines.
pub(super) fn split_lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split('\n').map(move |line| {
        let start = at;
        at += line.len() + 1;
        start..start + line.len()
    })
}

/// A text without its white space, and where each of its pieces came from.
pub(super) struct Visible<'a> {
    original: &'a str,
    text: String,
    pieces: Vec<Piece>,
}

/// A run of characters other than white space.
struct Piece {
    /// Where it begins in the visible text.
    start: usize,
    /// Where it begins in the original.
    at: usize,
    /// The line that it stands in.
    line: usize,
}

impl<'a> Visible<'a> {
    /// The lines, each with its number and its place in the original.
    pub(super) fn new(
        original: &'a str,
        lines: impl IntoIterator<Item = (usize, Range<usize>)>,
    ) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut pieces = Vec::new();
        for (line, place) in lines {
            let mut at = place.start;
            for word in original[place].split(char::is_whitespace) {
                if !word.is_empty() {
                    pieces.push(Piece { start: text.len(), at, line });
                    text.push_str(word);
                }
                at += word.len();
                at += original[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        Self { original, text, pieces }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The line that the byte stands in.
    pub(super) fn line_of(&self, byte: usize) -> usize {
        self.pieces[self.piece_of(byte)].line
    }

    /// The ranges of the original for a range that is not empty: one for each line.
    pub(super) fn locate(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let (first, last) = (self.piece_of(range.start), self.piece_of(range.end - 1));
        let mut found: Vec<(usize, Range<usize>)> = Vec::new();
        for (index, piece) in self.pieces[first..=last].iter().enumerate() {
            let end = self.pieces.get(first + index + 1).map_or(self.text.len(), |next| next.start);
            let from = piece.at + range.start.saturating_sub(piece.start);
            let to = piece.at + range.end.min(end) - piece.start;
            match found.last_mut() {
                Some((line, place)) if *line == piece.line => place.end = to,
                _ => found.push((piece.line, from..to)),
            }
        }
        found.into_iter().map(|(_, place)| place).collect()
    }

    /// Whether the range is no part of a longer word of the original; a name may stand before it.
    pub(super) fn is_word(&self, range: Range<usize>, has_name: bool) -> bool {
        let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let places = self.locate(range);
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return false };
        let before = self.original[..first.start].chars().next_back();
        let after = self.original[last.end..].chars().next();
        (has_name || !before.is_some_and(is_of_word)) && !after.is_some_and(is_of_word)
    }

    fn piece_of(&self, byte: usize) -> usize {
        self.pieces.partition_point(|piece| piece.start <= byte) - 1
    }
}
