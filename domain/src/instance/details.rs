//! What people note about an Instance beside its settings: whose it is, notes, tags. No Appserver is
//! made from it.

use super::tag::{TAGS_MAX, Tag};
use super::{Event, Present, Rejected, Stage};
use std::collections::BTreeSet;

/// Most characters of an owner's name (core §1.1: an organisation's).
pub const OWNER_CHARS_MAX: usize = 250;
/// Most characters of the notes.
pub const NOTES_CHARS_MAX: usize = 10_000;

/// What is noted about an Instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The organization that owns it; blank where none is named.
    pub owner: String,
    /// Notes of people; blank where there are none.
    pub notes: String,
    /// Its tags.
    pub tags: BTreeSet<Tag>,
}

/// What is to change of them; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetailsChange {
    /// The owner from now on; blank for none.
    pub owner: Option<String>,
    /// The notes from now on; blank for none.
    pub notes: Option<String>,
    /// Tags that it is to have.
    pub add_tags: BTreeSet<Tag>,
    /// Tags that it is not to have; one that is added as well is added.
    pub remove_tags: BTreeSet<Tag>,
}

impl DetailsChange {
    /// Only tags.
    #[must_use]
    pub fn of_tags(
        add: impl IntoIterator<Item = Tag>,
        remove: impl IntoIterator<Item = Tag>,
    ) -> Self {
        Self {
            add_tags: add.into_iter().collect(),
            remove_tags: remove.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// What changes, as events; nothing where it is so already.
pub(super) fn decide(details: &Details, change: DetailsChange) -> Result<Vec<Event>, Rejected> {
    let mut events = vec![];
    let owner = change.owner.filter(|owner| *owner != details.owner);
    let notes = change.notes.filter(|notes| *notes != details.notes);
    if owner.is_some() || notes.is_some() {
        events.push(Event::DetailsChanged { owner, notes });
    }
    let added: Vec<_> = change.add_tags.difference(&details.tags).cloned().collect();
    let is_removed = |tag: &&Tag| details.tags.contains(*tag) && !change.add_tags.contains(*tag);
    let removed: Vec<_> = change.remove_tags.iter().filter(is_removed).cloned().collect();
    if !added.is_empty() || !removed.is_empty() {
        let mut tags = details.tags.clone();
        tags.retain(|tag| !removed.contains(tag));
        tags.extend(added.iter().cloned());
        if tags.len() > TAGS_MAX && !added.is_empty() {
            return Err(Rejected::TooManyTags);
        }
        events.push(Event::TagsChanged { tags: tags.into_iter().collect(), added, removed });
    }
    Ok(events)
}

/// Refuses to note something about what is only history.
pub(super) fn check_not_deleted(present: &Present) -> Result<(), Rejected> {
    let (stage, run) = (present.lifecycle.stage, present.lifecycle.run);
    if stage == Stage::Deleted {
        return Err(super::lifecycle::Refused::NotLive { stage, run }.into());
    }
    Ok(())
}

/// What its events mean; others are none of theirs.
pub(super) fn evolve(details: &mut Details, event: &Event) {
    match event {
        Event::DetailsChanged { owner, notes } => {
            if let Some(owner) = owner {
                details.owner.clone_from(owner);
            }
            if let Some(notes) = notes {
                details.notes.clone_from(notes);
            }
        }
        Event::TagsChanged { tags, .. } => details.tags = tags.iter().cloned().collect(),
        _ => {}
    }
}
