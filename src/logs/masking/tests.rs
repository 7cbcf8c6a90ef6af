//! What masking promises, whatever the secrets, their forms, and however the text is split.

use super::*;
use crate::logs::escapes::list_escaped;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ocim_domain::configuration::Variables;
use ocim_domain::configuration::secret_values::list_secret_values;
use proptest::prelude::*;
use serde_json::{Value, json};

fn masker(secrets: &[&str]) -> Masker {
    Masker::new(secrets.iter().map(|secret| (*secret).to_owned()))
}

/// Masks what a play with these variables prints.
fn masker_of(variables: Value) -> Masker {
    let Value::Object(members) = variables else { panic!("variables are an object") };
    Masker::of_values(list_secret_values(&members))
}

fn out(text: &str) -> SourceLine<'_> {
    SourceLine { is_error: false, text }
}

#[test]
fn masks_each_form_and_leaves_the_rest() {
    let masker = masker(&["hunter\"22", "short"]);
    let text = format!(
        "a hunter\"22 b {} c {} d hunter%2222 e short shorter",
        json!({"p": "hunter\"22"}),
        STANDARD.encode("hunter\"22"),
    );
    assert_eq!(masker.mask(&text), "a *** b {\"p\":\"***\"} c *** d *** e *** shorter");
}

#[test]
fn masks_the_longest_where_secrets_overlap() {
    let masker = masker(&["password", "password-one", "one-more"]);
    assert_eq!(masker.mask("password-one-more, password."), "***, ***.");
}

#[test]
fn masks_a_secret_over_lines_and_keeps_the_lines() {
    let masker = masker(&["ab\ncd\nef\n"]);
    assert_eq!(masker.mask("x ab\ncd\nef y\nab"), "x ***\n***\n*** y\nab");
}

#[test]
fn masks_a_secret_that_is_broken_at_a_blank() {
    let masker = masker(&["correct horse battery"]);
    for text in ["correct horse battery", "correct\n  horse\tbattery", "correct  horse\r\nbattery"]
    {
        let masked = masker.mask(text);
        assert!(!masked.contains(['o', 'b']), "{masked}");
    }
    assert_eq!(masker.mask("a correct horse battery b"), "a *** b");
}

#[test]
fn masks_each_row_of_a_wrapped_base64_text() {
    let key: String = (0..40).map(|n| format!("line {n} of the key\n")).collect();
    let masker = masker(&[&key]);
    let encoded = STANDARD.encode(&key);
    for width in [64, 76] {
        for row in encoded.as_bytes().chunks(width) {
            assert_eq!(masker.mask(std::str::from_utf8(row).unwrap()), MASK);
        }
    }
}

#[test]
fn what_shells_pages_and_modules_print_is_masked() {
    let masker = masker_of(json!({"SOME_PASSWORD": "it's <a> $5 & \"b\""}));
    for shown in [
        "+ mysql -p'it'\\''s <a> $5 & \"b\"'",
        "cmd 'it'\"'\"'s <a> $5 & \"b\"'",
        "cmd it\\'s\\ \\<a\\>\\ \\$5\\ \\&\\ \\\"b\\\"",
        "cmd \"it's <a> \\$5 & \\\"b\\\"\"",
        "<p>it&#x27;s &lt;a&gt; $5 &amp; &quot;b&quot;</p>",
        "<p>it&#39;s &lt;a&gt; $5 &amp; &#34;b&#34;</p>",
        "{\"cmd\": \"it's <a> $5 & \\\"b\\\"\"}",
        "{\"x\": \"it\\u0027s \\u003ca\\u003e $5 \\u0026 \\u0022b\\u0022\"}",
        "{'msg': 'it\\'s <a> $5 & \"b\"'}",
        "?p=it%27s+%3Ca%3E+%245+%26+%22b%22",
    ] {
        let masked = masker.mask(shown);
        assert!(masked.contains(MASK) && !masked.contains('5'), "{masked}");
    }
}

#[test]
fn printed_variables_show_no_secret_of_any_type() {
    let variables = json!({
        "EDXAPP_MYSQL_PASSWORD": 8_123_459_977_u64,
        "OCTAL_TOKEN": 342_391,
        "BROKER": "amqp://rabbit:hun%40ter22@host:5672//",
        "SENTRY_DSN": "https://publickey@sentry.io/42",
        "XQUEUE_BASIC_AUTH": ["edx", "pw-of-xqueue"],
        "oauth": {"KEY": "oauth-value"},
        "JWT_PRIVATE_JWK": "{\"d\": \"exponent\"}",
        "COMPOSED_SECRET": "{{ prefix }}-literal",
        "PIN_PASS": "zq5x1",
    });
    let masker = masker_of(variables.clone());
    let shown = format!("{variables:#}\n01234567 hun@ter22 pre-literal zq5x1.");
    let masked = masker.mask(&shown);
    for secret in [
        "8123459977",
        "342391",
        "01234567",
        "hun%40ter22",
        "hun@ter22",
        "publickey",
        "pw-of-xqueue",
        "oauth-value",
        "exponent",
        "-literal",
        "zq5x1",
    ] {
        assert!(!masked.contains(secret), "{secret} in {masked}");
    }
    assert!(masked.contains("amqp://rabbit:***@host:5672//"), "{masked}");
    assert_eq!(masked.lines().count(), shown.lines().count());
}

#[test]
fn a_user_path_or_name_of_the_site_survives_though_it_is_also_a_secret() {
    let masker =
        masker_of(json!({"EDXAPP_PASSWORD": "edxapp", "BROKER": "amqp://celery:celery@h"}));
    for text in ["chown edxapp /edx/app/edxapp", "celery worker", "EDXAPP_PASSWORD: edxapp_more"] {
        assert_eq!(masker.mask(text), text);
    }
    for (text, masked) in [
        ("EDXAPP_PASSWORD: edxapp", "EDXAPP_PASSWORD: ***"),
        ("EDXAPP_PASSWORD=edxapp ./run", "EDXAPP_PASSWORD=*** ./run"),
        ("{\"EDXAPP_PASSWORD\": \"edxapp\"}", "{\"EDXAPP_PASSWORD\": \"***\"}"),
        ("{'EDXAPP_PASSWORD': 'edxapp'}", "{'EDXAPP_PASSWORD': '***'}"),
        ("{\\\"EDXAPP_PASSWORD\\\": \\\"edxapp\\\"}", "{\\\"EDXAPP_PASSWORD\\\": \\\"***\\\"}"),
        ("amqp://celery:celery@h", "amqp://celery:***@h"),
    ] {
        assert_eq!(masker.mask(text), masked);
    }
}

#[test]
fn a_small_beginning_is_shown_and_its_rest_is_masked() {
    let masker = masker(&["hunter-22"]);
    let first = masker.mask_lines(&[out("the hun")], 0);
    assert_eq!(first, MaskedLines { texts: vec!["the hun".into()], context: 0 });
    let both = masker.mask_lines(&[out("the hun"), out("ter-22 x")], 1);
    assert_eq!(both.texts, ["*** x"]);
}

#[test]
fn a_large_beginning_is_masked_at_once() {
    let masker = masker(&["hunter-22"]);
    assert_eq!(masker.mask_lines(&[out("the hunter")], 0).texts, ["the ***"]);
    assert_eq!(masker.mask_lines(&[out("the hunter"), out("was here")], 0).texts[0], "the hunter");
}

#[test]
fn a_line_of_the_other_stream_between_two_halves_stays() {
    let masker = masker(&["hunter-22"]);
    let error = SourceLine { is_error: true, text: "warning" };
    let masked = masker.mask_lines(&[out("the hun"), error, out("ter-22 x")], 0);
    assert_eq!(masked.texts, ["the ***", "warning", "*** x"]);
}

#[test]
fn a_secret_torn_by_a_stored_line_does_not_get_complete() {
    let masker = masker(&["ab\ncd\nef"]);
    let lines = [out("ab"), out("cd"), out("ef gh")];
    let first = masker.mask_lines(&lines[..2], 0);
    assert_eq!((first.texts, first.context), (vec![MASK.to_owned(); 2], 0));
    assert_eq!(masker.mask_lines(&lines, 2).texts, ["*** gh"]);
}

#[test]
fn its_debug_output_shows_no_secret() {
    assert_eq!(format!("{:?}", masker(&["xxxxxx"])), "Masker { forms: 4, .. }");
}

/// Secrets of an alphabet that brings about overlaps, escapes, line ends and long characters.
/// Without `*`: a mask could otherwise happen to spell a part of a secret.
fn secrets() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab\"'\\\\\né/ $&<]{0,3}[abc\n]{6,10}[ab\"é]{0,3}", 1..4)
        .prop_map(|mut secrets| {
            secrets.retain(|secret| visible(secret).chars().count() >= 6);
            secrets
        })
        .prop_filter("one is long enough", |secrets| !secrets.is_empty())
}

/// A text as it is compared: line ends and blanks hide nothing from a reader.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Every form in which the secret may be printed.
fn forms(secret: &str) -> Vec<String> {
    let mut forms: Vec<_> = list_escaped(secret.trim()).into_iter().collect();
    forms.extend([STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]);
    forms.push(Value::from(Value::from(secret.trim()).to_string()).to_string());
    forms
}

/// A text with secrets in several forms between other characters.
fn text_with(secrets: Vec<String>) -> impl Strategy<Value = (Vec<String>, String)> {
    let shown: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let piece = (prop::sample::select(shown), 0..4_u8, "[abcxé\n ]{0,4}");
    prop::collection::vec(piece, 0..8).prop_map(move |pieces| {
        let shown = pieces.into_iter().map(|(shown, form, filler)| match form {
            0 => filler + &shown.chars().take(4).collect::<String>(),
            _ => filler + &shown,
        });
        (secrets.clone(), shown.collect())
    })
}

/// The line broken after so many characters each time, over and over.
fn break_lines(text: &str, widths: &[usize]) -> String {
    let mut widths = widths.iter().cycle();
    let mut left = *widths.next().unwrap_or(&1);
    let mut broken = String::new();
    for c in text.chars() {
        broken.push(c);
        left -= 1;
        if left == 0 {
            broken.push('\n');
            left = *widths.next().unwrap_or(&1);
        }
    }
    broken
}

/// No form of a secret can be read, also where line ends and blanks are left out.
fn assert_hidden(secrets: &[String], stored: &str) -> Result<(), TestCaseError> {
    let stored = visible(stored);
    for secret in secrets {
        for form in forms(secret) {
            prop_assert!(!stored.contains(&visible(&form)), "{form:?} in {stored:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_masked_text_contains_a_secret(
        (secrets, text) in secrets().prop_flat_map(text_with),
    ) {
        let masked = Masker::new(secrets.clone()).mask(&text);
        prop_assert_eq!(masked.lines().count(), text.lines().count());
        assert_hidden(&secrets, &masked)?;
    }

    #[test]
    fn a_text_broken_anywhere_is_masked_like_the_whole(
        (secrets, text) in secrets().prop_flat_map(text_with),
        widths in prop::collection::vec(1..20_usize, 1..4),
    ) {
        let masker = Masker::new(secrets.clone());
        assert_hidden(&secrets, &masker.mask(&break_lines(&text, &widths)))?;
    }

    /// Stored read by read, each by another process that knows only the lines of its context, with
    /// lines of the other stream anywhere between.
    #[test]
    fn lines_stored_batch_by_batch_never_add_up_to_a_secret(
        (secrets, text) in secrets().prop_flat_map(text_with),
        widths in prop::collection::vec(1..20_usize, 1..4),
        others in prop::collection::vec(prop::bool::weighted(0.2), 200),
        sizes in prop::collection::vec(1..4_usize, 200),
    ) {
        let masker = Masker::new(secrets.clone());
        let broken = break_lines(&text, &widths);
        let mut lines: Vec<SourceLine<'_>> = Vec::new();
        for (text, other) in broken.split('\n').zip(others.iter().cycle()) {
            lines.push(out(text));
            if *other {
                lines.push(SourceLine { is_error: true, text: "zzz" });
            }
        }
        let (mut done, mut context) = (0, 0);
        let mut stored = Vec::new();
        for size in sizes.iter().cycle() {
            if done == lines.len() {
                break;
            }
            let end = (done + size).min(lines.len());
            let masked = masker.mask_lines(&lines[context..end], done - context);
            prop_assert_eq!(masked.texts.len(), end - done);
            stored.extend(masked.texts);
            context += masked.context;
            done = end;
        }
        let of_stream: Vec<_> = stored.iter().zip(&lines).filter(|(_, line)| !line.is_error)
            .map(|(text, _)| text.as_str()).collect();
        assert_hidden(&secrets, &stored.join("\n"))?;
        assert_hidden(&secrets, &of_stream.join("\n"))?;
    }

    /// What holds no secret stays as it is.
    #[test]
    fn a_text_without_secrets_is_not_touched(text in "[a-z ,.\n/:]{0,80}") {
        let mut variables = Variables::new();
        variables.insert("SOME_PASSWORD".into(), "Qz7-Hunter-22".into());
        variables.insert("EDXAPP_LMS_BASE".into(), "tiny.example.com".into());
        let masker = Masker::of_values(list_secret_values(&variables));
        prop_assert_eq!(masker.mask(&text), text);
    }
}
