//! Words that the code had once and that nobody could explain without its history.

use super::{assert_none, list_files, read};

/// The word, and what stands for it. A word with a capital is the name of a type.
const BANNED: [(&str, &str); 18] = [
    ("manieth", "a number that grows"),
    ("Crew", "RunTasks"),
    ("Keeper", "RunTask"),
    ("Outlook", "NextMove"),
    ("Book", "OpenRuns"),
    ("Crowd", "Visitors"),
    ("Ground", "Workspace"),
    ("heed", "handle"),
    ("heeds", "obeys"),
    ("heeded", "handled"),
    ("disband", "shut_down"),
    ("disperse", "stop"),
    ("foresee", "predict"),
    ("foretell", "describe_outcome"),
    ("give_back", "release"),
    ("given_back", "released"),
    ("dismiss_next", "reap_next"),
    ("resists_for_ever", "is_undeletable"),
];

#[test]
fn words_that_explain_nothing_do_not_come_back() {
    let mut findings = vec![];
    for path in list_files() {
        let is_ours = path.contains("src/") || path.starts_with("docs/") || path == "README.md";
        if !is_ours || !(path.ends_with(".rs") || path.ends_with(".md")) {
            continue;
        }
        for (index, line) in read(&path).lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for (banned, better) in BANNED.iter().filter(|(banned, _)| words.contains(banned)) {
                findings.push(format!("{path}:{}: `{banned}`: say `{better}`", index + 1));
            }
            if line.contains("given back") || line.contains("gives back") {
                findings.push(format!("{path}:{}: say `released`", index + 1));
            }
        }
    }
    assert_none(&findings);
}
