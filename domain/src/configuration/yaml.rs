//! People's YAML as Ansible reads it: YAML 1.1 scalars, `<<` merges, nothing said twice.
//!
//! The parser guesses scalars by YAML 1.2 with extensions. Whatever it took for a boolean or a
//! number is therefore read again here from the source text, by the rules of YAML 1.1: `yes` is
//! true, `y` is text, `0644` is 420, `08` and `1e5` are text. Base-60 numbers (`12:30`) and dates
//! stay text. A text tagged `!unsafe` is taken literally: Ansible expands nothing in it.

use super::Variables;
use crate::text::NUL_RULE;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned, Tagged};
use std::fmt;

/// Most bytes of one text.
pub const YAML_BYTES_MAX: usize = 1024 * 1024;
/// How deep mappings and sequences may stand within each other. The parser takes up to 40 kB of the
/// stack for each level where nothing is optimized, and threads have 2 MB.
pub const YAML_DEPTH_MAX: usize = 20;
/// Most values of one text, with every alias written out: what may be asked of one request.
pub const YAML_VALUES_MAX: usize = 10_000;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (line {line}, column {column})")]
pub struct YamlError {
    /// What is wrong, without values.
    pub problem: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

impl YamlError {
    fn new(problem: impl Into<String>, at: Location) -> Self {
        Self { problem: problem.into(), line: at.line(), column: at.column() }
    }
}

/// The mapping that a text holds; empty when there is nothing but blanks and comments.
///
/// # Errors
/// When it is not YAML, not a mapping, says a key twice, or holds what JSON can't: infinities,
/// whole numbers beyond 64 bits, tags other than YAML's own and `!unsafe`.
pub fn parse_mapping(text: &str) -> Result<Variables, YamlError> {
    let root = parse(text)?;
    match &root.value.0 {
        Node::Scalar(Value::Null) if source(&root, text).is_empty() => Ok(Variables::new()),
        Node::Mapping(entries) => resolve_mapping(entries, text),
        Node::Scalar(_) | Node::Sequence(_) => {
            Err(YamlError::new("must be a mapping of names to values", root.referenced))
        }
    }
}

/// The list of texts that a text holds; empty when there is nothing but blanks and comments.
///
/// # Errors
/// As [`parse_mapping`], and when it is no list, or one of something else than texts.
pub fn parse_texts(text: &str) -> Result<Vec<String>, YamlError> {
    let root = parse(text)?;
    match &root.value.0 {
        Node::Scalar(Value::Null) if source(&root, text).is_empty() => Ok(vec![]),
        Node::Sequence(items) => {
            let texts = items.iter().map(|item| match resolve(item, text)? {
                Value::String(text) => Ok(text),
                _ => Err(YamlError::new("must be a text: put it in quotes", item.referenced)),
            });
            texts.collect()
        }
        Node::Scalar(_) | Node::Mapping(_) => {
            Err(YamlError::new("must be a list of texts", root.referenced))
        }
    }
}

fn parse(text: &str) -> Result<Placed<Node>, YamlError> {
    if text.len() > YAML_BYTES_MAX {
        let problem = format!("must have at most {YAML_BYTES_MAX} bytes");
        return Err(YamlError { problem, line: 1, column: 1 });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: YAML_DEPTH_MAX,
            max_nodes: YAML_VALUES_MAX,
            max_events: 4 * YAML_VALUES_MAX,
            max_recorded_anchor_events: 4 * YAML_VALUES_MAX,
            max_total_scalar_bytes: YAML_BYTES_MAX,
            max_recorded_anchor_bytes: 2 * YAML_BYTES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    let root: Placed<Node> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))?;
    check_tag(&root)?;
    Ok(root)
}

/// The parser's message in our words, with its position apart.
fn explain(error: &serde_saphyr::Error) -> YamlError {
    let at = error.location().unwrap_or(Location::UNKNOWN);
    let mut told = error.without_snippet();
    // The place is where the alias stands, the problem what is wrong with what it stands for.
    while let serde_saphyr::Error::AliasError { error, .. } = told {
        told = error.without_snippet();
    }
    let problem = match told {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => says_twice(key),
        serde_saphyr::Error::Budget { breach, .. } => tell_breach(breach),
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "must be one document, but `---` begins another".to_owned()
        }
        other => {
            let text = other.to_string();
            let own = told.location().unwrap_or(at);
            let place = format!(" at line {}, column {}", own.line(), own.column());
            text.strip_suffix(&place).unwrap_or(&text).to_owned()
        }
    };
    YamlError { problem, line: at.line().max(1), column: at.column().max(1) }
}

fn tell_breach(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => {
            format!("must not nest deeper than {YAML_DEPTH_MAX}")
        }
        _ => format!(
            "must hold at most {YAML_VALUES_MAX} values and {YAML_BYTES_MAX} bytes, with each \
             alias written out"
        ),
    }
}

fn says_twice(key: &str) -> String {
    format!("the key `{key}` is there twice")
}

/// With its place and its tag.
type Placed<T> = Spanned<Tagged<T>>;

/// A value as the parser gave it, with the places of all parts.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    Sequence(Vec<Placed<Node>>),
    Mapping(Vec<(Placed<String>, Placed<Node>)>),
}

/// Ansible's tag for a text in which nothing is expanded.
const UNSAFE: &str = "!unsafe";
/// Ansible's form of such a text in JSON.
const UNSAFE_MEMBER: &str = "__ansible_unsafe";
/// What YAML's own tags begin with; written, that is `!!`.
const CORE: &str = "tag:yaml.org,2002:";
/// Those that say no more than JSON can.
const CORE_TAGS: [&str; 11] =
    ["str", "int", "float", "bool", "null", "seq", "map", "timestamp", "binary", "merge", "value"];

/// Refuses a tag that nobody here understands.
fn check_tag<T>(node: &Placed<T>) -> Result<(), YamlError> {
    let Some(tag) = node.value.1.as_deref() else { return Ok(()) };
    let problem = match (tag, tag.strip_prefix(CORE)) {
        ("!", _) => return Ok(()),
        (_, Some(core)) if CORE_TAGS.contains(&core) => return Ok(()),
        (_, Some(core)) => format!("the tag `!!{core}` can't be passed on"),
        ("!vault", _) => "`!vault` can't be read, as Ocim has no vault password: write the text \
                           itself, it is kept encrypted"
            .to_owned(),
        (UNSAFE, _) => "`!unsafe` stands before a text, and before each text apart".to_owned(),
        _ => format!("the tag `{tag}` is unknown"),
    };
    Err(YamlError::new(problem, node.referenced))
}

/// A text that Ansible takes literally.
fn resolve_unsafe(value: &Value, source: &str) -> Value {
    // What looks like a number is text, too: as it is written.
    let text = value.as_str().unwrap_or(source);
    Value::Object([(UNSAFE_MEMBER.to_owned(), text.into())].into_iter().collect())
}

fn resolve(node: &Placed<Node>, text: &str) -> Result<Value, YamlError> {
    if let Tagged(Node::Scalar(value), Some(tag)) = &node.value
        && tag == UNSAFE
    {
        return Ok(resolve_unsafe(&keep_text(value, node.referenced)?, source(node, text)));
    }
    check_tag(node)?;
    match &node.value.0 {
        Node::Scalar(value) => match source(node, text) {
            // Quoted: it is text, or an explicit tag such as `!!int "7"` says what it is.
            quoted if quoted.starts_with(['"', '\'']) => keep_text(value, node.referenced),
            plain if is_guess(value) => {
                resolve_plain(plain).map_err(|problem| YamlError::new(problem, node.referenced))
            }
            _ => keep_text(value, node.referenced),
        },
        Node::Sequence(items) => {
            items.iter().map(|item| resolve(item, text)).collect::<Result<_, _>>().map(Value::Array)
        }
        Node::Mapping(entries) => resolve_mapping(entries, text).map(Value::Object),
    }
}

/// The scalar, unless no program could be given it.
fn keep_text(value: &Value, at: Location) -> Result<Value, YamlError> {
    match value {
        Value::String(text) if text.contains('\0') => Err(YamlError::new(NUL_RULE, at)),
        value => Ok(value.clone()),
    }
}

fn resolve_mapping(
    entries: &[(Placed<String>, Placed<Node>)],
    text: &str,
) -> Result<Variables, YamlError> {
    let mut mapping = Variables::new();
    for (key, value) in entries {
        check_tag(key)?;
        let name = &key.value.0;
        if name.contains('\0') {
            return Err(YamlError::new(NUL_RULE, key.referenced));
        }
        // `1` and `"1"` are two keys to the parser, and one to JSON.
        if mapping.insert(name.clone(), resolve(value, text)?).is_some() {
            return Err(YamlError::new(says_twice(name), key.referenced));
        }
    }
    Ok(mapping)
}

/// The characters of a scalar as they stand in the text, where its anchor says they are.
fn source<'a>(node: &Placed<Node>, text: &'a str) -> &'a str {
    let span = node.defined.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else { return "" };
    let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else {
        return "";
    };
    text.get(start..start + length).unwrap_or("")
}

/// A plain scalar by the rules of YAML 1.1 as PyYAML, and so Ansible, has them.
fn resolve_plain(plain: &str) -> Result<Value, &'static str> {
    match plain {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        _ if is_non_finite(plain) => return Err("infinity and not-a-number can't be passed on"),
        _ => {}
    }
    if let Some((digits, radix)) = split_integer(plain) {
        return parse_integer(plain, digits, radix)
            .ok_or("the whole number is too large; put it in quotes to pass it on as text");
    }
    if is_float(plain) {
        let number = plain.parse().ok().and_then(Number::from_f64);
        return number.map(Value::Number).ok_or("the number is too large");
    }
    Ok(Value::String(plain.to_owned()))
}

/// The digits and radix of a whole number, its sign left out; `None` when it is not one.
fn split_integer(plain: &str) -> Option<(&str, u32)> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (digits, radix) = match unsigned.strip_prefix('0') {
        Some("") => (unsigned, 10),
        Some(rest) => match rest.strip_prefix('x') {
            Some(hexadecimal) => (hexadecimal, 16),
            None => match rest.strip_prefix('b') {
                Some(binary) => (binary, 2),
                None => (rest, 8),
            },
        },
        None => (unsigned, 10),
    };
    let has_digit = digits.chars().any(|c| c.is_digit(radix));
    let is_whole = digits.chars().all(|c| c == '_' || c.is_digit(radix));
    (has_digit && is_whole).then_some((digits, radix))
}

fn parse_integer(plain: &str, digits: &str, radix: u32) -> Option<Value> {
    let magnitude = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    let number = if plain.starts_with('-') { -magnitude } else { magnitude };
    u64::try_from(number)
        .map(Value::from)
        .or_else(|_negative| i64::try_from(number).map(Value::from))
        .ok()
}

/// Whether what the parser took for a number, and is no whole one, is a number: YAML 1.1 asks for a
/// point, and for the sign of an exponent.
fn is_float(plain: &str) -> bool {
    plain.split_once('.').is_some_and(|(_, rest)| {
        rest.split_once(['e', 'E']).is_none_or(|(_, exponent)| exponent.starts_with(['+', '-']))
    })
}

/// Whether the parser took a scalar for something else than text or nothing. It hands infinities
/// over as text, spelled like this.
fn is_guess(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => is_non_finite(text),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn is_non_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar, a sequence or a mapping")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut sequence = vec![];
        while let Some(item) = items.next_element()? {
            sequence.push(item);
        }
        Ok(Node::Sequence(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping = vec![];
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Node::Mapping(mapping))
    }
}
