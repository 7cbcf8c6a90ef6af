//! What people note about instances beside their settings: owner, notes, tags.

use super::appservers::instance_error;
use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::details::{NOTES_CHARS_MAX, OWNER_CHARS_MAX};
use ocim_domain::instance::{self, DetailsChange, Instance, Tag};
use ocim_domain::settings::Violation;
use ocim_domain::text::NUL_RULE;
use std::collections::BTreeSet;

/// What is to be noted, as it was given; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct DetailsAsk {
    /// The owner; blank for none.
    pub owner: Option<String>,
    /// The notes; blank for none.
    pub notes: Option<String>,
    /// Tags to be added.
    pub add_tags: Vec<String>,
    /// Tags to be removed.
    pub remove_tags: Vec<String>,
}

impl DetailsAsk {
    /// What is asked for, where it keeps the rules; `tags` is what people call the tags to be added.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every rule that is broken.
    pub(super) fn check(self, tags: &str) -> Result<DetailsChange, AppError> {
        let mut violations = vec![];
        let owner = self.owner.map(|owner| owner.trim().to_owned());
        check_text("owner", owner.as_deref(), OWNER_CHARS_MAX, &mut violations);
        check_text("notes", self.notes.as_deref(), NOTES_CHARS_MAX, &mut violations);
        let add_tags = read_tags(tags, &self.add_tags, &mut violations);
        let remove_tags = read_tags("remove_tags", &self.remove_tags, &mut violations);
        if violations.is_empty() {
            Ok(DetailsChange { owner, notes: self.notes, add_tags, remove_tags })
        } else {
            Err(AppError::Invalid(violations))
        }
    }
}

fn check_text(field: &str, text: Option<&str>, most: usize, violations: &mut Vec<Violation>) {
    let Some(text) = text else { return };
    let rule = if text.contains('\0') {
        NUL_RULE.to_owned()
    } else if text.chars().count() > most {
        format!("must have at most {most} characters")
    } else {
        return;
    };
    violations.push(Violation { field: field.to_owned(), rule });
}

fn read_tags(field: &str, texts: &[String], violations: &mut Vec<Violation>) -> BTreeSet<Tag> {
    let mut tags = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(tag) => drop(tags.insert(tag)),
            Err(rule) => violations
                .push(Violation { field: format!("{field}[{index}]"), rule: format!("{rule}") }),
        }
    }
    tags
}

impl App {
    /// Notes whose an instance is, notes and tags; nothing changes where all is so already.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every broken rule, [`AppError::Rejected`] for one that is deleted or
    /// would have too many tags.
    pub async fn change_details(
        &self,
        by: &Caller,
        id: InstanceId,
        ask: DetailsAsk,
    ) -> Result<Done<()>, AppError> {
        let command = instance::Command::ChangeDetails { change: Box::new(ask.check("add_tags")?) };
        let journal = &self.journal;
        let executed =
            journal.execute_once::<Instance>(&id.stream(), &by.metadata(), by.ask(command)).await;
        let executed = executed.map_err(|error| instance_error(id, error))?;
        Ok(Done { value: (), position: executed.position })
    }
}
