//! Steps that run playbooks: started once by key, followed by their output, found again after a crash.

use super::machines::load_server;
use super::resolve_playbooks::{MAIN_REQUIREMENTS, main_source, pin, pin_common};
use super::step::{Progress, StepContext, StepError, done, undone};
use crate::logs::SourceRead;
use crate::logs::lines::{cut_at, strip_control};
use crate::logs::masking::Masker;
use crate::trace_context::{TraceContext, playbook_span};
use futures_util::future::BoxFuture;
use ocim_adapters::playbooks::{PlaybookRun, RunState, Source, Target, TaskFailure};
use ocim_domain::appserver;
use ocim_domain::configuration::secret_values::{SecretValue, list_secret_values};
use ocim_domain::configuration::secrets::HttpAuth;
use ocim_domain::configuration::{OcimFacts, ocim_layer};
use ocim_domain::outside_text;
use ocim_domain::protected::Protected;
use ocim_domain::run_record::{CreatedServer, ExitStatus, LaunchInput};
use ocim_domain::saga::{ErrorCode, Saga, step_key};
use ocim_domain::server::ServerAddress;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// Pause between two looks whether a run that prepares a playbook was cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_secs(1);
/// Chunks of output taken in one look, so that a chatty playbook does not hold up the run.
const CHUNKS_MAX: usize = 16;

/// How much of a failed task's words is told in the run's outcome, bytes; the log has all of them.
const FAILURE_BYTES_MAX: usize = 500;

/// Why nothing is played for all sites.
pub const NO_COMMON_PLAYBOOK: &str = "ANSIBLE_APPSERVER_REPO is empty";
/// Why no users are made.
pub const NO_USERS: &str = "the instance has no LMS users";
const SITE_MASKER: Look<Arc<Masker>> = |context| Box::pin(site_masker(context));

/// The steps that run a playbook of the site, for whoever tells of plays.
pub const PLAYBOOK_STEPS: [&str; 3] =
    ["run_main_playbook", "run_users_playbook", "run_common_playbook"];

/// What makes a site's LMS users.
const USERS_PLAYBOOK: &str = "playbooks/edx-east/manage_edxapp_users_and_groups.yml";

/// Looks something up for a step.
pub type Look<T> = fn(&StepContext) -> BoxFuture<'_, Result<T, StepError>>;

/// A playbook, composed when it has to be started, and what must not stand in its log, looked up
/// when there is something to log: it runs for hours, and is looked at all the time.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    /// What is to run.
    pub compose: Look<PlaybookRun>,
    /// Masks what its output must not show.
    pub masker: Look<Arc<Masker>>,
}

/// The site's own playbook (core §7.1 row 1).
pub async fn run_main_playbook(context: StepContext) -> Result<Progress, StepError> {
    let play = Play { compose: |context| Box::pin(compose_main(context)), masker: SITE_MASKER };
    follow_playbook(&context, play).await
}

async fn compose_main(context: &StepContext) -> Result<PlaybookRun, StepError> {
    let appserver = launched(context).await?;
    let source = frozen_source(context, &appserver.launched)?;
    let playbook = appserver.launched.settings.configuration_playbook_name.clone();
    let mut variables = frozen_variables(&appserver.launched.variables)?;
    let input: LaunchInput = context.input()?;
    let address = machine_address(context).await?.0;
    variables.extend(ocim_layer(&OcimFacts {
        instance: input.instance,
        appserver: input.appserver,
        number: input.number,
        http_address: address.ip,
        http_port: address.http_port,
    }));
    compose_run(context, source, (playbook, MAIN_REQUIREMENTS.to_owned()), variables).await
}

/// The configuration repository at the commit that the Appserver was frozen with.
fn frozen_source(
    context: &StepContext,
    launched: &appserver::Launched,
) -> Result<Source, StepError> {
    let source = main_source(&context.world, &launched.settings)?;
    Ok(pin(source, launched.configuration_commit.clone()))
}

/// The playbook that makes LMS users (core §7.1 row 2), of the same repository.
pub async fn run_users_playbook(context: StepContext) -> Result<Progress, StepError> {
    if launched(&context).await?.launched.settings.lms_users.is_empty() {
        return Ok(Progress::Skipped(NO_USERS.to_owned()));
    }
    let play = Play { compose: |context| Box::pin(compose_users(context)), masker: SITE_MASKER };
    follow_playbook(&context, play).await
}

async fn compose_users(context: &StepContext) -> Result<PlaybookRun, StepError> {
    let appserver = launched(context).await?;
    let source = frozen_source(context, &appserver.launched)?;
    let variables = frozen_variables(&appserver.launched.users_variables)?;
    let playbook = (USERS_PLAYBOOK.to_owned(), MAIN_REQUIREMENTS.to_owned());
    compose_run(context, source, playbook, variables).await
}

/// The playbook that all sites share (core §7.1 row 3).
pub async fn run_common_playbook(context: StepContext) -> Result<Progress, StepError> {
    if context.world.deployment.common_playbook.is_none() {
        return Ok(Progress::Skipped(NO_COMMON_PLAYBOOK.to_owned()));
    }
    let play = Play { compose: |context| Box::pin(compose_common(context)), masker: SITE_MASKER };
    follow_playbook(&context, play).await
}

async fn compose_common(context: &StepContext) -> Result<PlaybookRun, StepError> {
    let common = context.world.deployment.common_playbook.clone();
    let (source, playbook, requirements) = common
        .ok_or_else(|| StepError::permanent(ErrorCode::PlaybookNotFound, NO_COMMON_PLAYBOOK))?;
    let appserver = launched(context).await?;
    let source = pin_common(context, source)?;
    let variables = frozen_variables(&appserver.launched.common_variables)?;
    compose_run(context, source, (playbook, requirements), variables).await
}

/// Ends the run's process group.
pub async fn undo_playbook(context: StepContext) -> Result<Progress, StepError> {
    context.world.ports.playbooks.cancel_playbook(context.key).await?;
    context.world.ports.playbooks.forget_playbook(context.key).await?;
    super::failure::settle_appserver(&context).await?;
    undone("no playbook of this step is running")
}

/// Ends the run's process group where a person did the work, or skipped it: what it would still do
/// nobody wants. Its output stays in the log as far as it came.
pub async fn end_playbook(context: StepContext) -> Result<Progress, StepError> {
    context.world.ports.playbooks.cancel_playbook(context.key).await?;
    undone("no playbook of this step is running")
}

/// As [`end_playbook`], for the steps of a run that was abandoned.
pub async fn end_playbooks(context: &StepContext, steps: &[&str]) -> Result<(), StepError> {
    for step in steps {
        context.world.ports.playbooks.cancel_playbook(step_key(context.run, step)).await?;
    }
    Ok(())
}

/// Forgets the files of runs whose results are recorded.
pub async fn forget_playbooks(context: &StepContext, steps: &[&str]) -> Result<(), StepError> {
    for step in steps {
        context.world.ports.playbooks.forget_playbook(step_key(context.run, step)).await?;
    }
    Ok(())
}

/// Starts or finds the run, takes its output into the log, and tells how it ended.
pub async fn follow_playbook(context: &StepContext, play: Play) -> Result<Progress, StepError> {
    let playbooks = &context.world.ports.playbooks;
    let mut state = playbooks.read_playbook(context.key).await?;
    if state == RunState::Absent {
        let run = (play.compose)(context).await?;
        context.say(format!("starting playbook {} of {}", run.playbook, run.source)).await;
        let run = PlaybookRun { traceparent: find_trace(context).await, ..run };
        let Some(started) = until_unwanted(context, playbooks.start_playbook(&run)).await else {
            // What was begun has ended with the call; the run turns back at its next look.
            return Ok(Progress::NotYet { again_in: Duration::ZERO });
        };
        started?;
        state = playbooks.read_playbook(context.key).await?;
    }
    // The state was read before the output: once it says "ended", all of the output is there.
    let caught_up = take_output(context, play).await;
    let again_in = context.world.limits.follow_interval;
    match state {
        RunState::Running | RunState::Absent => Ok(Progress::NotYet { again_in }),
        _ if !caught_up => Ok(Progress::NotYet { again_in }),
        // Its files stay until the result is recorded: without them it would be started again.
        RunState::Exited(0) => done(ExitStatus(0)),
        RunState::Failed { at, .. } => {
            let told = tell_failure(&at, &*(play.masker)(context).await?);
            Err(StepError::permanent(ErrorCode::PlaybookFailed, told))
        }
        RunState::Exited(code) => Err(StepError::permanent(
            ErrorCode::PlaybookFailed,
            format!("the playbook ended with exit status {code}"),
        )),
        RunState::Unmatched => Err(StepError::permanent(
            ErrorCode::NoHostsMatched,
            "no hosts matched: no play of the playbook has a `hosts:` that names the machine's \
             groups, so nothing was done",
        )),
        RunState::TimedOut(which) => Err(StepError::permanent(ErrorCode::PlaybookTimedOut, which)),
        RunState::Lost => Err(StepError::permanent(
            ErrorCode::PlaybookKilled,
            "the playbook was killed before it ended; it may have done a part of its work",
        )),
    }
}

/// The task that failed and what it said, in one line as it may be shown: masked as the log is, and
/// cut only after that, so that no half of a secret is left.
fn tell_failure(at: &TaskFailure, masker: &Masker) -> String {
    let TaskFailure { task, host, message } = at;
    let text = strip_control(&format!("task '{task}' on {host}: {message}"));
    let text = outside_text::take_in(&masker.mask(&text)).replace('\n', " ");
    match cut_at(&text, FAILURE_BYTES_MAX) {
        (_, 0) => text,
        (shown, _) => format!("{shown}…"),
    }
}

/// The work's outcome, or `None` as soon as somebody cancelled the run or skipped the step: git and
/// pip may take half an hour, and end when nobody waits for them any more. Only for steps before
/// their pivot.
pub(super) async fn until_unwanted<T>(
    context: &StepContext,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        outcome = work => Some(outcome),
        () = await_order(context) => None,
    }
}

async fn await_order(context: &StepContext) {
    let stream = context.run.stream();
    loop {
        tokio::time::sleep(CANCEL_INTERVAL).await;
        // A store that does not answer for a moment says nothing.
        if let Ok(loaded) = context.world.app.journal().load::<Saga>(&stream).await
            && loaded.state.is_some_and(|run| {
                let is_over = run.phase.is_over() || run.effort(context.step).declared_done;
                run.cancel.is_some() || is_over
            })
        {
            return;
        }
    }
}

/// The play's place in the trace of the request that the run began with. A store that does not
/// answer costs the trace, not the play.
async fn find_trace(context: &StepContext) -> Option<String> {
    let log = context.world.app.journal().store();
    let events = log.read_stream(&context.run.stream(), 0).await.ok()?;
    let request: TraceContext = events.first()?.meta.traceparent.as_deref()?.parse().ok()?;
    Some(request.with_span(playbook_span(context.key)).to_string())
}

/// Takes new output into the run's log; true when all there was is taken. A log that can't be
/// written never fails the run: the output stays in its file and is taken later, before the run's
/// end is reported.
async fn take_output(context: &StepContext, play: Play) -> bool {
    let source = context.key.to_string();
    let mut masker = None;
    for _ in 0..CHUNKS_MAX {
        match take_chunk(context, &source, play, &mut masker).await {
            Ok(true) => {}
            Ok(false) => return true,
            Err(error) => {
                tracing::warn!(run = %context.run, %error, "output is not logged yet");
                return false;
            }
        }
    }
    false
}

async fn take_chunk(
    context: &StepContext,
    source: &str,
    play: Play,
    masker: &mut Option<Arc<Masker>>,
) -> Result<bool, StepError> {
    let logs = &context.world.logs;
    let held = logs.read_source(context.run, source).await?;
    let (new_lines, to) =
        context.world.ports.playbooks.read_output(context.key, held.bytes).await?;
    if to == held.bytes {
        return Ok(false);
    }
    let mut lines = Vec::new();
    if held.context < held.bytes {
        (lines, _) = context.world.ports.playbooks.read_output(context.key, held.context).await?;
        lines.retain(|line| line.end <= held.bytes);
    }
    lines.extend(new_lines);
    let (from, start) = (held.bytes, held.context);
    let read = SourceRead { source, from, start, to, lines: &lines };
    let masker = match masker {
        Some(masker) => masker,
        None => masker.insert((play.masker)(context).await?),
    };
    logs.append_from_source(context.run, context.step, read, masker).await?;
    Ok(true)
}

async fn launched(context: &StepContext) -> Result<appserver::Present, StepError> {
    let input: LaunchInput = context.input()?;
    Ok(context.world.app.load_appserver(input.appserver).await?)
}

/// The address of the run's machine, and the host keys that it shows.
async fn machine_address(context: &StepContext) -> Result<(ServerAddress, Vec<String>), StepError> {
    let created: CreatedServer = context.need("create_server")?;
    let server = load_server(context, created.server).await?;
    let address = server
        .address
        .ok_or_else(|| StepError::permanent(ErrorCode::AddressUnknown, "the address is unknown"))?;
    Ok((address, server.host_keys))
}

/// A playbook, with the requirements beside it, on the run's machine. It gets these variables and the
/// key of the step, no others.
async fn compose_run(
    context: &StepContext,
    source: Source,
    (playbook, requirements): (String, String),
    mut variables: Map<String, Value>,
) -> Result<PlaybookRun, StepError> {
    let (address, host_keys) = machine_address(context).await?;
    variables.insert("OCIM_RUN_KEY".to_owned(), context.key.to_string().into());
    let groups = vec!["openedx-app".to_owned(), "app".to_owned()];
    Ok(PlaybookRun {
        key: context.key,
        source,
        playbook,
        requirements,
        target: Target { groups, address, host_keys },
        variables: Value::Object(variables),
        line_timeout: context.world.limits.line_timeout,
        total_timeout: context.world.limits.playbook_timeout,
        traceparent: None,
    })
}

fn frozen_variables(frozen: &Protected) -> Result<Map<String, Value>, StepError> {
    let text = frozen.open().ok_or_else(|| {
        StepError::permanent(
            ErrorCode::UnreadableSecret,
            "the frozen variables can't be read: their key was deleted",
        )
    })?;
    serde_json::from_str(text).map_err(|error| {
        StepError::permanent(
            ErrorCode::UnreadableRecord,
            format!("the frozen variables are broken: {error}"),
        )
    })
}

/// Everything that must not stand in this run's log.
async fn site_masker(context: &StepContext) -> Result<Arc<Masker>, StepError> {
    let logs = &context.world.logs;
    if let Some(masker) = logs.kept_masker(context.run) {
        return Ok(masker);
    }
    let appserver = launched(context).await?;
    let mut secrets = context.world.deployment.own_secrets.clone();
    // Without them it is not known what to mask: then nothing is logged.
    let launched = &appserver.launched;
    let all = [&launched.variables, &launched.users_variables, &launched.common_variables];
    let mut values = Vec::new();
    for frozen in all {
        values.extend(list_secret_values(&frozen_variables(frozen)?));
    }
    if let Some(master) = launched.settings.secret_key_b64encoded.open() {
        secrets.push(master.to_owned());
        if let Ok(auth) = HttpAuth::derive(master) {
            secrets.extend([auth.token(), auth.user, auth.password]);
        }
    }
    let own = secrets.into_iter().map(SecretValue::new);
    let masker = Arc::new(Masker::of_values(own.chain(values)));
    logs.keep_masker(context.run, &masker);
    Ok(masker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> String {
        let at = TaskFailure {
            task: "nginx : install".to_owned(),
            host: "127.1.2.3".to_owned(),
            message: message.to_owned(),
        };
        tell_failure(&at, &Masker::new(["a-long-password".to_owned()]))
    }

    #[test]
    fn a_failed_task_is_told_in_one_line_without_secrets() {
        let text = told("no a-long-\npassword at \u{1b}[31mhttps://user:pw@host/x\u{1b}[0m");
        assert_eq!(text, "task 'nginx : install' on 127.1.2.3: no *** *** at https://***@host/x");
    }

    #[test]
    fn nothing_of_a_secret_is_left_where_the_words_are_cut() {
        let start = told("").len();
        for ahead in 0..20 {
            let fill = "x".repeat(FAILURE_BYTES_MAX - start - ahead);
            let text = told(&format!("{fill}a-long-password"));
            assert!(text.len() <= FAILURE_BYTES_MAX + '…'.len_utf8(), "{text}");
            assert!(!text.contains("a-"), "{text}");
        }
    }
}
