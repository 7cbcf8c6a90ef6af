//! Reads `.env` files: lines of `NAME=value`, with quotes as a shell understands them.

use std::collections::BTreeMap;

/// The variables of a file's text; the numbers of the lines (from 1) that are not understood.
///
/// Blank lines and `#` comments (also after a blank behind a value) are skipped and `export ` is
/// allowed. Inside single quotes everything stands for itself; inside double quotes `\n`, `\t`,
/// `\"` and `\\` are escapes. A value that begins with `{` or `[` is JSON and is taken as it stands.
/// Nothing is ever substituted, so a `$` in a password stays.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, Vec<usize>> {
    let mut variables = BTreeMap::new();
    let mut wrong = vec![];
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line.strip_prefix("export ").unwrap_or(line)) {
            Some((name, value)) => {
                variables.insert(name, value);
            }
            None => wrong.push(index + 1),
        }
    }
    if wrong.is_empty() { Ok(variables) } else { Err(wrong) }
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_numeric()) {
        return None;
    }
    Some((name.to_owned(), unquote(value.trim())?))
}

fn unquote(value: &str) -> Option<String> {
    if value.starts_with(['{', '[']) {
        return Some(value.to_owned());
    }
    let mut out = String::new();
    let mut quote = None;
    let mut after_blank = false;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, '#') if after_blank => break,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => match rest.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                c @ ('"' | '\\') => out.push(c),
                c => out.extend(['\\', c]),
            },
            (_, c) => out.push(c),
        }
        after_blank = quote.is_none() && c.is_whitespace();
    }
    // Blanks between the value and a comment are not part of the value, quoted ones are.
    let ends_bare = !value.ends_with(['\'', '"']);
    (quote.is_none()).then(|| if ends_bare { out.trim_end().to_owned() } else { out })
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
            ("A=a#b", "a#b"),
            ("A=value # comment", "value"),
            ("A='{\"ram\": 4096, \"disk\": 40}'", "{\"ram\": 4096, \"disk\": 40}"),
            ("A={\"ram\": 4096}", "{\"ram\": 4096}"),
            ("A='pa$$ # word'", "pa$$ # word"),
            ("A=\"two\\nlines \\\"quoted\\\" c:\\\\x \\$\"", "two\nlines \"quoted\" c:\\x \\$"),
            ("A='x ' # y", "x"),
            ("A=postgres://u:p%40w@h:5432/d?a=b", "postgres://u:p%40w@h:5432/d?a=b"),
        ];
        for (line, value) in cases {
            let read = parse(line).unwrap_or_else(|_| panic!("{line}"));
            assert_eq!(read.get("A").map(String::as_str), Some(value), "{line}");
        }
    }

    #[test]
    fn lines_not_understood_are_numbered() {
        assert_eq!(parse("# c\n\nA=1\nnonsense\n1B=2\nC='open\nD=\"open\\"), Err(vec![4, 5, 6, 7]));
    }
}
