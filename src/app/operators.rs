//! What operators may do to a run, each with a dry run, and where a run stands.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::Timestamp;
use ocim_domain::decider::Decider;
use ocim_domain::event::DomainEvent;
use ocim_domain::ids::RunId;
use ocim_domain::incident::Kind;
use ocim_domain::right::ReadScope;
use ocim_domain::saga::{self, Command, Event, Explanation, Facts, Holder, Operation, Saga, Verb};
use ocim_engine::storable::check_reason;

impl App {
    /// Where a run stands: what it waits for, since when, until when, and what comes next.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when there is no such run.
    pub async fn explain_run(&self, by: &Caller, id: RunId) -> Result<Explanation, AppError> {
        let ReadScope::Everything = by.sees;
        let mut state = None;
        let mut facts = Facts::default();
        for recorded in self.journal.store().read_stream(&id.stream(), 0).await? {
            let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
            facts.note(&event, recorded.recorded_at);
            state = Saga::evolve(state, &event);
        }
        let mut run = state.ok_or_else(|| AppError::not_found("run", id))?;
        let now = self.journal.now();
        facts.holder = self.holder_of(id, now).await;
        // What is left of a pause is what whoever drives the run waits for, however the clock was set.
        let drive = self.drives.of(id);
        let (began, drive_now) = drive.map_or((now, now), |time| (time.began(), time.now()));
        run.bound_times(began);
        run.shift_times(now - drive_now);
        facts.put_off = self.put_offs.of(id, drive_now);
        facts.put_off.values_mut().for_each(|put_off| put_off.until += now - drive_now);
        facts.lines = self.lines_of(id, &run).await?;
        facts.incidents = self.outages_behind(&facts);
        Ok(saga::explain(&self.plan_of(&run), &run, now, &facts))
    }

    /// The outages that steps are put off for.
    fn outages_behind(&self, facts: &Facts) -> Vec<String> {
        let open = self.incidents.open().into_iter();
        let outages = open.filter(|(_, open)| {
            let provider = open.subject.to_string();
            open.kind == Kind::Outage && facts.put_off.values().any(|it| it.why.contains(&provider))
        });
        outages
            .map(|(id, open)| {
                format!("{} keeps failing: {} (incident {id})", open.subject, open.reason)
            })
            .collect()
    }

    /// Who holds a run; whom nobody can ask, nobody waits for.
    async fn holder_of(&self, id: RunId, now: Timestamp) -> Holder {
        let Some(leases) = &self.leases else { return Holder::Unasked };
        match leases.holder(id.0).await {
            Ok(Some((tenure, left))) => Holder::Node { node: tenure.owner, until: now + left },
            Ok(None) => Holder::Nobody,
            Err(error) => {
                tracing::warn!(run = %id, %error, "nobody can tell who holds a run");
                Holder::Unasked
            }
        }
    }

    /// What an operator's verb does, in sentences, and does it unless it is only to be seen.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it does not fit what the run is doing; [`AppError::Invalid`] for a
    /// reason that is blank, or longer than reasons are.
    pub async fn operate_run(
        &self,
        by: &Caller,
        id: RunId,
        verb: Verb,
        reason: String,
        dry_run: bool,
    ) -> Result<Done<Vec<String>>, AppError> {
        check_reason(&reason)?;
        let loaded = self.journal.load::<Saga>(&id.stream()).await?;
        let run = loaded.state.ok_or_else(|| AppError::not_found("run", id))?;
        self.check_run_not_held(by, &run).await?;
        let plan = self.plan_of(&run);
        if dry_run {
            let told = saga::preview(&plan, &run, verb, &reason, self.journal.now());
            let value = told.map_err(AppError::rejected)?;
            return Ok(Done { value, position: loaded.position });
        }
        let actor = by.actor.clone();
        let meta = Caller { reason: Some(reason.clone()), ..by.clone() }.metadata();
        let operation = Operation { verb, actor, reason, plan: plan.clone() };
        let command = Command::Operate(Box::new(operation));
        let executed = self.journal.execute::<Saga>(&id.stream(), &meta, command).await?;
        // Told from what was recorded: the run may have moved since it was looked at.
        let after = executed.state.unwrap_or(run);
        let value = saga::describe_outcome(&plan, after, &executed.events, self.journal.now());
        Ok(Done { value, position: executed.position })
    }
}
