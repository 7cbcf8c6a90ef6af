//! Obsolete Appservers: which there are, what is to become of them, and the rule of one instance.

use super::appservers::instance_error;
use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::Timestamp;
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::event::{Metadata, Recorded};
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::clean_up::{Refused, Rule, Standing, Verdict, judge};
use ocim_domain::instance::{self, Instance};
use ocim_domain::names::{Service, effective_domain};
use ocim_domain::saga::Saga;
use ocim_engine::journal::{ExecuteError, Journal};
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked, Tracker};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The kinds that say which machines stand, and which of them serve.
const KINDS: [&str; 4] =
    ["appserver.launched", "appserver.activated", "appserver.deactivated", "appserver.terminated"];

/// Which Appservers have machines, folded from the log. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct StandingAppservers(Arc<tokio::sync::Mutex<Tracker<Machines>>>);

impl StandingAppservers {
    pub(super) fn new(journal: &Journal) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Tracker::new(journal, Machines))))
    }
}

#[derive(Debug)]
struct Machines;

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Machine {
    instance: InstanceId,
    made: Timestamp,
    active: bool,
}

impl Tracked for Machines {
    const SCHEMA: u16 = 1;
    type Item = Machine;
    type Told = ();

    fn name(&self) -> String {
        "standing_appservers".to_owned()
    }

    fn filter(&self) -> Filter {
        Filter { categories: vec![], kinds: KINDS.map(str::to_owned).to_vec() }
    }

    fn apply(&self, items: &mut Items<Machine>, recorded: &Recorded) {
        let id = AppserverId(recorded.stream.id()).to_string();
        match recorded.kind.as_str() {
            "appserver.terminated" => drop(items.remove(&id)),
            "appserver.launched" => {
                // Whatever else a newer program froze with it, whose it is stands there.
                let instance = recorded.data["instance"].as_str().map(str::parse);
                let Some(Ok(instance)) = instance else {
                    return tracing::error!(%id, "an appserver of no instance is not cleaned up");
                };
                items.put(id, Machine { instance, made: recorded.recorded_at, active: false });
            }
            kind => {
                if let Some(machine) = items.get_mut(&id) {
                    machine.active = kind == "appserver.activated";
                }
            }
        }
    }
}

/// What is to become of an instance's Appservers that have machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanUpPlan {
    /// Whose.
    pub instance: InstanceId,
    /// What people call it.
    pub name: String,
    /// Its rule.
    pub rule: Rule,
    /// Each, the oldest first, with its number.
    pub verdicts: Vec<(AppserverId, u32, Verdict)>,
}

/// What became of asking for the clean-up of an obsolete Appserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CleanUpRequest {
    /// It is on its way, or gone.
    Requested,
    /// It changed since it was looked at, and is not obsolete any more.
    Refused(appserver::Rejected),
}

impl App {
    /// Has the instance's obsolete Appservers go by this rule; by that of all others where there is none.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, or for too few or too many days; [`AppError::Held`] while
    /// somebody else holds it; [`AppError::Rejected`] once it is deleted.
    pub async fn change_clean_up(
        &self,
        by: &Caller,
        id: InstanceId,
        rule: Option<Rule>,
    ) -> Result<Done<()>, AppError> {
        let command = instance::Command::ChangeCleanUp { rule, reason: by.need_reason()? };
        let (stream, meta) = (id.stream(), by.metadata());
        let executed = self.journal.execute_once::<Instance>(&stream, &meta, by.ask(command)).await;
        match executed {
            Ok(executed) => Ok(Done { value: (), position: executed.position }),
            Err(ExecuteError::Rejected(instance::Rejected::CleanUp(why @ Refused::Days))) => {
                Err(AppError::invalid("days", why.to_string()))
            }
            Err(error) => Err(instance_error(id, error)),
        }
    }

    /// The rule of instances that have none of their own.
    #[must_use]
    pub fn clean_up_rule(&self) -> Rule {
        self.setting.clean_up
    }

    /// At most `limit` instances, after that one, with machines that serve nobody; in order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list_idle_instances(
        &self,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<InstanceId>, AppError> {
        let mut tracker = self.standing.0.lock().await;
        tracker.catch_up(drop).await?;
        let idle = tracker.items().iter().filter(|(_, machine)| !machine.active);
        let mut instances: Vec<_> = idle.map(|(_, machine)| machine.instance).collect();
        instances.sort_unstable();
        instances.dedup();
        instances.retain(|id| after.is_none_or(|after| after < *id));
        instances.truncate(limit);
        Ok(instances)
    }

    /// What is to become of an instance's Appservers that have machines. A run that asks because of one of
    /// them is not in its own way.
    ///
    /// # Errors
    /// When the store does not answer, or a newer program wrote of it.
    pub async fn plan_clean_up(
        &self,
        id: InstanceId,
        asks: Option<RunId>,
    ) -> Result<CleanUpPlan, AppError> {
        let now = self.journal.now();
        let (instance, _) = self.load_instance(id).await?;
        let site = instance.clean_up_site(self.setting.clean_up, now);
        let mut standing = self.load_standing(&instance, asks).await?;
        let mut verdicts = judge(&site, &standing, now);
        // Who is at work is asked of the runs of those alone that would go.
        for (it, (_, verdict)) in standing.iter_mut().zip(&verdicts) {
            if verdict.goes() && it.at_work.is_none() {
                it.at_work = self.find_run_at_work(it.appserver, asks).await?;
            }
        }
        if standing.iter().any(|it| it.at_work.is_some()) {
            verdicts = judge(&site, &standing, now);
        }
        let numbered = standing.iter().zip(verdicts);
        Ok(CleanUpPlan {
            instance: id,
            name: effective_domain(&instance.settings, Service::Lms).to_owned(),
            rule: site.rule,
            verdicts: numbered.map(|(it, (id, verdict))| (id, it.number, verdict)).collect(),
        })
    }

    /// Those of an instance's Appservers that have machines, the oldest first.
    async fn load_standing(
        &self,
        instance: &instance::Present,
        asks: Option<RunId>,
    ) -> Result<Vec<Standing>, AppError> {
        let made: Vec<_> = {
            let mut tracker = self.standing.0.lock().await;
            tracker.catch_up(drop).await?;
            let made = |id: &AppserverId| Some((*id, tracker.items().get(&id.to_string())?.made));
            instance.appservers.iter().filter_map(made).collect()
        };
        let mut standing = vec![];
        for (appserver, made) in made {
            let loaded = self.journal.load::<Appserver>(&appserver.stream()).await?;
            let Some(present) = loaded.state.present().filter(|it| !it.server_gone) else {
                continue;
            };
            let clean_up = present.clean_up.filter(|it| it.is_started).map(|it| it.run);
            let at_work = present.termination_run.or(present.restart_run).or(clean_up);
            standing.push(Standing {
                appserver,
                number: present.launched.number,
                made,
                status: present.status,
                active: present.active,
                last_activated: present.last_activated,
                kept_until: present.keeps_server_until,
                at_work: at_work.filter(|run| Some(*run) != asks),
            });
        }
        Ok(standing)
    }

    /// The run that was asked for last of an Appserver, unless that is over.
    async fn find_run_at_work(
        &self,
        id: AppserverId,
        asks: Option<RunId>,
    ) -> Result<Option<RunId>, AppError> {
        let appserver = self.load_appserver(id).await?;
        let Some(run) = appserver.run_in_flight.filter(|run| Some(*run) != asks) else {
            return Ok(None);
        };
        let loaded = self.journal.load::<Saga>(&run.stream()).await?;
        // One that has not begun yet is on its way.
        let is_over = loaded.state.is_some_and(|run| run.phase.is_over());
        Ok((!is_over).then_some(run))
    }

    /// Asks in `run` to take away the machine of an Appserver that is obsolete. What it is then, its own
    /// log says once more: one that has been taken into traffic meanwhile stays.
    ///
    /// # Errors
    /// What the store says.
    pub async fn clean_up_obsolete(
        &self,
        meta: &Metadata,
        id: AppserverId,
        run: RunId,
        reason: String,
    ) -> Result<CleanUpRequest, AppError> {
        let command = appserver::Command::CleanUpObsolete { run, reason };
        match self.journal.execute::<Appserver>(&id.stream(), meta, command).await {
            Ok(_) => Ok(CleanUpRequest::Requested),
            Err(ExecuteError::Rejected(why)) => Ok(CleanUpRequest::Refused(why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses to go on with the clean-up of an Appserver that stays after all.
    ///
    /// # Errors
    /// [`AppError::Rejected`] with the reason for which it stays.
    pub async fn check_obsolete(&self, id: AppserverId, run: RunId) -> Result<(), AppError> {
        let appserver = self.load_appserver(id).await?;
        let plan = self.plan_clean_up(appserver.launched.instance, Some(run)).await?;
        let verdict = plan.verdicts.into_iter().find(|(judged, ..)| *judged == id);
        match verdict {
            Some((_, _, verdict @ Verdict::Stays { .. })) => {
                Err(AppError::rejected(verdict.tell()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether nothing of an Appserver's instance goes by itself.
    pub(super) async fn is_clean_up_off(&self, id: AppserverId) -> Result<bool, AppError> {
        let appserver = match self.load_appserver(id).await {
            Ok(appserver) => appserver,
            Err(AppError::NotFound { .. } | AppError::Rejected { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let (instance, _) = self.load_instance(appserver.launched.instance).await?;
        Ok(instance.clean_up == Some(Rule::Off))
    }
}
