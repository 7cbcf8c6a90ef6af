//! Commands on appservers: launch, activate, deactivate, terminate. Each is taken up by a saga.

use super::error::AppError;
use super::holds::hold_refused;
use super::maintenance::maintenance_refused;
use super::{App, Caller, Done};
use ocim_domain::appserver::{self, Appserver, activation_after};
use ocim_domain::decider::Decider;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::attempts::ATTEMPTS_MAX;
use ocim_domain::instance::lifecycle::Refused;
use ocim_domain::instance::{self, Attempts, Instance, OnSuccess};
use ocim_domain::right::ReadScope;
use ocim_engine::journal::ExecuteError;

/// How to launch.
#[derive(Debug, Clone, Default)]
pub struct LaunchAsk {
    /// Wait for a launch that is under way, instead of being refused.
    pub queue: bool,
    /// What is to happen once it runs.
    pub then: OnSuccess,
    /// How often it is attempted, and what the instance is tagged with at the end.
    pub attempts: Attempts,
}

/// A launch that was taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launched {
    /// The run that makes it.
    pub run: RunId,
    /// The Appserver being made.
    pub appserver: AppserverId,
    /// "AppServer <number>".
    pub number: u32,
    /// Whether it waits for another launch.
    pub queued: bool,
    /// The run that brings it into traffic once it runs, where that was asked for.
    pub activation_run: Option<RunId>,
}

/// How to activate.
#[derive(Debug, Clone, Copy, Default)]
pub struct ActivateAsk {
    /// Take all others out of traffic.
    pub deactivate_others: bool,
    /// Even if it is not running, and without proving the site first.
    pub force: bool,
}

/// How insistent a deactivation or termination is. Forcing needs the caller's reason.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForceAsk {
    /// Even if it is the last one that receives traffic.
    pub force: bool,
}

impl App {
    /// Asks for a new Appserver of the instance.
    ///
    /// # Errors
    /// [`AppError::Rejected`] with the run under way, unless it may queue; [`AppError::Invalid`]
    /// when others are to leave the traffic for one that is not to be activated.
    pub async fn launch_appserver(
        &self,
        by: &Caller,
        id: InstanceId,
        ask: LaunchAsk,
    ) -> Result<Done<Launched>, AppError> {
        if ask.then.deactivate_others && !ask.then.activate {
            let why = "needs `activate_on_success`: only an appserver that serves replaces others";
            return Err(AppError::invalid("deactivate_others", why));
        }
        if ask.attempts.attempts.get() > ATTEMPTS_MAX {
            let rule = format!("must be a number from 1 to {ATTEMPTS_MAX}");
            return Err(AppError::invalid("attempts", rule));
        }
        let appserver = AppserverId(self.new_id(by, "appserver"));
        let run = RunId(self.new_id(by, "run"));
        let command = instance::Command::RequestLaunch {
            appserver,
            run,
            may_queue: ask.queue,
            then: ask.then,
            attempts: ask.attempts,
        };
        let executed = self
            .journal
            .execute_once::<Instance>(&id.stream(), &by.metadata(), by.ask(command))
            .await
            .map_err(|error| instance_error(id, error))?;
        let (number, queued) = executed
            .events
            .iter()
            .find_map(|event| match event {
                instance::Event::LaunchRequested { number, queued, .. } => Some((*number, *queued)),
                _ => None,
            })
            .ok_or_else(|| AppError::internal("a launch led to no event"))?;
        let activation_run = ask.then.activate.then(|| activation_after(run));
        let value = Launched { run, appserver, number, queued, activation_run };
        Ok(Done { value, position: executed.position })
    }

    /// Refuses a launch of the instance as [`App::launch_appserver`] would now; asks for none.
    ///
    /// # Errors
    /// As [`App::launch_appserver`].
    pub async fn check_launch(&self, by: &Caller, id: InstanceId) -> Result<(), AppError> {
        let loaded = self.journal.load::<Instance>(&id.stream()).await?;
        let command = instance::Command::RequestLaunch {
            appserver: AppserverId(self.journal.new_id()),
            run: RunId(self.journal.new_id()),
            may_queue: false,
            then: OnSuccess::default(),
            attempts: Attempts::ONE,
        };
        match Instance::decide(&loaded.state, by.ask(command), self.journal.now()) {
            Ok(_) => Ok(()),
            Err(why) => Err(instance_error(id, ExecuteError::Rejected(why))),
        }
    }

    /// Asks to bring an Appserver into traffic.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it is not running and not forced, or its machine is gone.
    pub async fn activate_appserver(
        &self,
        by: &Caller,
        id: AppserverId,
        ask: ActivateAsk,
    ) -> Result<Done<RunId>, AppError> {
        let run = RunId(self.new_id(by, "run"));
        let command = appserver::Command::RequestActivation {
            run,
            deactivate_others: ask.deactivate_others,
            force: ask.force,
        };
        self.request(by, id, (run, command), None).await
    }

    /// Refuses an Appserver of an instance that is not live. The saga asks the instance again.
    async fn check_of_live(&self, id: AppserverId) -> Result<(), AppError> {
        let appserver = self.load_appserver(id).await?;
        let (instance, _) = self.load_instance(appserver.launched.instance).await?;
        instance.check_live().map_err(|why| instance_rejected(why.into()))
    }

    /// Asks to take an Appserver out of traffic.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it is the last active one and not forced with a reason.
    pub async fn deactivate_appserver(
        &self,
        by: &Caller,
        id: AppserverId,
        ask: ForceAsk,
    ) -> Result<Done<RunId>, AppError> {
        let run = RunId(self.new_id(by, "run"));
        let reason = by.reason.clone();
        let command = appserver::Command::RequestDeactivation { run, force: ask.force, reason };
        self.request(by, id, (run, command), Some(ask)).await
    }

    /// Asks to restart an Appserver's machine; its traffic stays as it is.
    ///
    /// # Errors
    /// [`AppError::Rejected`] unless it runs, while another restart is under way, and when it is the
    /// last active one and not forced with a reason.
    pub async fn restart_appserver(
        &self,
        by: &Caller,
        id: AppserverId,
        ask: ForceAsk,
    ) -> Result<Done<RunId>, AppError> {
        let run = RunId(self.new_id(by, "run"));
        let reason = by.reason.clone();
        let command = appserver::Command::RequestRestart { run, force: ask.force, reason };
        self.request(by, id, (run, command), Some(ask)).await
    }

    /// Asks to take an Appserver and its machine away.
    ///
    /// # Errors
    /// As [`App::deactivate_appserver`], and while its launch is under way.
    pub async fn terminate_appserver(
        &self,
        by: &Caller,
        id: AppserverId,
        ask: ForceAsk,
    ) -> Result<Done<RunId>, AppError> {
        let run = RunId(self.new_id(by, &format!("termination of {id}")));
        let reason = by.reason.clone();
        let command = appserver::Command::RequestTermination { run, force: ask.force, reason };
        self.request(by, id, (run, command), Some(ask)).await
    }

    /// Records a request for a run; when there is nothing to do, says so. What takes an Appserver
    /// out of traffic says how insistent it is.
    async fn request(
        &self,
        by: &Caller,
        id: AppserverId,
        (run, command): (RunId, appserver::Command),
        withdrawal: Option<ForceAsk>,
    ) -> Result<Done<RunId>, AppError> {
        let (stream, meta) = (id.stream(), by.metadata());
        if let Some(executed) = self.journal.find_executed::<Appserver>(&stream, &meta).await? {
            return Ok(Done { value: run, position: executed.position });
        }
        self.check_appserver_not_held(by, id).await?;
        match withdrawal {
            Some(ask) => self.check_not_last(by, id, ask).await?,
            None => self.check_of_live(id).await?,
        }
        let executed = match self.journal.execute_once::<Appserver>(&stream, &meta, command).await {
            Ok(executed) => executed,
            Err(error) => return Err(self.appserver_error(id, error).await),
        };
        if executed.events.is_empty() {
            return Err(AppError::rejected("it is so already: there is nothing to do"));
        }
        Ok(Done { value: run, position: executed.position })
    }

    /// Refuses to take the last active Appserver out of traffic without force and a reason. The
    /// saga asks the instance again when it does it, so two requests at once can't both pass.
    async fn check_not_last(
        &self,
        by: &Caller,
        id: AppserverId,
        ask: ForceAsk,
    ) -> Result<(), AppError> {
        if ask.force {
            by.reason
                .as_ref()
                .ok_or_else(|| AppError::invalid("reason", "is required with `force`"))?;
            by.need_reason()?;
        }
        let appserver = self.load_appserver(id).await?;
        let (instance, _) = self.load_instance(appserver.launched.instance).await?;
        if !ask.force && self.is_last(&instance, id).await? {
            return Err(AppError::rejected(instance::Rejected::LastActive));
        }
        Ok(())
    }

    /// Whether nobody else serves the instance than this one: none that receives traffic and is not
    /// being restarted.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn is_last(
        &self,
        instance: &instance::Present,
        id: AppserverId,
    ) -> Result<bool, AppError> {
        if !instance.active.contains(&id) {
            return Ok(false);
        }
        for other in instance.active.iter().filter(|other| **other != id) {
            if self.load_appserver(*other).await?.restart_run.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The Appserver's state, or "not found". One that is asked for but not frozen yet is refused.
    pub(crate) async fn load_appserver(
        &self,
        id: AppserverId,
    ) -> Result<appserver::Present, AppError> {
        let loaded = self.journal.load::<Appserver>(&id.stream()).await?;
        match loaded.state.present() {
            Some(present) => Ok(present.clone()),
            None => Err(self.explain_absence(id).await),
        }
    }

    /// Why a command on an Appserver was not carried out.
    pub(super) async fn appserver_error(
        &self,
        id: AppserverId,
        error: ExecuteError<appserver::Rejected>,
    ) -> AppError {
        match error {
            ExecuteError::Rejected(appserver::Rejected::Absent) => self.explain_absence(id).await,
            ExecuteError::Rejected(
                why @ (appserver::Rejected::Launching { run }
                | appserver::Rejected::CleaningUp { run }
                | appserver::Rejected::Restarting { run }
                | appserver::Rejected::Terminating { run }),
            ) => AppError::Rejected { detail: why.to_string(), run: Some(run) },
            other => other.into(),
        }
    }

    /// What is to be said of an Appserver whose own log has not begun: there is none, or its launch
    /// has not come so far. Then it is shown as `new`, and only its launch can be called off.
    async fn explain_absence(&self, id: AppserverId) -> AppError {
        match self.find_launch(id).await {
            Ok(Some((number, run))) => AppError::Rejected {
                detail: format!(
                    "AppServer {number} is not made yet: its launch is on its way or waits for its \
                     turn. Cancel the launch (`ocim run cancel {run}`), or try again once it is made"
                ),
                run: Some(run),
            },
            Ok(None) => AppError::not_found("appserver", id),
            Err(error) => {
                let error = ocim_domain::error_chain::chain(&error);
                tracing::warn!(%id, error, "nobody can tell whether this appserver was asked for");
                AppError::not_found("appserver", id)
            }
        }
    }

    /// The number and the run of the launch that is to make this Appserver, while it is not settled.
    async fn find_launch(&self, id: AppserverId) -> Result<Option<(u32, RunId)>, AppError> {
        // The command was granted to who asks; why it can't be done, the app finds out for itself.
        let reads = self.read_models.seen_by(ReadScope::Everything);
        let known = reads.read_appserver(&id.to_string()).await;
        // The read model only knows whose it is; whether it is on its way, the instance says.
        let known = known.map_err(|error| AppError::unavailable("the database", error))?;
        let instance = known.and_then(|row| row.instance.parse::<InstanceId>().ok());
        let Some(instance) = instance else { return Ok(None) };
        let (present, _) = self.load_instance(instance).await?;
        let launch = present.launches.iter().find(|launch| launch.appserver == id);
        Ok(launch.map(|launch| (launch.number, launch.run)))
    }
}

/// Why a command on an instance was not carried out.
pub(super) fn instance_error(id: InstanceId, error: ExecuteError<instance::Rejected>) -> AppError {
    match error {
        ExecuteError::Rejected(instance::Rejected::Absent) => AppError::not_found("instance", id),
        ExecuteError::Rejected(why) => instance_rejected(why),
        other => other.into(),
    }
}

/// The refusal, with the run that is in the way.
pub(super) fn instance_rejected(why: instance::Rejected) -> AppError {
    if let instance::Rejected::Hold(why) = why {
        return hold_refused(why);
    }
    if let instance::Rejected::Maintenance(why) = why {
        return maintenance_refused(why);
    }
    let run = match &why {
        instance::Rejected::LaunchInFlight { run }
        | instance::Rejected::Lifecycle(
            Refused::Launching { run }
            | Refused::InFlight { run, .. }
            | Refused::NotLive { run: Some(run), .. },
        ) => Some(*run),
        _ => None,
    };
    AppError::Rejected { detail: why.to_string(), run }
}
