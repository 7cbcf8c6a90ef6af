//! What masking promises, whatever the secrets and however the text is split.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

fn masker(secrets: &[&str]) -> Masker {
    Masker::new(secrets.iter().map(|secret| (*secret).to_owned()))
}

#[test]
fn masks_each_form_and_leaves_the_rest() {
    let masker = masker(&["hunter\"22", "short"]);
    let text = format!(
        "a hunter\"22 b {} c {} d hunter%2222 e short",
        serde_json::json!({"p": "hunter\"22"}),
        STANDARD.encode("hunter\"22"),
    );
    assert_eq!(masker.mask(&text), "a *** b {\"p\":\"***\"} c *** d *** e short");
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
fn what_is_open_is_the_least_that_may_begin_a_secret() {
    let masker = masker(&["secret-1"]);
    let mut stream = StreamMasker::new(&masker);
    assert_eq!(stream.push("the sec"), "the ");
    assert_eq!(stream.push("ond"), "second");
    assert_eq!(stream.push(" secret"), " ");
    assert_eq!(stream.push("-1 "), "*** ");
    assert_eq!(stream.push("secre"), "");
    assert_eq!(stream.finish(), "secre");
}

#[test]
fn the_end_of_a_secret_is_masked_though_it_may_begin_another() {
    let masker = masker(&["banana-b"]);
    let mut stream = StreamMasker::new(&masker);
    assert_eq!(["banana-b", "", "a"].map(|text| stream.push(text)).concat(), "***");
    assert_eq!(stream.finish(), "a");
}

#[test]
fn a_secret_torn_by_a_stored_line_does_not_get_complete() {
    let masker = masker(&["ab\ncd\nef"]);
    let (first, open) = masker.mask_after("", "ab\ncd");
    assert_eq!((first.as_str(), open.as_str()), ("ab\ncd", "ab\ncd"));
    assert_eq!(masker.mask_after(&open, "ef gh").0, "*** gh");
}

#[test]
fn its_debug_output_shows_no_secret() {
    assert_eq!(format!("{:?}", masker(&["xxxxxx"])), "Masker { forms: 4, .. }");
}

/// Secrets of an alphabet that brings about overlaps, escapes, line ends and long characters.
/// Without `*`: a mask could otherwise happen to spell a part of a secret.
fn secrets() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab\"\\\\\né/ ]{0,3}[abc\n]{6,10}[ab\"é]{0,3}", 1..4)
}

/// A text with secrets in several forms between other characters.
fn text_with(secrets: Vec<String>) -> impl Strategy<Value = (Vec<String>, String)> {
    let choice = secrets.clone();
    let piece = (prop::sample::select(choice), 0..6_u8, "[abcxé\n ]{0,4}");
    prop::collection::vec(piece, 0..8).prop_map(move |pieces| {
        let shown = pieces.into_iter().map(|(secret, form, filler)| {
            let secret = match form {
                0 => serde_json::Value::from(secret).to_string(),
                1 => STANDARD.encode(secret),
                2 => URL_SAFE_NO_PAD.encode(secret),
                3 => secret.chars().take(4).collect(),
                _ => secret,
            };
            filler + &secret
        });
        (secrets.clone(), shown.collect())
    })
}

/// Splits the text at the given permilles of its length.
fn split<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut * text.len() / 1000).collect();
    at.iter_mut().for_each(|at| {
        while !text.is_char_boundary(*at) {
            *at -= 1;
        }
    });
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

fn visible_length(secret: &str) -> usize {
    secret.chars().filter(|c| *c != '\n').count()
}

proptest! {
    #[test]
    fn no_masked_text_contains_a_secret(
        (secrets, text) in secrets().prop_flat_map(text_with),
    ) {
        let masked = Masker::new(secrets.clone()).mask(&text);
        prop_assert_eq!(masked.lines().count(), text.lines().count());
        for secret in secrets.iter().filter(|secret| visible_length(secret) >= 6) {
            prop_assert!(!masked.contains(secret.as_str()), "{:?} in {:?}", secret, masked);
            let encoded = STANDARD.encode(secret);
            prop_assert!(!masked.contains(&encoded), "{:?} in {:?}", encoded, masked);
            let escaped = serde_json::Value::from(secret.as_str()).to_string();
            prop_assert!(!masked.contains(escaped.trim_matches('"')), "{escaped} in {masked:?}");
        }
    }

    #[test]
    fn a_split_text_is_masked_like_the_whole(
        (secrets, text) in secrets().prop_flat_map(text_with),
        cuts in prop::collection::vec(0..1000_usize, 0..6),
    ) {
        let masker = Masker::new(secrets);
        let mut stream = StreamMasker::new(&masker);
        let mut stored: String = split(&text, &cuts).into_iter().map(|x| stream.push(x)).collect();
        stored += &stream.finish();
        prop_assert_eq!(stored, masker.mask(&text));
    }

    #[test]
    fn lines_stored_batch_by_batch_never_add_up_to_a_secret(
        (secrets, text) in secrets().prop_flat_map(text_with),
        size in 1..4_usize,
    ) {
        let masker = Masker::new(secrets.clone());
        let lines: Vec<_> = text.split('\n').collect();
        let mut open = String::new();
        let mut stored = Vec::new();
        for batch in lines.chunks(size) {
            let (masked, now_open) = masker.mask_after(&open, &batch.join("\n"));
            stored.push(masked);
            open = now_open;
        }
        let stored = stored.join("\n");
        for secret in secrets.iter().filter(|secret| visible_length(secret) >= 6) {
            prop_assert!(!stored.contains(secret.as_str()), "{:?} in {:?}", secret, stored);
        }
    }
}
