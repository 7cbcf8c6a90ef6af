//! What a line may hold: no control characters, and no more than [`LONGEST`] bytes.

use std::iter::Peekable;
use std::str::Chars;

/// Longest line that is stored whole, bytes.
pub const LONGEST: usize = 16 * 1024;

/// The text without terminal sequences (colours, window titles) and without control characters
/// other than tabulators and line feeds.
#[must_use]
pub fn strip_control(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            '\t' | '\n' => clean.push(c),
            _ if c.is_control() => {}
            _ => clean.push(c),
        }
    }
    clean
}

/// Skips what follows an escape character and belongs to it (ECMA-48). A line end is never skipped.
fn skip_sequence(rest: &mut Peekable<Chars<'_>>) {
    if rest.next_if_eq(&'[').is_some() {
        while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
        rest.next_if(|c| matches!(c, '@'..='~'));
    } else if rest.next_if_eq(&']').is_some() {
        // A command to the terminal: its end is a control character, which goes by itself.
        while rest.next_if(|c| !c.is_control()).is_some() {}
        if rest.next_if_eq(&'\u{1b}').is_some() {
            rest.next_if_eq(&'\\');
        }
    } else {
        while rest.next_if(|c| matches!(c, ' '..='/')).is_some() {}
        rest.next_if(|c| matches!(c, '0'..='~'));
    }
}

/// The line, or as much of it as may be stored with a mark that says how much is missing.
#[must_use]
pub fn cut_line(line: &str) -> String {
    if line.len() <= LONGEST {
        return line.to_owned();
    }
    let end = line.floor_char_boundary(LONGEST);
    format!("{}… [{} more bytes]", &line[..end], line.len() - end)
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
    fn a_broken_sequence_does_not_take_the_next_line() {
        for broken in ["\u{1b}", "\u{1b}[", "\u{1b}[31", "\u{1b}]0;title", "\u{1b}("] {
            assert_eq!(strip_control(&format!("a{broken}\nb")), "a\nb");
        }
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
