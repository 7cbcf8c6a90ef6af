//! Commands on bulk operations: choose instances, ask, pause, resume, stop.

use super::error::{AppError, Violation};
use super::{App, Caller, Done};
use crate::read_models::SelectableRow;
use ocim_domain::bulk::sql::{Sql, check_statements};
use ocim_domain::bulk::{
    self, BATCH_SIZE_MAX, Bulk, FREQUENCY_SECONDS_MAX, INSTANCES_MAX, Pace, ProgressTags,
    Redeployment, Request, Stop, Work,
};
use ocim_domain::ids::{BulkId, InstanceId, RunId};
use ocim_domain::instance::Tag;
use ocim_domain::instance::attempts::ATTEMPTS_MAX;
use ocim_domain::lookup::{Lookup, read_lookups};
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::main_database;
use ocim_domain::settings::{InstanceSettings, SETTINGS};
use ocim_engine::journal::ExecuteError;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// Most domains that are named at once.
const DOMAINS_MAX: usize = 1_000;
/// Rows that are read at once while instances are chosen.
const PAGE: usize = 200;
/// What a condition may ask for beside settings.
const FIELDS: [&str; 6] = ["id", "domain", "tags", "owner", "creator", "successfully_provisioned"];

/// How fast a bulk operation goes, as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct PaceAsk {
    /// Most instances at a time.
    pub batch_size: u32,
    /// Shortest time between the beginnings of two batches.
    pub frequency_seconds: u32,
    /// Whether one goes first.
    pub canary: bool,
    /// After so many failures nothing more is begun.
    pub failures_max: Option<u32>,
}

/// Which instances are to be redeployed, and how.
#[derive(Debug, Clone)]
pub struct RedeployAsk {
    /// What the tags of progress are made of.
    pub tag: String,
    /// Conditions that must hold.
    pub filter: Map<String, Value>,
    /// Whoever meets all of these conditions is left out; nobody where there are none.
    pub exclude: Map<String, Value>,
    /// Settings to be changed before the launch.
    pub update: Map<String, Value>,
    /// SQL that runs on each one's main database before that.
    pub sql: Vec<String>,
    /// How often each launch is attempted.
    pub attempts: u32,
    /// Whether the new Appserver takes the place of all others.
    pub activate: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub enum BulkAsk {
    /// Launch an Appserver of each.
    Redeploy(Box<RedeployAsk>),
    /// Take each out of service whose internal domain of its LMS is among these.
    Archive {
        /// The domains.
        domains: Vec<String>,
    },
}

/// One that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which.
    pub id: InstanceId,
    /// What people call it.
    pub name: String,
    /// Where its LMS is.
    pub domain: String,
    /// Why nothing would be done to it, where that is known now.
    pub left_out: Option<&'static str>,
}

/// What an operation would do, or does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkPlan {
    /// To which instances, in this order.
    pub chosen: Vec<Chosen>,
    /// What was asked for and is not there.
    pub unknown: Vec<String>,
}

/// One that was taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedBulk {
    /// The operation.
    pub id: BulkId,
    /// The run that carries it out.
    pub run: RunId,
    /// How many instances it is about.
    pub count: usize,
}

impl App {
    /// What a bulk operation would do; nothing is recorded.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every broken rule.
    pub async fn plan_bulk(
        &self,
        by: &Caller,
        ask: &BulkAsk,
        pace: PaceAsk,
    ) -> Result<BulkPlan, AppError> {
        by.need_reason()?;
        check_pace(pace)?;
        let mut plan = self.choose(by, ask).await?;
        if let BulkAsk::Redeploy(ask) = ask
            && !ask.sql.is_empty()
        {
            for chosen in &mut plan.chosen {
                let (instance, _) = self.load_instance(chosen.id).await?;
                let database = main_database(&instance.servers, instance.resources.as_ref());
                chosen.left_out = database.err();
            }
        }
        Ok(plan)
    }

    /// Asks for a bulk operation, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with every broken rule; [`AppError::Rejected`] where it would be about no
    /// instance, or about too many.
    pub async fn request_bulk(
        &self,
        by: &Caller,
        ask: BulkAsk,
        pace: PaceAsk,
    ) -> Result<Done<StartedBulk>, AppError> {
        let reason = by.need_reason()?;
        let pace = check_pace(pace)?;
        let id = BulkId(self.new_id(by, "bulk operation"));
        let run = RunId(self.new_id(by, "run"));
        let (stream, meta) = (id.stream(), by.metadata());
        if let Some(executed) = self.journal.find_executed::<Bulk>(&stream, &meta).await? {
            let count = executed.state.map_or(0, |bulk| bulk.request.instances.len());
            let value = StartedBulk { id, run, count };
            return Ok(Done { value, position: executed.position });
        }
        let plan = self.choose(by, &ask).await?;
        let instances: Vec<_> = plan.chosen.into_iter().map(|chosen| chosen.id).collect();
        match instances.len() {
            0 => return Err(AppError::rejected("there is no instance that it would be about")),
            1..=INSTANCES_MAX => {}
            count => {
                let why = format!("it would be about {count} instances: {INSTANCES_MAX} at most");
                return Err(AppError::rejected(why));
            }
        }
        let work = read_work(id, ask)?;
        let count = instances.len();
        let request = Request { run, reason, work, instances, pace };
        let command = bulk::Command::Request(Box::new(request));
        let executed = self.journal.execute_once::<Bulk>(&stream, &meta, command).await?;
        Ok(Done { value: StartedBulk { id, run, count }, position: executed.position })
    }

    /// Has a bulk operation begin no more instances for now.
    ///
    /// # Errors
    /// [`AppError::Rejected`] for one that is over or stopped.
    pub async fn pause_bulk(&self, by: &Caller, id: BulkId) -> Result<Done<()>, AppError> {
        self.steer_bulk(by, id, bulk::Command::Pause { reason: by.need_reason()? }).await
    }

    /// Has a paused bulk operation go on.
    ///
    /// # Errors
    /// As [`App::pause_bulk`].
    pub async fn resume_bulk(&self, by: &Caller, id: BulkId) -> Result<Done<()>, AppError> {
        self.steer_bulk(by, id, bulk::Command::Resume).await
    }

    /// Has a bulk operation begin no more instances; those that were begun come to their end.
    ///
    /// # Errors
    /// [`AppError::Rejected`] for one that is over.
    pub async fn stop_bulk(&self, by: &Caller, id: BulkId) -> Result<Done<()>, AppError> {
        let stop = Stop::Asked { reason: by.need_reason()? };
        self.steer_bulk(by, id, bulk::Command::Stop { stop }).await
    }

    async fn steer_bulk(
        &self,
        by: &Caller,
        id: BulkId,
        command: bulk::Command,
    ) -> Result<Done<()>, AppError> {
        let executed =
            self.journal.execute_once::<Bulk>(&id.stream(), &by.metadata(), command).await;
        match executed {
            Ok(executed) => Ok(Done { value: (), position: executed.position }),
            Err(ExecuteError::Rejected(bulk::Rejected::Absent)) => {
                Err(AppError::not_found("bulk operation", id))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn choose(&self, by: &Caller, ask: &BulkAsk) -> Result<BulkPlan, AppError> {
        match ask {
            BulkAsk::Redeploy(ask) => self.choose_for_redeployment(by, ask).await,
            BulkAsk::Archive { domains } => self.choose_by_domain(by, domains).await,
        }
    }

    /// Live instances that were launched before, bear none of the tags, meet the filter and are not
    /// excluded; oldest first (core §4.7).
    async fn choose_for_redeployment(
        &self,
        by: &Caller,
        ask: &RedeployAsk,
    ) -> Result<BulkPlan, AppError> {
        let (tags, filter, exclude) = check_redeployment(ask)?;
        let mut chosen = vec![];
        let mut after = None;
        loop {
            let rows = self.reads(by).list_selectable(PAGE, after.as_deref()).await;
            let rows = rows.map_err(|error| AppError::unavailable("the database", error))?;
            let is_last = rows.len() < PAGE;
            after = rows.last().map(|row| row.id.clone());
            for row in rows {
                if tags.all().iter().any(|tag| row.tags.iter().any(|it| it == tag.as_str())) {
                    continue;
                }
                let fields = self.fields_of(&row).await?;
                let is_excluded =
                    !exclude.is_empty() && exclude.iter().all(|it| it.admits(&fields));
                if filter.iter().all(|it| it.admits(&fields)) && !is_excluded {
                    chosen.extend(row.chosen());
                }
            }
            if is_last {
                return Ok(BulkPlan { chosen, unknown: vec![] });
            }
        }
    }

    /// What conditions may ask for of an instance.
    async fn fields_of(&self, row: &SelectableRow) -> Result<Map<String, Value>, AppError> {
        let opened = self.open(&row.settings).await?;
        let settings: InstanceSettings =
            serde_json::from_value(opened).map_err(AppError::internal)?;
        let mut fields = settings.show();
        fields.insert("id".to_owned(), row.id.clone().into());
        fields.insert("domain".to_owned(), row.domain.clone().into());
        fields.insert("tags".to_owned(), row.tags.clone().into());
        fields.insert("owner".to_owned(), row.owner.clone().into());
        fields.insert("creator".to_owned(), row.creator.clone().into());
        fields.insert("successfully_provisioned".to_owned(), row.successfully_provisioned.into());
        Ok(fields)
    }

    /// Instances in service by the internal domain of their LMS (core §4.8).
    async fn choose_by_domain(
        &self,
        by: &Caller,
        domains: &[String],
    ) -> Result<BulkPlan, AppError> {
        if domains.len() > DOMAINS_MAX {
            let rule = format!("must be {DOMAINS_MAX} domains at most");
            return Err(AppError::invalid("domains", rule));
        }
        let wanted: BTreeSet<_> =
            domains.iter().map(|it| it.trim().to_lowercase()).filter(|it| !it.is_empty()).collect();
        if wanted.is_empty() {
            return Err(AppError::invalid("domains", "must name at least one domain"));
        }
        let mut plan = BulkPlan { chosen: vec![], unknown: vec![] };
        let wanted: Vec<_> = wanted.into_iter().collect();
        for some in wanted.chunks(PAGE) {
            let rows = self.reads(by).list_selectable_by_domain(some).await;
            let rows = rows.map_err(|error| AppError::unavailable("the database", error))?;
            let known: BTreeSet<_> = rows.iter().map(|row| row.internal_domain.clone()).collect();
            plan.unknown.extend(some.iter().filter(|domain| !known.contains(*domain)).cloned());
            plan.chosen.extend(rows.iter().filter_map(SelectableRow::chosen));
        }
        Ok(plan)
    }
}

impl SelectableRow {
    fn chosen(&self) -> Option<Chosen> {
        let id = self.id.parse().ok()?;
        let (name, domain) = (self.name.clone(), self.domain.clone());
        Some(Chosen { id, name, domain, left_out: None })
    }
}

/// The tags, the filter and the exclusion of a redeployment.
fn check_redeployment(
    ask: &RedeployAsk,
) -> Result<(ProgressTags, Vec<Lookup>, Vec<Lookup>), AppError> {
    let mut violations = vec![];
    let mut note = |broken: Vec<Violation>| violations.extend(broken);
    let tags = ask.tag.parse().and_then(|tag| ProgressTags::new(&tag));
    if tags.is_err() {
        let rule = "must be 1 to 92 letters, digits, `-` and `_`: tags are made of it".to_owned();
        note(vec![Violation { field: "tag".to_owned(), rule }]);
    }
    let filter = read_lookups("filter", &ask.filter, is_selectable).map_err(&mut note);
    let exclude = read_lookups("exclude", &ask.exclude, is_selectable).map_err(&mut note);
    if let Err(AppError::Invalid(broken)) = super::instances::parse_input(ask.update.clone()) {
        let below = |it: Violation| Violation { field: format!("update.{}", it.field), ..it };
        note(broken.into_iter().map(below).collect());
    }
    note(check_sql(&ask.sql));
    if !(1..=ATTEMPTS_MAX).contains(&ask.attempts) {
        let rule = format!("must be a number from 1 to {ATTEMPTS_MAX}");
        note(vec![Violation { field: "attempts".to_owned(), rule }]);
    }
    match (tags, filter, exclude) {
        (Ok(tags), Ok(filter), Ok(exclude)) if violations.is_empty() => Ok((tags, filter, exclude)),
        _ => Err(AppError::Invalid(violations)),
    }
}

fn check_sql(statements: &[String]) -> Vec<Violation> {
    let tell = |(place, rule): (Option<usize>, String)| {
        let place = place.map(|place| format!("[{place}]")).unwrap_or_default();
        Violation { field: format!("preupgrade_sql_commands{place}"), rule }
    };
    check_statements(statements).into_iter().map(tell).collect()
}

/// Whether instances are told apart by a field.
fn is_selectable(field: &str) -> Result<(), String> {
    if FIELDS.contains(&field) {
        return Ok(());
    }
    match SETTINGS.iter().find(|setting| setting.name == field) {
        Some(setting) if setting.is_protected => {
            Err("is secret or personal: instances are not found by it".to_owned())
        }
        Some(_) => Ok(()),
        None => Err(format!("is no setting, and none of {}", FIELDS.join(", "))),
    }
}

fn check_pace(ask: PaceAsk) -> Result<Pace, AppError> {
    let mut violations = vec![];
    let mut broken = |field: &str, rule: String| {
        violations.push(Violation { field: field.to_owned(), rule });
    };
    if !(1..=BATCH_SIZE_MAX).contains(&ask.batch_size) {
        broken("batch_size", format!("must be a number from 1 to {BATCH_SIZE_MAX}"));
    }
    if ask.frequency_seconds > FREQUENCY_SECONDS_MAX {
        broken("frequency_seconds", format!("must be {FREQUENCY_SECONDS_MAX} at most: a day"));
    }
    let failures_max = ask.failures_max.map(NonZeroU32::new);
    if failures_max == Some(None) {
        broken("failures_max", "must be at least 1".to_owned());
    }
    match NonZeroU32::new(ask.batch_size) {
        Some(batch_size) if violations.is_empty() => Ok(Pace {
            batch_size,
            frequency_seconds: ask.frequency_seconds,
            canary: ask.canary,
            failures_max: failures_max.flatten(),
        }),
        _ => Err(AppError::Invalid(violations)),
    }
}

fn read_work(id: BulkId, ask: BulkAsk) -> Result<Work, AppError> {
    let BulkAsk::Redeploy(ask) = ask else { return Ok(Work::Archive) };
    let ask = *ask;
    let tag: Tag = ask.tag.parse().map_err(|rule| AppError::invalid("tag", format!("{rule}")))?;
    let update = (!ask.update.is_empty())
        .then(|| Protected::new(id.to_string(), Value::Object(ask.update).to_string()));
    let attempts = NonZeroU32::new(ask.attempts)
        .ok_or_else(|| AppError::invalid("attempts", "must be at least 1"))?;
    let sql = Sql::new(id.to_string(), &ask.sql);
    Ok(Work::Redeploy(Redeployment { tag, update, sql, attempts, activate: ask.activate }))
}
