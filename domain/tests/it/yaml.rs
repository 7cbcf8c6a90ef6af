//! People's YAML means what Ansible takes it for, and what it can't pass on is refused with its place.

use ocim_domain::configuration::yaml::{
    YAML_BYTES_MAX, YAML_DEPTH_MAX, YAML_VALUES_MAX, parse_mapping, parse_texts,
};
use serde_json::{Value, json};

#[track_caller]
fn check_scalar(text: &str, expected: &Value) {
    let parsed = parse_mapping(&format!("a: {text}\n"));
    assert_eq!(parsed.as_ref().map(|mapping| &mapping["a"]), Ok(expected), "{text}");
}

#[test]
fn scalars_are_read_by_the_rules_of_yaml_1_1() {
    for (text, expected) in [
        ("yes", json!(true)),
        ("Off", json!(false)),
        ("TRUE", json!(true)),
        ("y", json!("y")),
        ("n", json!("n")),
        ("tRuE", json!("tRuE")),
        ("'yes'", json!("yes")),
        ("\"0755\"", json!("0755")),
        ("0644", json!(420)),
        ("0755", json!(493)),
        ("-010", json!(-8)),
        ("08", json!("08")),
        ("0o17", json!("0o17")),
        ("! 0755", json!("0755")),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("+12", json!(12)),
        ("-12", json!(-12)),
        ("0", json!(0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1.50", json!(1.5)),
        ("1_0.5", json!("1_0.5")),
        (".5", json!(0.5)),
        ("1.5e+3", json!(1500.0)),
        ("1e5", json!("1e5")),
        ("1.5e3", json!("1.5e3")),
        ("1e999", json!("1e999")),
        ("12:30", json!("12:30")),
        ("2019-03-06", json!("2019-03-06")),
        ("1.2.3", json!("1.2.3")),
        ("~", Value::Null),
        ("", Value::Null),
        ("null", Value::Null),
        ("'null'", json!("null")),
        ("'{{ X }}'", json!("{{ X }}")),
        ("!!str 0755", json!("0755")),
        ("!!int '7'", json!(7)),
        ("!unsafe a{{b}}{# c", json!({ "__ansible_unsafe": "a{{b}}{# c" })),
        ("!unsafe '{{ it''s }}'", json!({ "__ansible_unsafe": "{{ it's }}" })),
        ("!unsafe 0644", json!({ "__ansible_unsafe": "0644" })),
        ("[!unsafe a, b]", json!([{ "__ansible_unsafe": "a" }, "b"])),
        ("'.inf'", json!(".inf")),
        ("plain text # comment", json!("plain text")),
        ("é08", json!("é08")),
        ("[yes, 'no', 010]", json!([true, "no", 8])),
        ("{b: 07, c: {d: on}}", json!({ "b": 7, "c": { "d": true } })),
    ] {
        check_scalar(text, &expected);
    }
    check_scalar("|\n  0755\n", &json!("0755\n"));
    check_scalar("|-\n  0755\n", &json!("0755"));
    check_scalar(">\n  one\n  two\n\n  three\n", &json!("one two\nthree\n"));
    check_scalar("\n  0755\n", &json!(493));
}

#[test]
fn anchors_and_merges_are_followed() {
    let text = "a: &x {m: 010, n: '08'}\nb:\n  <<: *x\n  n: 3\nc: *x\n";
    let expected = json!({
        "a": { "m": 8, "n": "08" },
        "b": { "m": 8, "n": 3 },
        "c": { "m": 8, "n": "08" },
    });
    assert_eq!(Value::Object(parse_mapping(text).unwrap()), expected);
}

#[test]
fn an_empty_document_says_nothing() {
    for text in ["", "\n\n", "# nothing\n", "---", "---\n# nothing\n...\n", "{}", "\u{feff}"] {
        assert_eq!(parse_mapping(text).map(|mapping| mapping.len()), Ok(0), "{text:?}");
    }
}

#[test]
fn what_is_no_mapping_is_refused_with_its_place() {
    for (text, line, column, problem) in [
        ("5", 1, 1, "mapping"),
        ("null", 1, 1, "mapping"),
        ("[]", 1, 1, "mapping"),
        ("''", 1, 1, "mapping"),
        ("\n- a\n", 2, 1, "mapping"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "`a` is there twice"),
        ("1: a\n'1': b\n", 2, 1, "`1` is there twice"),
        ("a: {b: 1, b: 2}", 1, 11, "`b` is there twice"),
        ("a: 1\n---\nb: 2\n", 3, 1, "one document"),
        ("a: [1\n", 1, 4, "["),
        ("a: 1\n\tb: 2\n", 1, 4, "tab"),
        ("a: .inf", 1, 4, "infinity"),
        ("a: -.INF", 1, 4, "infinity"),
        ("a: .NaN", 1, 4, "not-a-number"),
        ("ok: 1\na: 123456789012345678901234567890", 2, 4, "too large"),
        ("a: -9223372036854775809", 1, 4, "too large"),
        ("a: 1.0e+999", 1, 4, "too large"),
        ("!!set {A, B}", 1, 7, "!!set"),
        ("a: !vault x", 1, 11, "no vault password"),
        ("a: !unsafe [x]", 1, 12, "before each text"),
        ("!thing a: x", 1, 8, "!thing"),
        ("a: !thing x", 1, 11, "!thing"),
        ("a: !!python/object/apply:os.system ['ls']", 1, 36, "!!python"),
        ("[a]: 1", 1, 1, "string"),
        ("a: &x {b: *x}", 1, 11, "recursive"),
        ("a: *nowhere", 1, 4, "anchor"),
    ] {
        let error = parse_mapping(text).expect_err(text);
        assert!(error.problem.contains(problem), "{text:?}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
        assert!(!error.problem.contains("line"), "the place is told once: {error}");
    }
}

/// Mappings within each other, each on lines of its own, by aliases, or in braces.
fn nested(depth: usize) -> [String; 3] {
    let block = (1..depth).map(|level| format!("{}a:\n", " ".repeat(level - 1)));
    let block = block.collect::<String>() + &" ".repeat(depth - 1) + "a: 1\n";
    let flow = format!("{}1{}", "{a: ".repeat(depth), "}".repeat(depth));
    let mut aliases = "x1: &x1 1\n".to_owned();
    for level in 2..=depth {
        aliases.push_str(&format!("x{level}: &x{level} [*x{}]\n", level - 1));
    }
    [block, flow, aliases]
}

/// Half the stack of the smallest thread that reads people's texts, where nothing is optimized.
const STACK_BYTES: usize = 1024 * 1024;

#[test]
fn the_deepest_text_takes_half_a_stack_and_a_deeper_one_is_refused() {
    let read = || {
        for text in nested(YAML_DEPTH_MAX) {
            assert!(parse_mapping(&text).is_ok(), "{text}");
        }
        let refusals =
            nested(YAML_DEPTH_MAX + 1).map(|text| parse_mapping(&text).unwrap_err().problem);
        let rule = format!("must not nest deeper than {YAML_DEPTH_MAX}");
        assert!(refusals.contains(&rule), "{refusals:?}");
        for depth in [YAML_DEPTH_MAX + 1, 60, 200] {
            for text in nested(depth) {
                let error = parse_mapping(&text).expect_err(&text);
                assert!(
                    error.problem.contains("deep") || error.problem.contains("values"),
                    "{error}"
                );
            }
        }
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(read).unwrap().join().unwrap();
}

#[test]
fn texts_that_would_take_all_memory_are_refused() {
    let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(parse_mapping(&deep).is_err());
    // Few values, but each of them as long as a text may be.
    let wide = format!("a: &a {}\nl: [{}]", "x".repeat(100_000), vec!["*a"; 99].join(","));
    assert!(parse_mapping(&wide).unwrap_err().problem.contains("bytes"));
    let many = format!("l: [{}]", vec!["1"; YAML_VALUES_MAX].join(","));
    assert!(parse_mapping(&many).unwrap_err().problem.contains("values"));
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='j').zip('a'..='i') {
        let items = vec![format!("*{before}"); 10].join(", ");
        laughs.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    assert!(parse_mapping(&laughs).is_err());
    let longest = format!("a: 1\n{}", "\n".repeat(YAML_BYTES_MAX - 5));
    assert!(parse_mapping(&longest).is_ok());
    assert!(parse_mapping(&(longest + "\n")).unwrap_err().problem.contains("bytes"));
}

#[test]
fn a_list_of_texts_is_read_and_anything_else_is_refused_with_its_place() {
    let sql =
        "- DELETE FROM t WHERE a = 'b: c'\n- >-\n  UPDATE t\n  SET a = 1\n- 'SELECT 1; SELECT 2'\n";
    let expected = ["DELETE FROM t WHERE a = 'b: c'", "UPDATE t SET a = 1", "SELECT 1; SELECT 2"];
    // A plain text ends at a colon with a blank.
    assert!(parse_texts(sql).is_err());
    let sql = sql.replace("b: c", "b:c");
    let expected = expected.map(|it| it.replace("b: c", "b:c"));
    assert_eq!(parse_texts(&sql).unwrap(), expected);
    assert_eq!(parse_texts("[SELECT 1, 'SELECT 2']").unwrap(), ["SELECT 1", "SELECT 2"]);
    for text in ["", "# nothing\n", "[]"] {
        assert_eq!(parse_texts(text).unwrap(), Vec::<String>::new(), "{text:?}");
    }
    for (text, line, word) in [
        ("SELECT 1", 1, "list"),
        ("~", 1, "list"),
        ("a: b", 1, "list"),
        ("- SELECT 1\n- 7\n", 2, "quotes"),
        ("- [SELECT 1]", 1, "text"),
    ] {
        let error = parse_texts(text).unwrap_err();
        assert!(error.line == line && error.problem.contains(word), "{text:?}: {error}");
    }
}
