//! Commands on instances: create, change settings.

use super::details::DetailsAsk;
use super::error::{AppError, SettingsEdit};
use super::reservations::Claim;
use super::{App, Caller, Done};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ocim_domain::configuration::secret_values::warn_of_weak_secrets;
use ocim_domain::configuration::signing_key;
use ocim_domain::configuration::yaml::parse_mapping;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Position};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{self, DetailsChange, Instance};
use ocim_domain::name::{self, Kind, Name, name_id};
use ocim_domain::names;
use ocim_domain::right::ReadScope;
use ocim_domain::settings::{
    Defaults, InstanceSettings, NewSecrets, Purpose, SettingsInput, Violation, change_settings,
    clone_settings, create_settings, purpose,
};
use ocim_domain::shared_server::{Address, Mongodb, Mysql};
use ocim_engine::journal::{ExecuteError, Journal, JournalError, Loaded};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Bytes of a site's master secret; 48 base64 characters (core §5.8).
const SECRET_KEY_BYTES: usize = 36;

/// How often a change is computed anew because somebody else wrote first.
pub(super) const CHANGES_MAX: usize = 16;

/// Extra settings of so many bytes are read at once, unless they hold aliases.
const EXTRA_BYTES_SHORT: usize = 2048;

impl App {
    /// Makes an instance: checks the settings, reserves its names, records it with its `details`.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every broken rule; [`AppError::NamesTaken`] with every name that
    /// another instance has.
    pub async fn create_instance(
        &self,
        by: &Caller,
        input: Map<String, Value>,
        details: DetailsAsk,
    ) -> Result<Done<InstanceId>, AppError> {
        let (input, details) = (parse_input(input)?, details.check("tags")?);
        let create = move |ours: &Defaults, subject: &str, secrets: &NewSecrets| {
            create_settings(input.clone(), ours, subject, secrets)
        };
        self.make_instance(by, details, create).await
    }

    /// Makes an instance with the settings and the owner of another one, but for what is that one's own
    /// (its names, keys, bucket, notes and tags) and for what is `said`.
    ///
    /// # Errors
    /// As [`App::create_instance`]; [`AppError::NotFound`] where there is no such other one.
    pub async fn clone_instance(
        &self,
        by: &Caller,
        source: InstanceId,
        said: Map<String, Value>,
        details: DetailsAsk,
    ) -> Result<Done<InstanceId>, AppError> {
        let ReadScope::Everything = by.sees;
        parse_input(said.clone())?;
        let mut details = details.check("tags")?;
        let (present, _) = self.load_instance(source).await?;
        details.owner.get_or_insert_with(|| present.details.owner.clone());
        let create = move |ours: &Defaults, subject: &str, secrets: &NewSecrets| {
            clone_settings(&present.settings, said.clone(), ours, subject, secrets)
        };
        self.make_instance(by, details, create).await
    }

    /// Makes an instance with the settings that are computed of Ocim's defaults, for the text form of
    /// its id.
    async fn make_instance(
        &self,
        by: &Caller,
        details: DetailsChange,
        create: impl Fn(&Defaults, &str, &NewSecrets) -> Result<InstanceSettings, Vec<Violation>>
        + Send
        + 'static,
    ) -> Result<Done<InstanceId>, AppError> {
        let id = InstanceId(self.new_id(by, "instance"));
        let (stream, meta) = (id.stream(), by.metadata());
        if let Some(executed) = self.journal.find_executed::<Instance>(&stream, &meta).await? {
            return Ok(Done { value: id, position: executed.position });
        }
        let (setting, subject) = (Arc::clone(&self.setting), id.to_string());
        let journal = self.journal.clone();
        let create = move || {
            let create = |secrets: &NewSecrets| create(&setting.defaults, &subject, secrets);
            create_with_secrets(&journal, create)
        };
        let settings = compute(true, create).await?.map_err(AppError::Invalid)?;
        self.check_region(&settings)?;
        self.check_production(&settings).await?;
        let claims = claim_domains(&settings);
        let reserved = self.reserve_names(&meta, id, &claims).await?;
        let (settings, details) = (Box::new(settings), Box::new(details));
        let command = instance::Command::Create { settings, details };
        match self.journal.execute_once::<Instance>(&stream, &meta, command).await {
            Ok(executed) => Ok(Done { value: id, position: executed.position }),
            // It may exist, though nobody said so: its names stay. If it does not, whoever asks
            // for them next takes them over.
            Err(ExecuteError::Journal(error @ JournalError::Unavailable { .. })) => {
                Err(error.into())
            }
            Err(error) => {
                self.release_names(&meta, id, reserved).await;
                Err(error.into())
            }
        }
    }

    /// The instance that holds a domain, if one does.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_instance(&self, domain: &str) -> Result<Option<InstanceId>, AppError> {
        let stream = name_id(Kind::Domain, domain).stream();
        let name::State::Held { owner } = self.journal.load::<Name>(&stream).await?.state else {
            return Ok(None);
        };
        let Ok(id) = owner.parse::<InstanceId>() else { return Ok(None) };
        let state = self.journal.load::<Instance>(&id.stream()).await?.state;
        Ok(state.present().filter(|present| present.holds(Kind::Domain, domain)).map(|_| id))
    }

    /// Changes settings; `if_match` is the version that the caller last saw them at, from 1.
    /// Returns the version they are at now.
    ///
    /// # Errors
    /// [`AppError::Stale`] when they have changed since, [`AppError::Invalid`] with every rule,
    /// [`AppError::NamesTaken`] with every domain that another instance has.
    pub async fn change_settings(
        &self,
        by: &Caller,
        id: InstanceId,
        input: Map<String, Value>,
        if_match: Option<u64>,
    ) -> Result<Done<u64>, AppError> {
        let input = parse_input(input)?;
        for _ in 0..CHANGES_MAX {
            match self.try_change_settings(by, id, input.clone(), if_match).await {
                Err(AppError::VersionConflict) => {}
                outcome => return outcome,
            }
        }
        Err(AppError::VersionConflict)
    }

    /// Computes the settings from one version of the instance, and changes that version or none.
    async fn try_change_settings(
        &self,
        by: &Caller,
        id: InstanceId,
        input: SettingsInput,
        if_match: Option<u64>,
    ) -> Result<Done<u64>, AppError> {
        let loaded = self.journal.load::<Instance>(&id.stream()).await?;
        let present = present_instance(id, &loaded)?;
        let current = present.settings_version;
        if let Some(seen) = if_match.filter(|seen| *seen != current) {
            let edits = self.list_edits(id).await?;
            let changes = edits.into_iter().filter(|edit| edit.version > seen).collect();
            return Err(AppError::Stale { current, changes });
        }
        let before = present.settings.clone();
        let extra = input.configuration_extra_settings.as_deref();
        let is_long = is_long(extra.or(before.configuration_extra_settings.open()));
        let was_launched = !present.appservers.is_empty();
        let change = move || change_settings(&before, input, was_launched);
        let settings = compute(is_long, change).await?.map_err(AppError::Invalid)?;
        self.replace_settings(by, id, loaded, settings).await
    }

    /// Gives an instance these settings, which are checked, at the version that was loaded or not at all.
    pub(super) async fn replace_settings(
        &self,
        by: &Caller,
        id: InstanceId,
        loaded: Loaded<Instance>,
        settings: InstanceSettings,
    ) -> Result<Done<u64>, AppError> {
        let present = present_instance(id, &loaded)?;
        let current = present.settings_version;
        self.check_region(&settings)?;
        let mut claims = claim_domains(&settings);
        claims.retain(|claim| !present.holds(claim.kind, &claim.name));
        // What no balancer serves is free at once; the rest once its balancer is known not to.
        let dropped = match present.load_balancer {
            None => present.dropped_domains(&settings),
            Some(_) => vec![],
        };
        let dropped = self.read_reservations(id, Kind::Domain, &dropped).await?;
        let command = instance::Command::ChangeSettings { settings: Box::new(settings) };
        let events = Instance::decide(&loaded.state, by.ask(command), self.journal.now())
            .map_err(super::appservers::instance_rejected)?;
        let (stream, meta) = (id.stream(), by.metadata());
        // If nothing comes of them, whoever asks for the names next takes them over.
        self.reserve_names(&meta, id, &claims).await?;
        let executed = self.journal.append(&stream, &meta, loaded, events).await?;
        self.release_names(&meta, id, dropped).await;
        let version = executed.state.present().map_or(current, |it| it.settings_version);
        Ok(Done { value: version, position: executed.position })
    }

    /// Every change of the settings, oldest first.
    async fn list_edits(&self, id: InstanceId) -> Result<Vec<SettingsEdit>, AppError> {
        let mut edits = vec![];
        for event in self.journal.store().read_stream(&id.stream(), 0).await? {
            let typed = instance::Event::decode(&event.kind, event.schema, &event.data)?;
            let instance::Event::SettingsChanged { changes, version } = typed else { continue };
            let changed = changes.fields().into_iter().map(str::to_owned).collect();
            let (actor, at) = (event.meta.actor, event.recorded_at);
            edits.push(SettingsEdit { version, actor, at, changed });
        }
        Ok(edits)
    }

    fn check_region(&self, settings: &InstanceSettings) -> Result<(), AppError> {
        if self.setting.regions.contains(&settings.openstack_region) {
            return Ok(());
        }
        let known = self.setting.regions.join("`, `");
        Err(AppError::invalid(
            "openstack_region",
            format!("must be a configured region: `{known}`"),
        ))
    }

    /// Refuses a production instance where something is lacking that it can't do without; tells all
    /// that is.
    async fn check_production(&self, settings: &InstanceSettings) -> Result<(), AppError> {
        if purpose(settings) != Purpose::Production {
            return Ok(());
        }
        let mut lacking = vec![];
        let mut lacks = |field: &str, rule: &str| {
            lacking.push(Violation { field: field.to_owned(), rule: rule.to_owned() });
        };
        let has_keys = !settings.s3_access_key.is_empty() || self.setting.has_aws_account;
        if settings.storage_type == "s3" && !has_keys {
            lacks(
                "storage_type",
                "is `s3`, and no AWS account is configured that could make its bucket: set \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give `s3_access_key`",
            );
        }
        if !self.is_one_registered::<Mysql>().await? {
            lacks(
                "purpose",
                "is `production`, and no MySQL server is registered that could have its databases: \
                 set DEFAULT_INSTANCE_MYSQL_URL, or add one (`ocim mysql-server add`)",
            );
        }
        if !self.is_one_registered::<Mongodb>().await? {
            lacks(
                "purpose",
                "is `production`, and no MongoDB server is registered that could have its courses: \
                 set DEFAULT_INSTANCE_MONGO_URL or DEFAULT_MONGO_REPLICA_SET_*, or add one (`ocim \
                 mongodb-server add`)",
            );
        }
        if lacking.is_empty() { Ok(()) } else { Err(AppError::Invalid(lacking)) }
    }

    /// Whether a server of the kind was added that is not retired, whoever it accepts.
    async fn is_one_registered<A: Address>(&self) -> Result<bool, AppError> {
        Ok(self.list_shared_servers::<A>().await?.iter().any(|(_, server)| !server.is_retired))
    }

    /// The instance's state, or "not found".
    pub(crate) async fn load_instance(
        &self,
        id: InstanceId,
    ) -> Result<(instance::Present, Position), AppError> {
        let loaded = self.journal.load::<Instance>(&id.stream()).await?;
        Ok((present_instance(id, &loaded)?.clone(), loaded.position))
    }
}

/// The settings of a new instance with secrets of its own. A signing key takes long to find: none is
/// looked for where the settings are refused whatever key they have, or where people have given one.
fn create_with_secrets(
    journal: &Journal,
    create: impl Fn(&NewSecrets) -> Result<InstanceSettings, Vec<Violation>>,
) -> Result<InstanceSettings, Vec<Violation>> {
    let mut master = [0; SECRET_KEY_BYTES];
    journal.fill_random(&mut master);
    let stand_in = signing_key::EXAMPLE.to_owned();
    let mut secrets = NewSecrets { master: STANDARD.encode(master), signing_key: stand_in };
    let settings = create(&secrets)?;
    if settings.secret_key_rsa_private.open() != Some(signing_key::EXAMPLE) {
        return Ok(settings);
    }
    secrets.signing_key = journal.new_signing_key();
    create(&secrets)
}

/// Every domain that the settings make the instance's own.
fn claim_domains(settings: &InstanceSettings) -> Vec<Claim> {
    let domains = names::reserved_domains(settings).into_iter();
    domains.map(|(field, name)| Claim { kind: Kind::Domain, name, field }).collect()
}

pub(super) fn present_instance(
    id: InstanceId,
    loaded: &Loaded<Instance>,
) -> Result<&instance::Present, AppError> {
    loaded.state.present().ok_or_else(|| AppError::not_found("instance", id))
}

/// Reads the fields one by one, so that each unknown or ill-typed one is named.
pub(super) fn parse_input(input: Map<String, Value>) -> Result<SettingsInput, AppError> {
    let mut violations = Vec::new();
    for (field, value) in &input {
        let alone = Map::from_iter([(field.clone(), value.clone())]);
        if let Err(error) = serde_json::from_value::<SettingsInput>(Value::Object(alone)) {
            let rule = error.to_string();
            violations.push(Violation { field: field.clone(), rule });
        }
    }
    if !violations.is_empty() {
        return Err(AppError::Invalid(violations));
    }
    serde_json::from_value(Value::Object(input)).map_err(AppError::internal)
}

/// What to tell whoever set these extra settings: passwords that logs can't hide by themselves.
///
/// # Errors
/// [`AppError::Internal`] where the work breaks off.
pub async fn warn_of_settings(extra: &str) -> Result<Vec<String>, AppError> {
    let text = extra.to_owned();
    let warn = move || {
        // What was saved can be read: the door sees to that.
        warn_of_weak_secrets(&parse_mapping(&text).unwrap_or_default())
    };
    compute(is_long(Some(extra)), warn).await
}

/// Whether checking settings with these extra settings may take long enough to hold others up.
pub(super) fn is_long(extra: Option<&str>) -> bool {
    extra.is_some_and(|text| text.len() > EXTRA_BYTES_SHORT || text.contains('*'))
}

/// Computes something: where that may take long, apart from the threads that answer requests.
pub(super) async fn compute<T: Send + 'static>(
    is_long: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    if !is_long {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(AppError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn long_settings_are_read_apart_from_the_threads_that_answer_requests() {
        let short = "EDXAPP_PASSWORD: edx\nEDXAPP_USER: edx\n";
        let at_once = warn_of_settings(short).now_or_never().unwrap().unwrap();
        assert_eq!(at_once.len(), 1, "{at_once:?}");
        let long = format!("{short}# {}\n", "x".repeat(EXTRA_BYTES_SHORT));
        assert!(warn_of_settings(&long).now_or_never().is_none(), "it held the thread");
        assert_eq!(warn_of_settings(&long).await.unwrap(), at_once);
    }
}
