//! `docs/parity.md`: every test that it names exists, and every defect of the original is in it.

use super::hardening::defines_test;
use super::{list_code, read};
use std::collections::BTreeSet;

/// The rows of the tables below a heading, cell by cell.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let below = page.split(&format!("## {heading}\n")).nth(1).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// Whether that test exists: `file::test` below `tests/it`, or below `domain/tests/it`.
fn exists(code: &[(String, String)], name: &str) -> bool {
    let (folder, name) = match name.strip_prefix("domain::") {
        Some(name) => ("domain/tests/it/", name),
        None => ("tests/it/", name),
    };
    let mut files = code.iter().filter(|(path, _)| path.starts_with(folder));
    files.any(|(path, text)| defines_test(path, text, name))
}

#[test]
fn every_test_that_the_page_names_exists() {
    let (page, code) = (read("docs/parity.md"), list_code());
    for row in rows(&page, "Behaviours") {
        let (state, test) = (&row[1], row[2].trim_matches('`'));
        match state.as_str() {
            "not yet" => assert_eq!(test, "", "{row:?}"),
            "there" | "there, new" => assert!(exists(&code, test), "{test} of {row:?}"),
            _ => panic!("{row:?}"),
        }
    }
    let defects = rows(&page, "Deviations: the original's defects");
    for row in &defects {
        assert!(exists(&code, row[2].trim_matches('`')), "{row:?}");
    }
    let listed: Vec<_> = defects.iter().map(|row| row[0].split(' ').next().unwrap()).collect();
    let expected: Vec<_> = (1..=18).map(|number| format!("Q{number}")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn what_is_left_out_of_the_comparison_is_listed_with_its_reason() {
    let page = read("docs/parity.md");
    let listed: BTreeSet<_> = rows(&page, "Left out of the comparison of variables")
        .into_iter()
        .map(|row| {
            assert!(row[1].len() > 20, "{row:?}");
            row[0].trim_matches('`').to_owned()
        })
        .collect();
    let comparison = read("domain/tests/it/configuration.rs");
    let removed = comparison.match_indices("theirs.remove(\"").map(|(at, found)| {
        let rest = &comparison[at + found.len()..];
        rest.split('"').next().unwrap().to_owned()
    });
    assert_eq!(removed.collect::<BTreeSet<_>>(), listed);
}
