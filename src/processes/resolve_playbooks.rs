//! The first look of a launch: are its playbooks there, and which commits do their versions mean?
//!
//! It comes before anything is made and before the launch takes a slot: what is wrong with a
//! repository, a version, a playbook or its requirements is said at once, and a host that does not
//! answer is waited for while others go on.

use super::playbook_steps::until_unwanted;
use super::step::{Progress, StepContext, StepError, done};
use super::world::World;
use ocim_adapters::playbooks::{Playable, Source};
use ocim_domain::run_record::{LaunchInput, ResolvedPlaybooks};
use ocim_domain::saga::ErrorCode;
use ocim_domain::settings::InstanceSettings;
use std::time::Duration;

/// The step's path.
pub const RESOLVE_PLAYBOOKS: &str = "resolve_playbooks";
/// Path of the pip requirements inside the repository of a site's own playbook.
pub const MAIN_REQUIREMENTS: &str = "requirements.txt";

/// Step: looks for the playbooks of the launch.
pub async fn resolve_playbooks(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    // What was begun has ended with the call; a cancelled run turns back at its next look.
    match until_unwanted(&context, resolve_all(&context, &instance.settings)).await {
        Some(resolved) => done(resolved?),
        None => Ok(Progress::NotYet { again_in: Duration::ZERO }),
    }
}

async fn resolve_all(
    context: &StepContext,
    settings: &InstanceSettings,
) -> Result<ResolvedPlaybooks, StepError> {
    let commit = resolve_main(context, settings).await?;
    let common_commit = match &context.world.deployment.common_playbook {
        None => None,
        Some((source, playbook, requirements)) => {
            let wanted = (source, playbook.as_str(), requirements.as_str());
            resolve(context, &settings.openstack_region, wanted).await?
        }
    };
    Ok(ResolvedPlaybooks {
        repository: settings.configuration_source_repo_url.clone(),
        version: settings.configuration_version.clone(),
        playbook: settings.configuration_playbook_name.clone(),
        commit,
        common_commit,
    })
}

/// The commit that a launch with these settings plays: the one that was looked at, unless they have
/// changed since.
pub async fn commit_for(
    context: &StepContext,
    settings: &InstanceSettings,
) -> Result<Option<String>, StepError> {
    match context.output::<ResolvedPlaybooks>(RESOLVE_PLAYBOOKS)? {
        Some(resolved) if resolved.fits(settings) => Ok(resolved.commit),
        _ => resolve_main(context, settings).await,
    }
}

/// The common playbook's source, at the commit that was looked at.
pub fn pin_common(context: &StepContext, source: Source) -> Result<Source, StepError> {
    let resolved = context.output::<ResolvedPlaybooks>(RESOLVE_PLAYBOOKS)?;
    Ok(pin(source, resolved.and_then(|resolved| resolved.common_commit)))
}

/// The source at that commit.
#[must_use]
pub fn pin(source: Source, commit: Option<String>) -> Source {
    match (source, commit) {
        (Source::Git { repository, .. }, Some(version)) => Source::Git { repository, version },
        (source, _) => source,
    }
}

/// Where the playbook of a site comes from.
///
/// # Errors
/// A playbook that ships inside this binary has this binary's version and no other. What all
/// instances get by default says nothing of it.
pub fn main_source(world: &World, settings: &InstanceSettings) -> Result<Source, StepError> {
    let repository = settings.configuration_source_repo_url.clone();
    let version = settings.configuration_version.clone();
    let Some(name) = repository.strip_prefix("bundled:") else {
        return Ok(Source::Git { repository, version });
    };
    let known = [&world.app.defaults().configuration_version, env!("CARGO_PKG_VERSION")];
    if known.contains(&version.as_str()) {
        return Ok(Source::Bundled(name.to_owned()));
    }
    let [default, own] = known;
    Err(StepError::permanent(
        ErrorCode::PlaybookNotFound,
        format!(
            "{repository} has no version {version:?}: a bundled playbook is as old as Ocim itself; set \
         `configuration_version` to {own:?}, or to its default {default:?}"
        ),
    ))
}

async fn resolve_main(
    context: &StepContext,
    settings: &InstanceSettings,
) -> Result<Option<String>, StepError> {
    let source = main_source(&context.world, settings)?;
    let wanted = (&source, settings.configuration_playbook_name.as_str(), MAIN_REQUIREMENTS);
    resolve(context, &settings.openstack_region, wanted).await
}

/// Looks at a playbook, with the requirements beside it, for a machine of that region: the commit that
/// its version means now.
///
/// # Errors
/// What the port says.
pub async fn look_at(
    world: &World,
    region: &str,
    (source, playbook, requirements): (&Source, &str, &str),
) -> Result<Option<String>, StepError> {
    let wanted = Playable { region, source, playbook, requirements };
    Ok(world.ports.playbooks.resolve_playbook(wanted).await?)
}

async fn resolve(
    context: &StepContext,
    region: &str,
    (source, playbook, requirements): (&Source, &str, &str),
) -> Result<Option<String>, StepError> {
    let commit = look_at(&context.world, region, (source, playbook, requirements)).await?;
    if let (Source::Git { repository, version }, Some(commit)) = (source, &commit) {
        context.say(format!("{version} of {repository} is commit {commit}")).await;
    }
    Ok(commit)
}
