//! The recipes tell the truth: what an item names beside a file stands in that file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, each by its name.
fn pages() -> Vec<(String, String)> {
    let all = fs::read_dir(root().join("docs/recipes")).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), text)
    };
    all.map(read).collect()
}

/// The items of a page's lists, each on one line.
fn items(page: &str) -> Vec<String> {
    let mut items: Vec<String> = vec![];
    let mut is_within = false;
    for line in page.lines() {
        let begins = line.starts_with("- ")
            || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        match (begins, is_within && line.starts_with(' '), items.last_mut()) {
            (true, ..) => items.push(line.to_owned()),
            (false, true, Some(item)) => *item += &format!(" {}", line.trim()),
            _ => {}
        }
        is_within = begins || is_within && line.starts_with(' ');
    }
    items
}

/// What stands between backticks.
fn spans(item: &str) -> impl Iterator<Item = &str> {
    item.split('`').skip(1).step_by(2)
}

fn is_path(span: &str) -> bool {
    span.contains('/') && !span.contains(' ') && root().join(span).exists()
}

/// A word of the code, not a command that somebody types.
fn is_word(span: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    !span.is_empty() && span.chars().all(plain)
}

/// The text of a file, or of all files below a folder.
fn text_of(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap_or_default();
    }
    let below = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    below.map(|path| text_of(&path)).collect()
}

#[test]
fn what_a_recipe_names_beside_a_file_stands_in_it() {
    let (mut findings, mut checked) = (vec![], 0);
    for (page, text) in pages() {
        for item in items(&text) {
            let paths: Vec<_> = spans(&item).filter(|span| is_path(span)).collect();
            let all: String = paths.iter().map(|path| text_of(&root().join(path))).collect();
            for word in spans(&item).filter(|span| is_word(span)) {
                checked += 1;
                if !paths.is_empty() && !all.contains(word) {
                    findings.push(format!("{page}: `{word}` stands in none of {paths:?}"));
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    assert!(checked > 60, "{checked} words: the recipes are read wrongly");
}

#[test]
fn every_recipe_is_listed_and_names_what_is_registered() {
    let pages = pages();
    let index = &pages.iter().find(|(name, _)| name == "README.md").unwrap().1;
    let mut named = BTreeSet::new();
    for (name, text) in &pages {
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{name}");
        named.extend(items(text).iter().flat_map(|item| spans(item)).map(str::to_owned));
    }
    // Where things of each kind are registered: a new place of that sort belongs into its recipe.
    for place in [
        "domain/src/settings/table.rs",
        "domain/src/run_record/input.rs",
        "domain/src/run_record/output.rs",
        "domain/src/right.rs",
        "domain/tests/it/golden.rs",
        "domain/src/ids.rs",
        "domain/tests/it/sample.rs",
        "projections/src/lib.rs",
        "projections/src/timeline.rs",
        "projections/tests/samples/events.rs",
        "adapters/src/lib.rs",
        "adapters/src/breaker/charges.rs",
        "api-spec/src/lib.rs",
        "api-spec/src/texts.rs",
        "src/http.rs",
        "src/processes.rs",
        "src/processes/start.rs",
        "src/processes/resource.rs",
        "src/boot/parts.rs",
        "src/cli.rs",
        "docs/cli.md",
        "tests/it/sagas/scenarios.rs",
        "tests/it/sagas/outside.rs",
    ] {
        assert!(named.contains(place), "no recipe names {place}");
    }
}

/// A call that a circuit does not know would go past it, where the trait gives it a body.
#[test]
fn circuits_know_every_call_of_their_ports_and_each_is_made_to_fail() {
    let charges = fs::read_to_string(root().join("adapters/src/breaker/charges.rs")).unwrap();
    let files = fs::read_dir(root().join("adapters/src")).unwrap().map(|it| it.unwrap().path());
    let mut ports = 0;
    for file in files.filter(|file| file.is_file()) {
        let text = fs::read_to_string(&file).unwrap();
        let Some((_, rows)) = text.split_once("\nguarded! { ") else { continue };
        ports += 1;
        let (rows, _) = rows.split_once("\n}}").unwrap();
        let (port, _) = rows.split_once(' ').unwrap();
        let (_, body) = text.split_once(&format!("pub trait {port}")).unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        for method in body.split("    fn ").skip(1).chain(body.split("async fn ").skip(1)) {
            let call = format!("{}(", method.split('(').next().unwrap());
            let is_row = |line: &str| line.trim_start().starts_with(&call);
            let place = file.display();
            assert!(rows.lines().any(is_row), "{place}: `guarded!` does not name `{call}…)`");
        }
        for method in body.split("async fn ").skip(1) {
            let call = format!("    {}(", method.split('(').next().unwrap());
            assert!(charges.contains(&call), "charges.rs does not fail `{}…)`", call.trim());
        }
    }
    assert!(ports >= 4, "{ports} ports behind circuits: they are read wrongly");
}
