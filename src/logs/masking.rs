//! Takes known secrets out of text before it is stored: one pass over all forms of all secrets.

mod visible;

use super::secret_forms::{Form, list_forms};
use aho_corasick::AhoCorasick;
use ocim_domain::configuration::secret_values::SecretValue;
use std::fmt;
use std::ops::Range;
use visible::{View, Visible, split_lines};

/// What stands in a log in place of a secret, once for each line that shows a part of it.
pub const MASK: &str = "***";

/// A shorter beginning of a secret at the end of what is read is an ordinary word too often.
const SHORTEST_BEGINNING: usize = 4;

/// A beginning of so many bytes is masked, however long the whole is.
const LONGEST_BEGINNING: usize = 16;

/// Knows the secrets of one run.
///
/// White space in the text does not count, so a secret wrapped over several lines is found as
/// well. Where occurrences overlap, all of them are masked.
pub struct Masker {
    automaton: AhoCorasick,
    /// Every form of every secret, sorted.
    forms: Vec<Form>,
    /// Length of the longest form, bytes.
    longest: usize,
}

/// A line of a source on its way into a log.
#[derive(Debug, Clone, Copy)]
pub struct SourceLine<'a> {
    /// Whether it was written to standard error.
    pub is_error: bool,
    /// The text, without line ends.
    pub text: &'a str,
}

/// Lines as they may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedLines {
    /// The texts of the new lines.
    pub texts: Vec<String>,
    /// From which line on the lines are needed again to judge what follows them; the number of
    /// all lines when none is.
    pub context: usize,
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
    /// Masks `secrets`: of six characters or more wherever they stand, shorter ones as words.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        Self::of_values(secrets.into_iter().map(SecretValue::new))
    }

    /// Masks each of `secrets` where it is to be hidden.
    #[must_use]
    #[expect(clippy::expect_used, reason = "only patterns of over 2 GiB do not fit")]
    pub fn of_values(secrets: impl IntoIterator<Item = SecretValue>) -> Self {
        let mut forms: Vec<_> =
            secrets.into_iter().flat_map(|secret| list_forms(&secret)).collect();
        forms.sort_unstable();
        forms.dedup();
        let longest = forms.iter().map(|form| form.text.len()).max().unwrap_or(0);
        let texts = forms.iter().map(|form| &form.text);
        let automaton = AhoCorasick::new(texts).expect("secrets fit into memory");
        Self { automaton, forms, longest }
    }

    /// The text with every secret masked; it keeps its number of lines.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let visible = Visible::new(text, split_lines(text).enumerate());
        render(text, 0, self.find_secrets(&visible))
    }

    /// The lines from number `first_new` on, masked; those before it are stored already.
    ///
    /// A secret may be split between lines, also where a line of the other stream stands between
    /// them. What may be the larger part of one whose rest is still to come is masked, too; of a
    /// smaller part the rest is.
    #[must_use]
    pub fn mask_lines(&self, lines: &[SourceLine<'_>], first_new: usize) -> MaskedLines {
        let whole = lines.iter().map(|line| line.text).collect::<Vec<_>>().join("\n");
        let places: Vec<_> = split_lines(&whole).collect();
        let mut masked = Vec::new();
        let mut context = lines.len();
        for view in View::of(lines) {
            let shown = (0..).zip(places.iter().cloned());
            let shown = shown.filter(|(line, _)| view.shows(lines[*line]));
            let visible = Visible::new(&whole, shown);
            masked.extend(self.find_secrets(&visible));
            let text = visible.text();
            if let Some(start) = self.find_beginning(text, |_, _| true) {
                context = context.min(visible.line_of(start));
            }
            if let Some(start) = self.find_beginning(text, is_larger_part) {
                masked.extend(visible.locate(start..text.len()));
            }
        }
        let Some(start) = places.get(first_new).map(|place| place.start) else {
            return MaskedLines { texts: Vec::new(), context };
        };
        let rendered = render(&whole, start, masked);
        MaskedLines { texts: rendered.split('\n').map(str::to_owned).collect(), context }
    }

    /// Where the text shows secrets: byte ranges of the original.
    fn find_secrets(&self, visible: &Visible<'_>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for occurrence in self.automaton.find_overlapping_iter(visible.text()) {
            let form = &self.forms[occurrence.pattern()];
            let has_name = form.name_bytes > 0;
            if form.is_word && !visible.is_word(occurrence.range(), has_name) {
                continue;
            }
            found.extend(visible.locate(occurrence.start() + form.name_bytes..occurrence.end()));
        }
        found
    }

    /// The first byte from which the rest of the visible text is the beginning of a form that is
    /// `wanted`, given the rest.
    fn find_beginning(&self, text: &str, wanted: fn(&Form, &str) -> bool) -> Option<usize> {
        let starts = text.len().saturating_sub(self.longest)..text.len();
        starts.filter(|start| text.is_char_boundary(*start)).find(|start| {
            let rest = &text[*start..];
            let first = self.forms.partition_point(|form| form.text.as_str() < rest);
            let begun = self.forms[first..].iter().take_while(|form| form.text.starts_with(rest));
            begun.filter(|form| form.text.len() > rest.len()).any(|form| wanted(form, rest))
        })
    }
}

/// Whether so much of the secret is there that it must not be seen.
fn is_larger_part(form: &Form, beginning: &str) -> bool {
    let enough = form.text.len().div_ceil(2).clamp(SHORTEST_BEGINNING, LONGEST_BEGINNING);
    !form.is_word && beginning.len() >= enough
}

/// The text from byte `start` on, with a mask for each line of what is masked.
fn render(text: &str, start: usize, mut masked: Vec<Range<usize>>) -> String {
    masked.sort_unstable_by_key(|range| range.start);
    let mut out = String::new();
    let mut at = start;
    // Whether the mask for what comes next stands there already.
    let mut is_shown = false;
    for range in masked {
        let (from, to) = (range.start.max(at), range.end.max(at));
        out.push_str(&text[at..from]);
        is_shown &= at == from;
        for (index, piece) in text[from..to].split('\n').enumerate() {
            if index > 0 {
                out.push('\n');
                is_shown = false;
            }
            if !piece.is_empty() && !is_shown {
                out.push_str(MASK);
                is_shown = true;
            }
        }
        at = to;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests;
