//! What a line may hold: what a terminal would show of it at last, and no more than [`LONGEST`] bytes.

use vte::{Parser, Perform};

/// Longest line that is kept whole, bytes.
pub const LONGEST: usize = 1024 * 1024;

/// The text without terminal sequences (colours, window titles) and without control characters
/// other than tabulators and line feeds.
///
/// Of a line that goes back to its start, as progress bars do, the last state stays.
#[must_use]
pub fn strip_control(text: &str) -> String {
    let mut screen = Screen::default();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            screen.text.push('\n');
            screen.line_start = screen.text.len();
        }
        screen.goes_back = false;
        // A parser of its own: a broken sequence does not reach into the next line.
        Parser::new().advance(&mut screen, drop_unended(line).as_bytes());
    }
    screen.text
}

/// What is left of a text on a terminal that understands line starts only.
#[derive(Default)]
struct Screen {
    text: String,
    line_start: usize,
    /// Whether the next character begins the line anew.
    goes_back: bool,
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        if c.is_control() {
            return;
        }
        if std::mem::take(&mut self.goes_back) {
            self.text.truncate(self.line_start);
        }
        self.text.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' => self.text.push('\t'),
            b'\r' => self.goes_back = true,
            _ => {}
        }
    }
}

/// The line without the beginnings of commands (titles, links, device strings) that do not end in
/// it: a terminal would take all that follows for a part of them.
fn drop_unended(line: &str) -> String {
    let mut pieces = line.split('\u{1b}').peekable();
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    while let Some(piece) = pieces.next() {
        let is_command = piece.starts_with([']', 'P', 'X', '^', '_']);
        let is_ended =
            piece.contains('\u{7}') || pieces.peek().is_some_and(|next| next.starts_with('\\'));
        if is_command && !is_ended {
            kept.push_str(&piece[1..]);
        } else {
            kept.push('\u{1b}');
            kept.push_str(piece);
        }
    }
    kept
}

/// The line, or as much of it as may be stored with a mark that says how much is missing.
#[must_use]
pub fn cut_line(line: &str) -> String {
    let (shown, more) = cut_at(line, LONGEST);
    if more == 0 { line.to_owned() } else { format!("{shown}… [{more} more bytes]") }
}

/// At most so many bytes of a line, whole characters, and how many more it has.
#[must_use]
pub fn cut_at(line: &str, bytes: usize) -> (&str, usize) {
    let end = line.floor_char_boundary(bytes);
    (&line[..end], line.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_titles_and_bells_go_and_text_stays() {
        let text =
            "\u{1b}[0;31mfatal:\u{1b}[0m [é]\u{1b}]0;title\u{7}\tend\u{1b}(B\r\u{0}\u{7f}\u{9b}";
        assert_eq!(strip_control(text), "fatal: [é]\tend");
        assert_eq!(strip_control("\u{1b}]0;title\u{1b}\\after"), "after");
    }

    #[test]
    fn text_after_a_command_that_does_not_end_is_kept() {
        for start in ["\u{1b}]", "\u{1b}P", "\u{1b}_", "\u{1b}^", "\u{1b}X"] {
            assert_eq!(strip_control(&format!("a{start}0;fatal: x")), "a0;fatal: x");
        }
        assert_eq!(strip_control("\u{1b}]0;lost \u{1b}[31mfatal\u{1b}[0m: x"), "0;lost fatal: x");
    }

    #[test]
    fn of_progress_the_last_state_of_each_line_stays() {
        assert_eq!(strip_control(" 10%\r 20%\r100%\ndone"), "100%\ndone");
        assert_eq!(strip_control("whole\r\nnext\r"), "whole\nnext");
        assert_eq!(strip_control("10%\u{1b}[K\r\u{1b}[K20%\u{1b}[K"), "20%");
        assert_eq!(strip_control("\r\r\r"), "");
    }

    #[test]
    fn a_broken_sequence_does_not_take_the_next_line() {
        for broken in ["\u{1b}", "\u{1b}[", "\u{1b}[31", "\u{1b}("] {
            assert_eq!(strip_control(&format!("a{broken}\nb")), "a\nb");
        }
        assert_eq!(strip_control("a\u{1b}]0;title\nb"), "a0;title\nb");
    }

    #[test]
    fn only_lines_over_the_limit_are_cut_and_between_characters() {
        let longest = "x".repeat(LONGEST);
        assert_eq!(cut_line(&longest), longest);
        let line = "é".repeat(LONGEST);
        let cut = cut_line(&format!("x{line}"));
        assert_eq!(cut, format!("x{}… [{} more bytes]", &line[..LONGEST - 2], LONGEST + 2));
    }
}
