//! Releases what abandoned runs keep from others: turns and claims, never machines.

use super::OUTAGE_PAUSE;
use super::tasks::Shared;
use crate::sagas::definition::{StepContext, StepError};
use crate::sagas::host::Host;
use crate::sagas::steady::SteadyTime;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorClass, Phase, Saga, step_key};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// What the key, and thereby the cause of what is recorded, is made of.
const STEP: &str = "on_abandoned";
/// The time that it is given; nothing here waits for anything.
const TIME: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Has each of these runs release what others wait for; tries again until the runner stops. That it
/// is `for_good` is noted, so that no later start does it again.
pub(super) async fn release_claims<H: Host>(
    shared: Arc<Shared<H>>,
    runs: BTreeSet<RunId>,
    for_good: bool,
) {
    'runs: for run in runs {
        while let Err(error) = release_claims_once(&shared, run).await {
            if error.class == ErrorClass::Permanent {
                tracing::error!(%run, %error, "an abandoned run can't release what it held");
                continue 'runs;
            }
            tracing::warn!(%run, %error, "an abandoned run could not yet release what it held");
            shared.pause(OUTAGE_PAUSE).await;
            if shared.is_stopped() {
                return;
            }
        }
        if for_good {
            shared.released.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        }
    }
}

/// Several nodes may do so at a time, and do it again at their next starts: it changes nothing more.
async fn release_claims_once<H: Host>(shared: &Shared<H>, id: RunId) -> Result<(), StepError> {
    let world = &shared.world;
    let loaded = world.journal().load::<Saga>(&id.stream()).await?;
    let Some(run) = loaded.state else { return Ok(()) };
    let Phase::Abandoned { reason, .. } = run.phase else { return Ok(()) };
    // Its own version may be known no more, which is a reason to abandon it. The input tells all.
    let known = shared.registry.values().filter(|known| known.name == run.definition);
    let newest = known.max_by_key(|known| known.version);
    let Some(on_abandoned) = newest.and_then(|known| known.on_abandoned) else { return Ok(()) };
    let time = SteadyTime::start(world.journal().clock());
    let context = StepContext {
        run: id,
        step: STEP,
        key: step_key(id, STEP),
        input: run.input,
        outputs: run.outputs,
        cause: Some(Cause::Cancelled { reason: format!("its run was abandoned: {reason}") }),
        attempt: 1,
        deadline: time.now() + TIME,
        time,
        world: Arc::clone(world),
    };
    on_abandoned(context).await.map(|_| ())
}
