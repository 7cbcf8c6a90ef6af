//! `docs/hardening.md` names tests that exist.

use super::{assert_none, list_code, read};

/// Whether a file defines the test that a path like `sagas::traffic::refuses_two` names: the file's
/// folders and name, or modules inside it, must hold all but the last part in order.
pub(super) fn defines_test(path: &str, text: &str, test: &str) -> bool {
    let mut parts: Vec<&str> = test.split("::").collect();
    let Some(name) = parts.pop() else { return false };
    if !text.contains(&format!("fn {name}(")) {
        return false;
    }
    let mut places = path.trim_end_matches(".rs").split('/');
    parts
        .iter()
        .all(|part| places.any(|place| place == *part) || text.contains(&format!("mod {part} {{")))
}

#[test]
fn each_kind_of_trouble_names_tests_that_exist() {
    let code = list_code();
    let mut findings = vec![];
    for (index, line) in read("docs/hardening.md").lines().enumerate() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let is_row =
            line.starts_with('|') && !line.starts_with("|---") && cells != ["kind", "tests"];
        if !is_row {
            continue;
        }
        let place = format!("docs/hardening.md:{}", index + 1);
        let [_, tests] = cells[..] else {
            findings.push(format!("{place}: a row has two cells"));
            continue;
        };
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            findings.push(format!("{place}: names no test"));
        }
        for test in named {
            if !code.iter().any(|(path, text)| defines_test(path, text, test)) {
                findings.push(format!("{place}: there is no test {test}"));
            }
        }
    }
    assert_none(&findings);
}
