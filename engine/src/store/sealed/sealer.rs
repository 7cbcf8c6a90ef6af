//! Finds the protected values within a JSON, and seals or opens each.

use super::cipher::DataKey;
use super::keys::{KeyError, SubjectKeys};
use crate::store::{AppendError, ReadError};
use ocim_domain::protected::MARK;
use ocim_domain::system::Ids;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long an opened key may be used without asking for it again: so long does a key live on in
/// other nodes that was shredded in one.
const KEY_TTL: Duration = Duration::from_secs(60);
/// Keys remembered at most.
const KEYS_MAX: usize = 10_000;

/// Why a protected value can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key can't be had.
    #[error("a protected value's key can't be had")]
    Keys(#[from] KeyError),
    /// The sealed text is not what was sealed there.
    #[error("the protected value at `{path}`{} was changed, or sealed for another place", of(.event))]
    Tampered {
        /// The event that holds it, where it is one's.
        event: Option<Uuid>,
        /// JSON pointer to it.
        path: String,
    },
}

fn of(event: &Option<Uuid>) -> String {
    event.map(|event| format!(" of the event {event}")).unwrap_or_default()
}

impl From<SealError> for ReadError {
    fn from(error: SealError) -> Self {
        Self(Box::new(error))
    }
}

impl From<SealError> for AppendError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Keys(KeyError::Unavailable(_)) => Self::Unavailable(Box::new(error)),
            _ => Self::Refused(Box::new(error)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Sealer {
    keys: Arc<dyn SubjectKeys>,
    ids: Arc<dyn Ids>,
    /// Keys as they were found, with the time; `None` is one that is gone.
    found: Mutex<HashMap<String, (Instant, Option<DataKey>)>>,
}

impl Sealer {
    pub(super) fn new(keys: Arc<dyn SubjectKeys>, ids: Arc<dyn Ids>) -> Self {
        Self { keys, ids, found: Mutex::default() }
    }

    /// The JSON with every open value sealed for `event`. One that is sealed already (a copy of
    /// another event's) is opened first, since it would not open at its new place.
    pub(super) async fn seal(&self, value: &Value, event: Uuid) -> Result<Value, SealError> {
        let mut value = self.open(value, None).await?;
        let mut keys = HashMap::new();
        for subject in subjects_with(&value, "open") {
            // Never from memory: another node may have shredded it.
            let key = self.keys.get_or_create(&subject).await?;
            keys.insert(subject, key);
        }
        visit(&mut value, &mut String::new(), &mut |subject, body, path| {
            let (Some(key), Some(Value::String(open))) = (keys.get(subject), body.get("open"))
            else {
                return Ok(());
            };
            let sealed = key.seal_text(&*self.ids, subject, (event, path), open);
            let sealed = sealed.map_err(|_| tampered(Some(event), path))?;
            body.remove("open");
            body.insert("sealed".to_owned(), Value::String(sealed));
            Ok(())
        })?;
        Ok(value)
    }

    /// The JSON with every sealed value open, or neither where its key is gone. With `event`, each
    /// must have been sealed for that event and the path where it is found.
    pub(super) async fn open(
        &self,
        value: &Value,
        event: Option<Uuid>,
    ) -> Result<Value, SealError> {
        let subjects = subjects_with(value, "sealed");
        let mut value = value.clone();
        if subjects.is_empty() {
            return Ok(value); // As most are.
        }
        let mut keys = HashMap::new();
        for subject in subjects {
            let key = self.find_key(&subject).await?;
            keys.insert(subject, key);
        }
        visit(&mut value, &mut String::new(), &mut |subject, body, path| {
            let (Some(key), Some(Value::String(sealed))) = (keys.get(subject), body.get("sealed"))
            else {
                return Ok(());
            };
            let place = event.map(|event| (event, path));
            let open = key.as_ref().map(|key| key.open_text(subject, sealed, place)).transpose();
            let open = open.map_err(|_| tampered(event, path))?;
            body.remove("sealed");
            body.extend(open.map(|open| ("open".to_owned(), Value::String(open))));
            Ok(())
        })?;
        Ok(value)
    }

    pub(super) async fn shred(&self, subject: &str) -> Result<(), KeyError> {
        self.keys.shred(subject).await?;
        self.found().insert(subject.to_owned(), (Instant::now(), None));
        Ok(())
    }

    async fn find_key(&self, subject: &str) -> Result<Option<DataKey>, KeyError> {
        let found = self.found().get(subject).cloned();
        if let Some((at, key)) = found
            && at.elapsed() < KEY_TTL
        {
            return Ok(key);
        }
        let key = self.keys.get(subject).await?;
        let mut found = self.found();
        if found.len() >= KEYS_MAX {
            found.clear();
        }
        found.insert(subject.to_owned(), (Instant::now(), key.clone()));
        Ok(key)
    }

    fn found(&self) -> MutexGuard<'_, HashMap<String, (Instant, Option<DataKey>)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tampered(event: Option<Uuid>, path: &str) -> SealError {
    SealError::Tampered { event, path: path.to_owned() }
}

/// The body of a protected value: the object under its mark, which has no other member.
fn body_of(value: &Value) -> Option<&Map<String, Value>> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(MARK)?.as_object()
}

/// Whose values there are that have the field.
fn subjects_with(value: &Value, field: &str) -> BTreeSet<String> {
    let mut subjects = BTreeSet::new();
    collect_subjects(value, field, &mut subjects);
    subjects
}

fn collect_subjects(value: &Value, field: &str, subjects: &mut BTreeSet<String>) {
    if let Some(body) = body_of(value) {
        let subject = body.get("subject").and_then(Value::as_str);
        subjects.extend(subject.filter(|_| body.contains_key(field)).map(str::to_owned));
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|v| collect_subjects(v, field, subjects)),
        Value::Object(map) => map.values().for_each(|v| collect_subjects(v, field, subjects)),
        _ => {}
    }
}

type Visitor<'a> = dyn FnMut(&str, &mut Map<String, Value>, &str) -> Result<(), SealError> + 'a;

/// Calls `act` with subject, body and JSON pointer of each protected value.
fn visit(value: &mut Value, path: &mut String, act: &mut Visitor<'_>) -> Result<(), SealError> {
    if body_of(value).is_some() {
        let Some(body) = value.get_mut(MARK).and_then(Value::as_object_mut) else { return Ok(()) };
        let subject = body.get("subject").and_then(Value::as_str).unwrap_or_default().to_owned();
        return act(&subject, body, path);
    }
    let parent = path.len();
    let mut step = |name: &str, item: &mut Value| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let outcome = visit(item, path, act);
        path.truncate(parent);
        outcome
    };
    match value {
        Value::Array(items) => {
            items.iter_mut().enumerate().try_for_each(|(n, item)| step(&n.to_string(), item))
        }
        Value::Object(map) => map.iter_mut().try_for_each(|(name, item)| step(name, item)),
        _ => Ok(()),
    }
}
