//! Takes known secrets out of text before it is stored: one pass over all forms of all secrets.

use super::secret_forms::list_forms;
use aho_corasick::AhoCorasick;
use std::fmt;
use std::ops::Range;

/// What stands in a log in place of a secret, once for each line that shows a part of it.
pub const MASK: &str = "***";

/// Knows the secrets of one run.
///
/// Line ends in the text do not count, so a secret wrapped over several lines is found as well.
/// Where occurrences overlap, all of them are masked.
pub struct Masker {
    automaton: AhoCorasick,
    /// Every form of every secret, sorted.
    forms: Vec<String>,
    /// Length of the longest form, bytes.
    longest: usize,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").field("forms", &self.forms.len()).finish_non_exhaustive()
    }
}

impl Default for Masker {
    /// Knows no secret and masks nothing.
    fn default() -> Self {
        Self::new([])
    }
}

impl Masker {
    /// Masks all of `secrets` that have six characters or more, line ends not counted.
    #[must_use]
    #[expect(clippy::expect_used, reason = "only patterns of over 2 GiB do not fit")]
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut forms: Vec<_> =
            secrets.into_iter().flat_map(|secret| list_forms(&secret)).collect();
        forms.sort_unstable();
        forms.dedup();
        let longest = forms.iter().map(String::len).max().unwrap_or(0);
        let automaton = AhoCorasick::new(&forms).expect("secrets fit into memory");
        Self { automaton, forms, longest }
    }

    /// The text with every secret masked; it keeps its number of lines.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        Renderer::default().render(text, 0, text.len(), &self.find_secrets(text))
    }

    /// Like [`Masker::mask`], for text on the line after `open`, which is stored already. Also
    /// returns what is open now: the end of the text that may be the beginning of a secret.
    pub(super) fn mask_after(&self, open: &str, text: &str) -> (String, String) {
        let whole = format!("{open}\n{text}");
        let found = self.find_secrets(&whole);
        let masked = Renderer::default().render(&whole, open.len() + 1, whole.len(), &found);
        (masked, whole[self.find_open_end(&whole)..].trim_start_matches('\n').to_owned())
    }

    /// Where the text shows secrets: byte ranges in order that do not overlap.
    fn find_secrets(&self, text: &str) -> Vec<Range<usize>> {
        let visible = Visible::new(text);
        let mut found: Vec<_> =
            self.automaton.find_overlapping_iter(&visible.text).map(|m| m.range()).collect();
        found.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged.iter().map(|range| visible.locate_range(range)).collect()
    }

    /// The first byte from which the rest of the text may be the beginning of a secret;
    /// the text's length when there is none.
    fn find_open_end(&self, text: &str) -> usize {
        let visible = Visible::new(text);
        let end = visible.text.len();
        let open = (end.saturating_sub(self.longest)..end)
            .filter(|start| visible.text.is_char_boundary(*start))
            .find(|start| self.begins_secret(&visible.text[*start..]));
        open.map_or(text.len(), |start| visible.locate(start))
    }

    /// Whether more text could make this a form of a secret.
    fn begins_secret(&self, text: &str) -> bool {
        let after = self.forms.partition_point(|form| form.as_str() <= text);
        self.forms.get(after).is_some_and(|form| form.starts_with(text))
    }
}

/// A text without its line ends, and where each of its pieces came from.
struct Visible {
    text: String,
    /// Where each piece begins: here, and in the original text.
    starts: Vec<(usize, usize)>,
}

impl Visible {
    fn new(original: &str) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut starts = Vec::new();
        let mut at = 0;
        for piece in original.split(['\n', '\r']) {
            starts.push((text.len(), at));
            text.push_str(piece);
            at += piece.len() + 1;
        }
        Self { text, starts }
    }

    /// Where the byte stands in the original text.
    fn locate(&self, byte: usize) -> usize {
        let piece = self.starts.partition_point(|(start, _)| *start <= byte) - 1;
        let (start, original) = self.starts[piece];
        original + byte - start
    }

    /// The range of the original text for a range that is not empty.
    fn locate_range(&self, range: &Range<usize>) -> Range<usize> {
        self.locate(range.start)..self.locate(range.end - 1) + 1
    }
}

/// Writes text with masks, in one go or piece by piece.
#[derive(Debug, Default)]
struct Renderer {
    /// Whether the mask for what comes next stands there already.
    shown: bool,
}

impl Renderer {
    /// The bytes from `start` to `end` of `text`; `masked` may reach beyond them.
    fn render(&mut self, text: &str, start: usize, end: usize, masked: &[Range<usize>]) -> String {
        let mut out = String::new();
        let mut at = start;
        for range in masked {
            let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
            self.push_plain(&mut out, &text[at..from]);
            self.push_masked(&mut out, &text[from..to]);
            at = to;
        }
        self.push_plain(&mut out, &text[at..end]);
        out
    }

    fn push_plain(&mut self, out: &mut String, text: &str) {
        out.push_str(text);
        self.shown &= text.is_empty();
    }

    fn push_masked(&mut self, out: &mut String, text: &str) {
        for (index, piece) in text.split('\n').enumerate() {
            if index > 0 {
                out.push('\n');
                self.shown = false;
            }
            if !piece.is_empty() && !self.shown {
                out.push_str(MASK);
                self.shown = true;
            }
        }
    }
}

/// Masks a text that comes in pieces: the pieces that go out, joined, are what [`Masker::mask`]
/// makes of the whole. It keeps back only what may be the beginning of a secret.
#[derive(Debug)]
pub struct StreamMasker<'a> {
    masker: &'a Masker,
    held: String,
    /// How many bytes at the start of `held` belong to a secret that is complete.
    covered: usize,
    renderer: Renderer,
}

impl<'a> StreamMasker<'a> {
    /// A masker for one stream.
    #[must_use]
    pub fn new(masker: &'a Masker) -> Self {
        Self { masker, held: String::new(), covered: 0, renderer: Renderer::default() }
    }

    /// Takes the next piece; returns what can be stored now.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let end = self.masker.find_open_end(&self.held);
        self.release(end)
    }

    /// The stream has ended: returns the rest.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.release(self.held.len())
    }

    fn release(&mut self, end: usize) -> String {
        let mut masked = self.masker.find_secrets(&self.held);
        masked.insert(0, 0..self.covered);
        let out = self.renderer.render(&self.held, 0, end, &masked);
        let covered_to = masked.iter().filter(|range| range.start <= end).map(|range| range.end);
        self.covered = covered_to.max().unwrap_or(0).saturating_sub(end);
        self.held.drain(..end);
        out
    }
}

#[cfg(test)]
mod tests;
