//! One page for each problem type, for each reason why a step fails for good, and for each kind of stuck run.

use include_dir::{Dir, include_dir};

static PAGES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs/problems");

/// The page of this name, as Markdown: what happened, what to do, common causes.
#[must_use]
pub fn find_page(name: &str) -> Option<&'static str> {
    PAGES.get_file(format!("{name}.md"))?.contents_utf8()
}

/// The names of all pages, in order.
#[must_use]
pub fn list_pages() -> Vec<&'static str> {
    let stems = PAGES.files().filter_map(|file| file.path().file_stem()?.to_str());
    let mut names: Vec<_> = stems.collect();
    names.sort_unstable();
    names
}

/// What a page says in its first sentence: what happened.
#[must_use]
pub fn first_sentence(page: &'static str) -> &'static str {
    let text = page.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    let text = text.unwrap_or_default();
    text.find(". ").map_or(text, |end| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_api_spec::ProblemType;
    use ocim_domain::saga::{ErrorCode, StuckCode};
    use std::collections::BTreeSet;

    #[test]
    fn every_problem_has_its_page_and_no_page_is_orphaned() {
        let problems = ProblemType::ALL.iter().map(|kind| kind.name());
        let errors = ErrorCode::ALL.iter().map(|code| code.name());
        let stuck = StuckCode::ALL.iter().map(|code| code.name());
        let names: Vec<_> = problems.chain(errors).chain(stuck).collect();
        let unique: BTreeSet<_> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len(), "a name means one thing: {names:?}");
        assert_eq!(unique, list_pages().into_iter().collect());
    }

    #[test]
    fn every_page_says_what_happened_what_to_do_and_common_causes() {
        for name in list_pages() {
            let page = find_page(name).unwrap();
            let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
            let title = format!("# {name}");
            assert_eq!(headings, [title.as_str(), "## What to do", "## Common causes"], "{name}");
            for part in page.split("\n## ").skip(1) {
                assert!(part.contains("\n- "), "{name}: nothing is listed below {part:?}");
            }
            assert!(first_sentence(page).ends_with('.'), "{name}");
        }
    }

    #[test]
    fn a_problem_is_found_by_the_path_of_its_type() {
        for kind in ProblemType::ALL {
            assert_eq!(kind.uri(), format!("/problems/{}", kind.name()));
        }
    }
}
