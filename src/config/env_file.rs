//! Reads `.env` files: lines of `NAME=value`, as shells and dotenv libraries understand them.

use std::collections::BTreeMap;

/// The variables of a file's text; the numbers of the lines (from 1) that are not understood.
///
/// `dotenvy` reads each line: `#` begins a comment at the line's start and after a blank, `export ` is
/// allowed, quotes and escapes are a shell's. Differences: nothing is ever substituted, so a `$` in a
/// password stays; a value may have blanks inside; one that begins with `{` or `[` is JSON and is
/// taken as it stands. A later line wins.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, Vec<usize>> {
    let mut variables = BTreeMap::new();
    let mut wrong = vec![];
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        match parse_line(line) {
            Ok(found) => variables.extend(found),
            Err(_) => wrong.push(index + 1),
        }
    }
    if wrong.is_empty() { Ok(variables) } else { Err(wrong) }
}

/// The line's variable, if it has one.
fn parse_line(line: &str) -> Result<Option<(String, String)>, dotenvy::Error> {
    match line.split_once('=').map(|(name, value)| (name, value.trim())) {
        Some((name, json)) if json.starts_with(['{', '[']) => {
            let found = read_with_library(&format!("{name}="))?;
            Ok(found.map(|(name, _)| (name, json.to_owned())))
        }
        Some((name, value)) => read_with_library(&format!("{name}={}", take_literally(value))),
        None => read_with_library(line),
    }
}

/// Each line by itself, so that its number is known and no quote reaches into the next.
fn read_with_library(line: &str) -> Result<Option<(String, String)>, dotenvy::Error> {
    dotenvy::from_read_iter(format!("{line}\n").as_bytes()).next().transpose()
}

/// The value with a backslash before what the library would substitute, or refuse: `$`, and blanks
/// inside a value without quotes.
fn take_literally(value: &str) -> String {
    let mut literal = String::new();
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in value.char_indices() {
        let escapes = c == '\\' && !is_escaped && quote != Some('\'');
        match (quote, c) {
            _ if is_escaped => {}
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '$') => literal.push('\\'),
            (None, ' ') if is_inside(&value[at..]) => literal.push('\\'),
            _ => {}
        }
        literal.push(c);
        is_escaped = escapes;
    }
    literal
}

/// Whether more of the value comes after these blanks, and not a comment.
fn is_inside(rest: &str) -> bool {
    !rest.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        let cases = [
            ("A=plain", "plain"),
            ("A = spaced out ", "spaced out"),
            ("export A=1", "1"),
            ("A=", ""),
            ("A=   # generate with: pwgen", ""),
            ("A= \t# generate with: pwgen", ""),
            ("A=# nothing yet", ""),
            ("  export A = 'x'  # why", "x"),
            ("A=$HOME and ${HOME}", "$HOME and ${HOME}"),
            ("A=\"$HOME ${X} \\$Y\"", "$HOME ${X} $Y"),
            ("A=pa$#word", "pa$#word"),
            ("A='it'\"'\"'s'", "it's"),
            ("A=two  words # and why it's so", "two  words"),
            ("A=a#b", "a#b"),
            ("A=value # comment", "value"),
            ("A='{\"ram\": 4096, \"disk\": 40}'", "{\"ram\": 4096, \"disk\": 40}"),
            ("A={\"ram\": 4096}", "{\"ram\": 4096}"),
            ("A='pa$$ # word'", "pa$$ # word"),
            ("A=\"two\\nlines \\\"quoted\\\" c:\\\\x \\$\"", "two\nlines \"quoted\" c:\\x $"),
            ("A='x ' # y", "x "),
            ("A=postgres://u:p%40w@h:5432/d?a=b", "postgres://u:p%40w@h:5432/d?a=b"),
        ];
        for (line, value) in cases {
            let read = parse(line).unwrap_or_else(|_| panic!("{line}"));
            assert_eq!(read.get("A").map(String::as_str), Some(value), "{line}");
        }
    }

    #[test]
    fn the_environment_is_neither_read_nor_changed() {
        let before: Vec<_> = std::env::vars_os().collect();
        let read = parse("OCIM_ENV_FILE_TEST=$PATH\n").unwrap();
        assert_eq!(read["OCIM_ENV_FILE_TEST"], "$PATH");
        assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_and_the_last_line_of_a_name_counts() {
        let text = "\u{feff}# A={\"old\": 1}\n\n   # B='open\nA=1\r\nA=2\n";
        let read = parse(text).unwrap();
        assert_eq!(read.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn lines_not_understood_are_numbered() {
        assert_eq!(parse("# c\n\nA=1\nnonsense\n1B=2\nC='open\nD=\"open\\"), Err(vec![4, 5, 6, 7]));
    }
}
