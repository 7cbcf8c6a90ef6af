//! Versions of an instance's settings: list, restore; and instances that are made after others.

use super::Api;
use super::extract::{Body, Params};
use super::instances::{
    CHANGED, CREATED, INSTANCE_ID, INSTANCES, answer_with_created, answer_with_settings,
    take_details, take_reason,
};
use super::problem::{HttpError, bad_request};
use super::routes::{Access, Answer, Content, Input, Route, Verb, handler};
use crate::app::{Caller, SettingsVersion as Version};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{
    CreateInstance, ProblemType, RestoreSettings, SettingChange, SettingsHistory, SettingsVersion,
};
use ocim_domain::ids::InstanceId;
use ocim_domain::right::Right;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// Versions on a page where nobody says how many.
const LIMIT: usize = 50;
/// Highest version that is asked for: as high as the document's numbers go.
const BEFORE_MAX: u64 = i64::MAX as u64;
/// Most versions on a page.
const LIMIT_MAX: usize = 200;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(clone_instance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/clone",
        tag: INSTANCES,
        summary: "Makes an instance after another one",
        description: "It gets that one's settings, also those that nobody is shown, but for what is that \
            one's own: its domains, keys and bucket. Settings that are given go on top; a name below \
            the base domain, or a domain, must be given. Nothing is deployed.",
        access: Access::Granted(Right::InstancesCreate),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<CreateInstance>(),
        answers: CREATED,
        refuses: &[ProblemType::NameTaken, ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(list_settings_versions),
        method: Verb::Get,
        path: "/api/v1/instances/{id}/settings",
        tag: INSTANCES,
        summary: "Lists the versions of an instance's settings, newest first",
        description: "Who made each, when, why, and what differs from the one before; secret and personal \
            values are named, and not told.",
        access: Access::Granted(Right::InstancesRead),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).query::<HistoryParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of versions",
            content: &[Content::json::<SettingsHistory>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(restore_settings),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/settings/restore",
        tag: INSTANCES,
        summary: "Sets the settings to what they were at a version",
        description: "Internal domains and secrets stay once the instance was launched. It is a change like \
            any other, and makes a version of its own.",
        access: Access::Granted(Right::InstancesChange),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<RestoreSettings>(),
        answers: CHANGED,
        refuses: &[ProblemType::NameTaken, ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// Which versions are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryParams {
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Only those before this version: the `next` of the page before.
    #[param(minimum = 1)]
    before: Option<u64>,
}

/// Makes an instance with the settings of another one.
async fn clone_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(mut input): Body<Map<String, Value>>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: take_reason(&mut input)?, ..by.into_inner() };
    let details = take_details(&mut input)?;
    let done = api.app.clone_instance(&by, *id, input, details).await?;
    answer_with_created(&api, &by, done).await
}

/// Lists the versions of an instance's settings, newest first.
async fn list_settings_versions(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Params(params): Params<HistoryParams>,
) -> Result<HttpResponse, HttpError> {
    let limit = params.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad_request("limit", format!("must be a number from 1 to {LIMIT_MAX}")));
    }
    if params.before.is_some_and(|before| !(1..=BEFORE_MAX).contains(&before)) {
        return Err(bad_request("before", format!("must be a number from 1 to {BEFORE_MAX}")));
    }
    let mut versions = api.app.list_settings_versions(&by, *id, params.before, limit + 1).await?;
    let has_more = versions.len() > limit;
    versions.truncate(limit);
    let next = versions.last().filter(|_| has_more).map(|last| last.version);
    let items = versions.into_iter().map(show_version).collect();
    Ok(HttpResponse::Ok().json(SettingsHistory { items, next }))
}

/// Sets the settings to what they were at a version.
async fn restore_settings(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<RestoreSettings>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.restore_settings(&by, *id, body.version).await?;
    answer_with_settings(&api, &by, *id, done).await
}

fn show_version(version: Version) -> SettingsVersion {
    SettingsVersion {
        version: version.version,
        actor: version.actor,
        at: version.at,
        reason: version.reason,
        changes: version.changes.into_iter().map(show_change).collect(),
    }
}

/// A setting that has changed, with its values unless they are protected.
pub(super) fn show_change(change: crate::app::SettingChange) -> SettingChange {
    let is_protected = change.values.is_none();
    let (before, since) = change.values.unzip();
    SettingChange { setting: change.setting.to_owned(), is_protected, before, since }
}
