//! `prepare_load_balancer`: brings everything at a balancer to what it should be: the program, HAProxy,
//! and the fragment of each site.

use super::balancer_troubles::find_troubles;
use super::balancers::{Site, apply_recorded_lineup, balancer_host, record_applied};
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done};
use crate::app::AppError;
use ocim_adapters::balancer::Fragment;
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::ledger::{self, ResourceKey};
use ocim_domain::load_balancer::{Command, LoadBalancer, Trouble, fragment_owner};
use ocim_domain::run_record::BalancerInput;
use ocim_engine::call;
use std::time::Duration;

/// How long one step may take: packages may have to be installed.
const STEP_TIME: Duration = Duration::from_secs(900);

/// The process.
///
/// Failure policy: each step brings about what is recorded anyway, so nothing is taken back. A run
/// that failed or was cancelled is followed by another after a pause, as long as it is needed.
pub static PREPARE_LOAD_BALANCER: Definition = Definition {
    name: "prepare_load_balancer",
    version: 1,
    deadline: Some(|limits| limits.traffic_time),
    on_abandoned: None,
    settles_on_undo: false,
    steps: &[
        Step::new(
            "prepare_balancer",
            call!(prepare_balancer),
            Kind::NoUndo("a balancer that is prepared and runs is what is recorded"),
            3,
            |_| STEP_TIME,
        ),
        Step::new(
            "remove_strays",
            call!(remove_strays),
            Kind::NoUndo("they belong to nobody"),
            3,
            |_| STEP_TIME,
        ),
        Step::new(
            "apply_fragments",
            call!(apply_fragments),
            Kind::NoUndo("the fragments of those who serve are what is recorded"),
            3,
            |_| STEP_TIME,
        ),
        Step::new(
            "record_troubles",
            call!(record_troubles),
            Kind::Pivot("what was put right stays"),
            20,
            |_| Duration::from_secs(180),
        ),
    ],
};

/// Installs what is missing, and starts HAProxy if it does not run.
async fn prepare_balancer(context: StepContext) -> Result<Progress, StepError> {
    let input: BalancerInput = context.input()?;
    let registration = context.world.app.load_balancer(input.load_balancer).await?;
    let lock = context.world.lock(&registration.domain);
    let _one_at_a_time = lock.lock().await;
    let balancer = &context.world.ports.load_balancer;
    balancer.prepare_balancer(&balancer_host(&registration)).await?;
    context.say(format!("{} is prepared, and HAProxy is running", registration.domain)).await;
    done(())
}

/// Removes the fragments with our mark that belong to nobody; they may hold a name that is needed.
async fn remove_strays(context: StepContext) -> Result<Progress, StepError> {
    let input: BalancerInput = context.input()?;
    for trouble in look(&context, input.load_balancer).await? {
        if let Trouble::Stray { fragment } = trouble {
            remove_fragment(&context, input.load_balancer, fragment, false).await?;
        }
    }
    done(())
}

/// Sends the fragments that are missing or differ. One that can't be sent holds up no other.
async fn apply_fragments(context: StepContext) -> Result<Progress, StepError> {
    let input: BalancerInput = context.input()?;
    let mut failed = None;
    for trouble in look(&context, input.load_balancer).await? {
        let (Trouble::Missing { fragment } | Trouble::Differs { fragment }) = trouble else {
            continue;
        };
        if let Err(error) = apply_fragment(&context, input.load_balancer, fragment).await {
            failed.get_or_insert(error);
        }
    }
    failed.map_or_else(|| done(()), Err)
}

async fn apply_fragment(
    context: &StepContext,
    id: LoadBalancerId,
    fragment: String,
) -> Result<(), StepError> {
    let site = match fragment_owner(&fragment) {
        Some(owner) => match context.world.app.load_instance(owner).await {
            Err(AppError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
            Ok(_) => Site::load(context, owner).await?,
        },
        None => None,
    };
    match site.filter(|site| site.load_balancer == id && site.fragment() == fragment) {
        Some(site) => apply_recorded_lineup(context, &site).await,
        // The log says that it is there, but nobody's it is.
        None => remove_fragment(context, id, fragment, true).await,
    }
}

/// Removes a fragment, if that is still so which speaks for it: whether the log knows it.
async fn remove_fragment(
    context: &StepContext,
    id: LoadBalancerId,
    name: String,
    is_known: bool,
) -> Result<(), StepError> {
    let app = &context.world.app;
    let domain = app.load_balancer(id).await?.domain;
    let lock = context.world.lock(&domain);
    let _one_at_a_time = lock.lock().await;
    let known = app.balancer(id).await?;
    if known.fragments.contains_key(&name) != is_known {
        return Ok(());
    }
    let empty = Fragment { name, ..Fragment::default() };
    let host = balancer_host(&known.registration);
    context.world.ports.load_balancer.apply_fragment(&host, &empty).await?;
    context.say(format!("the fragment {} belongs to nobody, and is removed", empty.name)).await;
    record_applied(context, id, &empty).await?;
    if let Some(owner) = fragment_owner(&empty.name) {
        let gone = ResourceKey::new(ledger::Kind::Fragment, &empty.name);
        app.observe_resource(owner, ledger::Command::FindAbsent { id: gone }).await?;
    }
    Ok(())
}

/// What is to be put right. Silence is no answer: nothing is concluded from it.
async fn look(context: &StepContext, id: LoadBalancerId) -> Result<Vec<Trouble>, StepError> {
    let troubles = find_troubles(&context.world, id).await?;
    if troubles.contains(&Trouble::Unreachable) {
        return Err(StepError::transient("the balancer does not answer"));
    }
    Ok(troubles)
}

/// Records what is still not as it should be.
async fn record_troubles(context: StepContext) -> Result<Progress, StepError> {
    let input: BalancerInput = context.input()?;
    let troubles = look(&context, input.load_balancer).await?;
    for trouble in &troubles {
        context.say(format!("still not as it should be: {trouble}")).await;
    }
    let observe = Command::Observe { troubles, preparation_is_open: true, run: context.run };
    let journal = context.world.app.journal();
    let stream = input.load_balancer.stream();
    let recorded = journal.execute::<LoadBalancer>(&stream, &context.metadata(), observe).await;
    recorded.map_err(AppError::from)?;
    done(())
}
