//! Known trouble: commands on it, what of it is open now, and whom it holds up.

use super::error::AppError;
use super::lines::is_in_line;
use super::load_balancers::load_balancer_id;
use super::{App, Caller, Done};
use crate::logs::masking::Masker;
use ocim_adapters::breaker::circuits::PausedProvider;
use ocim_domain::Timestamp;
use ocim_domain::event::{DecodeError, DomainEvent, Metadata, Recorded};
use ocim_domain::ids::{AppserverId, IncidentId, InstanceId, RunId};
use ocim_domain::incident::{Command, Event, Flow, Incident, Kind, Open, Subject, incident_id};
use ocim_domain::saga::Run;
use ocim_domain::text::make_recordable;
use ocim_engine::journal::{ExecuteError, Journal};
use ocim_engine::sagas::host::HoldUp;
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked, Tracker};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Longest name of a provider, in characters.
const PROVIDER_MAX: usize = 300;
/// The longest that a run stands still without another look.
const LOOK_IN: Duration = Duration::from_secs(30);
/// The shortest pause between two looks.
const LOOK_IN_MIN: Duration = Duration::from_millis(100);

/// What is open, and how those go on that it held up. Clones share it.
#[derive(Debug, Clone)]
pub struct Incidents {
    tracker: Arc<tokio::sync::Mutex<Tracker<OpenIncidents>>>,
    view: Arc<Mutex<View>>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct View {
    open: BTreeMap<IncidentId, Open>,
    flows: BTreeMap<IncidentId, Let>,
    /// Who was held up when it asked last, and by what.
    held: BTreeMap<RunId, IncidentId>,
}

/// Who was let go of an incident, one by one.
#[derive(Debug)]
struct Let {
    flow: Flow,
    next: Timestamp,
    gone: BTreeSet<RunId>,
}

impl Incidents {
    pub(super) fn new(journal: &Journal) -> Self {
        let tracker = Arc::new(tokio::sync::Mutex::new(Tracker::new(journal, OpenIncidents)));
        Self { tracker, view: Arc::default(), news: watch::Sender::new(0) }
    }

    /// Those that are open, as far as this node has heard.
    #[must_use]
    pub fn open(&self) -> Vec<(IncidentId, Open)> {
        self.view().open.iter().map(|(id, open)| (*id, open.clone())).collect()
    }

    /// Changes whenever something begins, changes or ends.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The run asks no more.
    pub fn forget(&self, run: RunId) {
        self.view().held.remove(&run);
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn concerns_regions(&self) -> bool {
        let is_regions = |open: &Open| matches!(open.subject, Subject::Region(_));
        self.view().open.values().any(|open| open.kind == Kind::Pause && is_regions(open))
    }

    fn is_quiet(&self) -> bool {
        let view = self.view();
        view.held.is_empty() && !view.open.values().any(|open| open.kind == Kind::Pause)
    }
}

impl View {
    /// What holds a run up that is in this region, and stood still last because of `cause`.
    fn hold_up(
        &mut self,
        run: RunId,
        state: &Run,
        region: Option<&str>,
        now: Timestamp,
    ) -> Option<HoldUp> {
        // In line, it was held up by what holds up those before it.
        let is_own = !is_in_line(state);
        let cause = state.held.as_ref().filter(|_| is_own).map(|held| held.incident);
        let concerns = |id: &IncidentId, open: &Open| match &open.subject {
            Subject::All => true,
            Subject::Region(name) => region == Some(name),
            Subject::Provider(_) => cause == Some(*id),
        };
        let pauses = self.open.iter().filter(|(_, open)| open.kind == Kind::Pause);
        let own: Vec<_> = pauses.filter(|(id, open)| concerns(id, open)).collect();
        // What stands still altogether goes first: nobody takes his turn in vain.
        let standing = own.iter().find(|(_, open)| open.flow.is_none());
        let hold = standing.map(|(id, open)| hold_by(**id, open, None, now));
        let hold = hold.or_else(|| {
            own.iter().find_map(|(id, open)| {
                let flow = open.flow.filter(|flow| flow.until > now)?;
                if state.let_go.is_some_and(|at| at >= flow.since) {
                    return None;
                }
                let gone = self.flows.get_mut(*id)?;
                let before = self.held.range(..run).filter(|(_, by)| by == id).map(|(run, _)| *run);
                let next = gone.take_turn(run, before, now)?;
                Some(hold_by(**id, open, Some(next), now))
            })
        });
        match &hold {
            Some(hold) => self.held.insert(run, hold.incident),
            None => self.held.remove(&run),
        };
        hold
    }
}

impl Let {
    /// When the run should ask again; none where it may go. Those `before` it wait for the same.
    fn take_turn(
        &mut self,
        run: RunId,
        before: impl Iterator<Item = RunId>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.gone.contains(&run) {
            return None;
        }
        let interval = self.flow.interval();
        // The oldest first. One that does not come for its turn holds nobody up for longer than that.
        let place = before.filter(|it| !self.gone.contains(it)).count();
        let is_first = place == 0 || self.next + interval <= now;
        if self.next <= now && is_first {
            self.next = self.next.max(now) + interval;
            self.gone.insert(run);
            return None;
        }
        let place = i32::try_from(place).unwrap_or(i32::MAX);
        Some(self.next.max(now) + interval.checked_mul(place).unwrap_or(interval))
    }
}

fn hold_by(id: IncidentId, open: &Open, next: Option<Timestamp>, now: Timestamp) -> HoldUp {
    let look_in = next.and_then(|next| (next - now).to_std().ok()).unwrap_or(LOOK_IN);
    let (subject, reason) = (&open.subject, &open.reason);
    let why = match open.flow {
        Some(flow) => format!(
            "{subject} was paused, and what waits goes on, {} a minute: {reason}",
            flow.rate
        ),
        None => format!("{subject} is paused: {reason}"),
    };
    HoldUp { incident: id, why, look_in: look_in.clamp(LOOK_IN_MIN, LOOK_IN) }
}

impl App {
    /// Has no work begin on the subject, until somebody resumes it or until that time. What is under
    /// way ends. Where it is paused already, its reason and its end are these from now on.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, for a time that has passed, and for a subject that there
    /// is not.
    pub async fn pause_work(
        &self,
        by: &Caller,
        subject: Subject,
        until: Option<Timestamp>,
    ) -> Result<Done<IncidentId>, AppError> {
        let reason = by.need_reason()?;
        self.check_subject(&subject).await?;
        if until.is_some_and(|until| until <= self.journal.now()) {
            return Err(AppError::invalid("until", "must lie in the future"));
        }
        let id = incident_id(Kind::Pause, &subject);
        let command = Command::Begin { kind: Kind::Pause, subject, reason, until };
        let executed =
            self.journal.execute_once::<Incident>(&id.stream(), &by.metadata(), command).await?;
        self.refresh_incidents().await?;
        Ok(Done { value: id, position: executed.position })
    }

    /// Has all work paused from a start on; what people have said of a pause that there is stays.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pause_start(&self, reason: &str) -> Result<(), AppError> {
        let id = incident_id(Kind::Pause, &Subject::All);
        let known = self.incidents.open().into_iter().find(|(known, _)| *known == id);
        if known.is_some_and(|(_, open)| open.flow.is_none()) {
            return Ok(());
        }
        let by = Caller { reason: Some(reason.to_owned()), ..Caller::new("system") };
        self.pause_work(&by, Subject::All, None).await.map(drop)
    }

    /// Lets work on the subject go on: all at once, or so many runs a minute.
    ///
    /// # Errors
    /// [`AppError::Rejected`] where it is not paused; [`AppError::Invalid`] for a rate that is none.
    pub async fn resume_work(
        &self,
        by: &Caller,
        subject: &Subject,
        rate: Option<u32>,
    ) -> Result<Done<IncidentId>, AppError> {
        let id = incident_id(Kind::Pause, subject);
        let (stream, meta) = (id.stream(), by.metadata());
        if let Some(executed) = self.journal.find_executed::<Incident>(&stream, &meta).await? {
            return Ok(Done { value: id, position: executed.position });
        }
        let loaded = self.journal.load::<Incident>(&stream).await?;
        if loaded.state.open.is_none() {
            return Err(AppError::rejected(format!(
                "{subject}: {}",
                ocim_domain::incident::Rejected::NotOpen
            )));
        }
        let command = match rate {
            None => Command::End,
            Some(rate) => {
                let held = self.incidents.view().held.values().filter(|by| **by == id).count();
                Command::Ease { rate, held: u64::try_from(held).unwrap_or(u64::MAX) }
            }
        };
        let executed = match self.journal.execute_once::<Incident>(&stream, &meta, command).await {
            Err(ExecuteError::Rejected(why @ ocim_domain::incident::Rejected::NoRate)) => {
                return Err(AppError::invalid("rate_per_minute", why.to_string()));
            }
            outcome => outcome?,
        };
        self.refresh_incidents().await?;
        Ok(Done { value: id, position: executed.position })
    }

    /// Records which providers' circuits have opened and closed on this node, and ends what is due.
    /// What providers said is masked.
    ///
    /// # Errors
    /// What the store says: look again.
    pub async fn keep_incidents(&self, masker: &Masker) -> Result<(), AppError> {
        let meta = Metadata::by("system");
        let failing = self.open_circuits();
        let open = self.incidents.open();
        let mut has_changed = false;
        for circuit in &failing {
            let subject = Subject::Provider(circuit.provider.clone());
            let id = incident_id(Kind::Outage, &subject);
            if open.iter().any(|(known, _)| *known == id) {
                continue;
            }
            let reason = make_recordable(&masker.mask(&circuit.error));
            let command = Command::Begin { kind: Kind::Outage, subject, reason, until: None };
            self.journal.execute::<Incident>(&id.stream(), &meta, command).await?;
            has_changed = true;
        }
        let now = self.journal.now();
        for (id, open) in open {
            let is_failing = |provider: &str| failing.iter().any(|it| it.provider == provider);
            let command = match (&open.subject, open.kind) {
                (Subject::Provider(provider), Kind::Outage) if is_failing(provider) => continue,
                (_, Kind::Outage) => Command::End,
                (_, Kind::Pause) if open.due().is_some_and(|due| due <= now) => Command::EndWhenDue,
                (_, Kind::Pause) => continue,
            };
            self.journal.execute::<Incident>(&id.stream(), &meta, command).await?;
            has_changed = true;
        }
        if has_changed { self.refresh_incidents().await } else { Ok(()) }
    }

    /// Takes in what others have said of incidents.
    ///
    /// # Errors
    /// What the store says: what is known stays.
    pub async fn refresh_incidents(&self) -> Result<(), AppError> {
        let mut tracker = self.incidents.tracker.lock().await;
        tracker.catch_up(drop).await?;
        let open = tracker.items().iter();
        let open: BTreeMap<IncidentId, Open> =
            open.filter_map(|(id, open)| Some((id.parse().ok()?, open.clone()))).collect();
        drop(tracker);
        let mut view = self.incidents.view();
        if view.open == open {
            return Ok(());
        }
        let flowing = open.iter().filter_map(|(id, open)| Some((*id, open.flow?)));
        view.flows = flowing
            .map(|(id, flow)| {
                let known = view.flows.remove(&id).filter(|known| known.flow == flow);
                let now = self.journal.now();
                (id, known.unwrap_or(Let { flow, next: now, gone: BTreeSet::new() }))
            })
            .collect();
        view.open = open;
        let paused = view.open.iter().filter(|(_, it)| it.kind == Kind::Pause && it.flow.is_none());
        let paused = paused.filter_map(|(id, open)| match &open.subject {
            Subject::Provider(provider) => Some(PausedProvider {
                provider: provider.clone(),
                incident: *id,
                reason: open.reason.clone(),
            }),
            Subject::All | Subject::Region(_) => None,
        });
        if let Some(circuits) = &self.circuits {
            circuits.set_paused(paused.collect());
        }
        drop(view);
        self.incidents.news.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// What is open, and whom it holds up.
    #[must_use]
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// What holds a run up that is about to begin something, if anything does.
    pub async fn hold_up(&self, id: RunId, run: &Run) -> Option<HoldUp> {
        if self.incidents.is_quiet() {
            return None;
        }
        let region = match self.incidents.concerns_regions() {
            true => self.region_of(run).await,
            false => None,
        };
        let now = self.journal.now();
        let hold = self.incidents.view().hold_up(id, run, region.as_deref(), now);
        match hold {
            None => self.hold_behind(id, run).await,
            hold => hold,
        }
    }

    /// What holds up those whom a run waits for in line: their time is not its own, either.
    async fn hold_behind(&self, id: RunId, run: &Run) -> Option<HoldUp> {
        let before = self.standstill_before(id, run).await.unwrap_or_else(|error| {
            tracing::warn!(run = %id, %error, "whom it waits for in line can't be told");
            None
        })?;
        let why = format!("those before it in line stand still: {}", before.why);
        Some(HoldUp { incident: before.incident, why, look_in: LOOK_IN })
    }

    /// The region that a run works in, where it works in one and the store tells.
    async fn region_of(&self, run: &Run) -> Option<String> {
        let text = |name: &str| run.input.get(name).and_then(Value::as_str);
        if let Some(region) = text("region") {
            return Some(region.to_owned());
        }
        if let Some(id) = text("appserver").and_then(|id| id.parse::<AppserverId>().ok())
            && let Ok(appserver) = self.load_appserver(id).await
        {
            return Some(appserver.launched.settings.openstack_region.clone());
        }
        let id = text("instance")?.parse::<InstanceId>().ok()?;
        let (instance, _) = self.load_instance(id).await.ok()?;
        Some(instance.settings.openstack_region.clone())
    }

    async fn check_subject(&self, subject: &Subject) -> Result<(), AppError> {
        match subject {
            Subject::All => Ok(()),
            Subject::Region(name) if self.setting.regions.contains(name) => Ok(()),
            Subject::Region(_) => {
                let known = self.setting.regions.join("`, `");
                Err(AppError::invalid("name", format!("must be a configured region: `{known}`")))
            }
            Subject::Provider(name) => {
                let is_short = name.chars().count() <= PROVIDER_MAX;
                if is_short && make_recordable(name) == *name && self.has_provider(name).await? {
                    return Ok(());
                }
                let rule = "must be a provider that there is, as `ocim incidents` and messages call it: \
                            `DNS`, `mail server`, `New Relic`, `Consul`, \
                            `balancer DOMAIN`, `playbooks REPOSITORY` or `region NAME`";
                Err(AppError::invalid("name", rule))
            }
        }
    }

    /// Whether there is that provider. Repositories are what sites name, and are taken as they are.
    async fn has_provider(&self, name: &str) -> Result<bool, AppError> {
        Ok(match name.split_once(' ') {
            None => matches!(name, "DNS" | "Consul"),
            Some(("mail", "server") | ("New", "Relic")) => true,
            Some(("playbooks", repository)) => !repository.is_empty(),
            Some(("region", region)) => self.setting.regions.iter().any(|known| known == region),
            Some(("balancer", domain)) => {
                match self.load_balancer(load_balancer_id(domain)).await {
                    Ok(_) => true,
                    Err(AppError::NotFound { .. }) => false,
                    Err(error) => return Err(error),
                }
            }
            Some(_) => false,
        })
    }
}

/// The incidents that are open, by the text of their ids.
#[derive(Debug)]
struct OpenIncidents;

impl Tracked for OpenIncidents {
    const SCHEMA: u16 = 1;
    type Item = Open;
    type Told = ();

    fn name(&self) -> String {
        "open_incidents".to_owned()
    }

    fn filter(&self) -> Filter {
        let kinds = Event::KINDS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        Filter { categories: vec![], kinds }
    }

    fn apply(&self, items: &mut Items<Open>, recorded: &Recorded) {
        use ocim_domain::decider::Decider;
        use ocim_domain::incident::State;
        let id = IncidentId(recorded.stream.id());
        let event = match Event::decode(&recorded.kind, recorded.schema, &recorded.data) {
            Ok(event) => event,
            // Whoever wrote what is unknown here knows what is paused by it.
            Err(DecodeError::Unknown { .. }) => return,
            Err(error) => {
                tracing::error!(%id, %error, "an incident can't be read: it stays as it was");
                return;
            }
        };
        let key = id.to_string();
        let state = State { count: 0, open: items.get(&key).cloned() };
        match Incident::evolve(state, &event).open {
            Some(open) => items.put(key, open),
            None => drop(items.remove(&key)),
        }
    }
}
