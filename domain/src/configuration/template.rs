//! Jinja templates inside values: what stands outside of their expressions.

/// Opening and closing of expressions, statements and comments.
const EXPRESSIONS: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];

/// Whether Ansible would expand the text.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Pieces of a template in order: each with whether it is an expression.
fn split_template(text: &str) -> Vec<(bool, &str)> {
    let mut pieces = vec![];
    let mut rest = text;
    loop {
        let opened = EXPRESSIONS.iter().filter_map(|(open, close)| Some((rest.find(open)?, close)));
        let Some((start, close)) = opened.min() else {
            pieces.push((false, rest));
            return pieces;
        };
        let end = rest[start..].find(close).map_or(rest.len(), |at| start + at + close.len());
        pieces.push((false, &rest[..start]));
        pieces.push((true, &rest[start..end]));
        rest = &rest[end..];
    }
}

/// The text with an `x` for each byte of its expressions, so that places in it stay the same.
pub(super) fn without_expressions(text: &str) -> String {
    let plain = split_template(text).into_iter().map(|(is_expression, piece)| {
        if is_expression { "x".repeat(piece.len()) } else { piece.to_owned() }
    });
    plain.collect()
}

/// What a template holds literally: the pieces between its expressions without what joins them,
/// expressions that are nothing but a text, and defaults.
pub(super) fn literal_parts(text: &str) -> Vec<&str> {
    let mut parts = vec![];
    for (is_expression, piece) in split_template(text) {
        if is_expression {
            parts.extend(literal_expressions(piece));
        } else {
            let piece = piece.rsplit_once("://").map_or(piece, |(_scheme, rest)| rest);
            parts.push(piece.trim_matches(|c: char| c.is_whitespace() || ":@/?&=".contains(c)));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// `{{ 'text' | filter }}` and `default('text')`.
fn literal_expressions(expression: &str) -> Vec<&str> {
    let inside = expression.trim_matches(|c: char| c.is_whitespace() || "{}%#-".contains(c));
    let defaults = ["default(", "d("].into_iter().flat_map(|call| {
        inside.match_indices(call).map(|(at, call)| inside[at + call.len()..].trim_start())
    });
    [inside].into_iter().chain(defaults).filter_map(leading_text).collect()
}

/// The text in quotes that stands at the start.
fn leading_text(expression: &str) -> Option<&str> {
    let quote = expression.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    expression[1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_parts_are_what_a_template_shows_by_itself() {
        for (text, parts) in [
            ("{{ vault }}", vec![]),
            ("pre-{{ a }}-post", vec!["pre-", "-post"]),
            ("amqp://{{ u }}:hunter22@{{ h }}/v", vec!["hunter22", "v"]),
            ("{{ 'hunter22' | b64encode }}", vec!["hunter22"]),
            ("{{ x | default(\"hunter22\") }}", vec!["hunter22"]),
            ("{{ lookup('password', '/dev/null') }}", vec![]),
            ("{% if a %}hunter22{% endif %}{# why #}", vec!["hunter22"]),
            ("hunter22{{ not closed", vec!["hunter22"]),
        ] {
            assert_eq!(literal_parts(text), parts, "{text}");
        }
    }

    #[test]
    fn places_stay_without_expressions() {
        assert_eq!(without_expressions("a{{é}}b"), "axxxxxxb");
    }
}
