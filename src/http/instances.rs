//! Instances: create, list, read, change settings.

use super::clean_ups::show_rule;
use super::convert::{text_of, word};
use super::extract::{
    Body, Params, read_choice, read_flag, read_if_match, read_search_text, write_etag,
};
use super::holds::show_hold;
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, internal, invalid, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, RequestHeader, Route, Shape, Tag,
    Verb, handler,
};
use super::sites::{Listens, site};
use super::{Api, STALE_HEADER};
use crate::app::instances::warn_of_settings;
use crate::app::{Caller, DetailsAsk, Done};
use crate::read_models::{InstanceDetailRow, InstanceFilter, InstanceRow};
use actix_web::http::header::{ETAG, LOCATION};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use ocim_api_spec::{
    AppserverStatus, ChangeDetails, ChangeSettings, CleanUpRule, CreateInstance, CreatedInstance,
    Instance, InstanceDetail, InstanceLifecycle, InstanceServers, NewestAppserver, ProblemType,
    Settings, Site, texts,
};
use ocim_domain::ids::InstanceId;
use ocim_domain::right::Right;
use ocim_domain::settings::InstanceSettings;
use ocim_domain::text::check_note;
use ocim_projections::instances;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// The id of an instance in a path.
pub(super) const INSTANCE_ID: PathPart = PathPart {
    name: "id",
    description: "Which instance, `inst_…`",
    shape: Shape::of::<texts::InstanceId>(),
};

/// The answer of what makes an instance.
pub(super) const CREATED: &[Answer] = &[Answer {
    status: 201,
    description: "It is made",
    content: &[Content::json::<CreatedInstance>()],
    headers: &[AnswerHeader::Location, AnswerHeader::ETag, AnswerHeader::Stale],
    links: INSTANCE_LINKS,
}];

/// The answer of what changes an instance's settings.
pub(super) const CHANGED: &[Answer] = &[Answer {
    status: 200,
    description: "The instance as it is now",
    content: &[Content::json::<InstanceDetail>()],
    headers: &[AnswerHeader::ETag, AnswerHeader::Stale],
    links: INSTANCE_LINKS,
}];

/// What one may do with the id of an instance.
const INSTANCE_LINKS: &[Link] = &[
    Link { name: "instance", to: "read_instance", parameter: "id", from: "$response.body#/id" },
    Link { name: "launch", to: "launch_appserver", parameter: "id", from: "$response.body#/id" },
    Link {
        name: "appservers",
        to: "list_instance_appservers",
        parameter: "id",
        from: "$response.body#/id",
    },
    Link {
        name: "timeline",
        to: "read_instance_timeline",
        parameter: "id",
        from: "$response.body#/id",
    },
    Link { name: "archive", to: "archive_instance", parameter: "id", from: "$response.body#/id" },
    Link {
        name: "unarchive",
        to: "unarchive_instance",
        parameter: "id",
        from: "$response.body#/id",
    },
    Link { name: "delete", to: "delete_instance", parameter: "id", from: "$response.body#/id" },
];

pub(super) const INSTANCES: Tag =
    Tag { name: "instances", description: "Sites and their settings" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(create_instance),
        method: Verb::Post,
        path: "/api/v1/instances",
        tag: INSTANCES,
        summary: "Makes an instance",
        description: "Nothing is deployed until an Appserver is launched. What is left out gets the \
            default that this Ocim is set up with; the site's domains must be nobody else's. Fields \
            that are not known are refused.",
        access: Access::Granted(Right::InstancesCreate),
        takes: Input::NOTHING.body::<CreateInstance>(),
        answers: CREATED,
        refuses: &[ProblemType::NameTaken, ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(list_instances),
        method: Verb::Get,
        path: "/api/v1/instances",
        tag: INSTANCES,
        summary: "Lists instances, newest first",
        description: "Each with who serves it, how it is, where it is, and the launches that have not \
            settled; the settings are in the instance itself. All filters must hold. Archived and deleted \
            ones are left out unless they are asked for.",
        access: Access::Granted(Right::InstancesRead),
        takes: Input::NOTHING.query::<InstanceParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of instances",
            content: &[Content::page::<Instance>()],
            headers: &[AnswerHeader::Link],
            links: &[Link {
                name: "instance",
                to: "read_instance",
                parameter: "id",
                from: "$response.body#/items/0/id",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_instance),
        method: Verb::Get,
        path: "/api/v1/instances/{id}",
        tag: INSTANCES,
        summary: "Reads an instance with its settings",
        description: "Also where it is to be found, and the test login that opens it where no balancer \
            does. Secrets are shown as `***`. With `If-None-Match` the answer is 304 while the \
            settings are the same.",
        access: Access::Granted(Right::InstancesRead),
        takes: Input::NOTHING.path(&[INSTANCE_ID]),
        answers: &[Answer {
            status: 200,
            description: "The instance",
            content: &[Content::json::<InstanceDetail>()],
            headers: &[AnswerHeader::ETag],
            links: INSTANCE_LINKS,
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(change_settings),
        method: Verb::Patch,
        path: "/api/v1/instances/{id}",
        tag: INSTANCES,
        summary: "Changes some of the settings",
        description: "Appservers that exist keep theirs; the next launch takes the new ones. Fields \
            that are not known are refused, and so is null.",
        access: Access::Granted(Right::InstancesChange),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<ChangeSettings>().headers(&[
            RequestHeader {
                name: "If-Match",
                description: "The ETag that was read; 412 if the settings have changed since. Without \
                    it, they change whatever they are",
                pattern: "^(\"[0-9]{1,19}\"|\\*)$",
                example: "\"3\"",
            },
        ]),
        answers: CHANGED,
        refuses: &[
            ProblemType::StaleVersion,
            ProblemType::NameTaken,
            ProblemType::CommandRejected,
            ProblemType::InstanceHeld,
        ],
    },
    Route {
        handler: handler!(change_details),
        method: Verb::Patch,
        path: "/api/v1/instances/{id}/details",
        tag: INSTANCES,
        summary: "Notes whose an instance is, notes and tags",
        description: "No Appserver is made from them. Tags are added and removed one by one, so that two \
            who tag at once do not undo each other's.",
        access: Access::Granted(Right::InstancesChange),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<ChangeDetails>(),
        answers: CHANGED,
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// Which instances are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InstanceParams {
    /// Only those that are set to this release.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    release: Option<String>,
    /// Only those whose newest Appserver came so far.
    status: Option<AppserverStatus>,
    /// Only those that are well (`true`), or that are not (`false`).
    #[serde(default, deserialize_with = "read_choice")]
    is_healthy: Option<bool>,
    /// Only those that are so far in their life; all but archived and deleted ones when left out.
    lifecycle: Option<InstanceLifecycle>,
    /// Only those whose name has this in it, in letters of any case.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    name: Option<String>,
    /// Only those one of whose domains for the LMS, internal or external, has this in it.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    domain: Option<String>,
    /// Only those with this tag.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    tag: Option<String>,
    /// Only those of this owner.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    owner: Option<String>,
    /// Only those whose settings have changed since those were frozen that they are served with
    /// (`true`), or have not (`false`).
    #[serde(default, deserialize_with = "read_choice")]
    is_ahead: Option<bool>,
    /// Archived and deleted ones, too.
    #[serde(default, deserialize_with = "read_flag")]
    all: bool,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::InstanceId>)]
    after: Option<String>,
}

/// Makes an instance. Nothing is deployed until an Appserver is launched.
async fn create_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(mut input): Body<Map<String, Value>>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: take_reason(&mut input)?, ..by.into_inner() };
    let details = take_details(&mut input)?;
    let done = api.app.create_instance(&by, input, details).await?;
    answer_with_created(&api, &by, done).await
}

/// An instance that was made.
pub(super) async fn answer_with_created(
    api: &Api,
    by: &Caller,
    done: Done<InstanceId>,
) -> Result<HttpResponse, HttpError> {
    let id = done.value.to_string();
    let mut answer =
        api.answer_to(&[instances::PROJECTOR.name], done.position, HttpResponse::Created()).await;
    answer.insert_header((LOCATION, format!("/api/v1/instances/{id}")));
    if let Some((_, detail)) = api.app.reads(by).read_instance_detail(&id).await? {
        answer.insert_header((ETAG, write_etag(detail.settings_version)));
    }
    Ok(answer.json(CreatedInstance { id }))
}

/// Lists instances, newest first.
async fn list_instances(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<InstanceParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<InstanceId>(params.limit, params.after.as_deref())?;
    let filter = InstanceFilter {
        release: params.release,
        status: params.status.and_then(text_of),
        healthy: params.is_healthy,
        in_service: !params.all && params.lifecycle.is_none(),
        lifecycle: params.lifecycle.map(|stage| stage.word().to_owned()),
        name: params.name,
        domain: params.domain,
        tag: params.tag,
        owner: params.owner,
        ahead: params.is_ahead,
    };
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.reads(&by).list_instances(&filter, limit, after).await?;
    let now = api.app.journal().now();
    let show = |row| show_instance(row, now);
    let page = choice.page(rows, |row: &InstanceRow| row.id.clone(), show)?;
    answer_with_page(&request, &page)
}

/// Reads an instance with its settings.
async fn read_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
) -> Result<HttpResponse, HttpError> {
    let detail = read_detail(&api, &by, *id).await?;
    let etag = write_etag(detail.settings_version);
    Ok(HttpResponse::Ok().insert_header((ETAG, etag)).json(detail))
}

/// Changes some of the settings. Appservers that exist keep theirs.
async fn change_settings(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    request: HttpRequest,
    Body(mut input): Body<Map<String, Value>>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: take_reason(&mut input)?, ..by.into_inner() };
    let if_match = read_if_match(request.headers())?;
    let done = api.app.change_settings(&by, *id, input, if_match).await?;
    answer_with_settings(&api, &by, *id, done).await
}

/// An instance whose settings are at this version now.
pub(super) async fn answer_with_settings(
    api: &Api,
    by: &Caller,
    id: InstanceId,
    done: Done<u64>,
) -> Result<HttpResponse, HttpError> {
    let mut answer =
        api.answer_to(&[instances::PROJECTOR.name], done.position, HttpResponse::Ok()).await;
    let detail = read_detail(api, by, id).await?;
    if u64::try_from(detail.settings_version) != Ok(done.value) {
        answer.insert_header((STALE_HEADER, "true"));
    }
    answer.insert_header((ETAG, write_etag(detail.settings_version)));
    Ok(answer.json(detail))
}

/// The reason that stands beside the settings.
pub(super) fn take_reason(input: &mut Map<String, Value>) -> Result<Option<String>, HttpError> {
    match input.remove("reason") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(reason)) => match check_note(&reason) {
            Ok(()) => Ok(Some(reason)),
            Err(rule) => Err(invalid("reason", rule)),
        },
        Some(_) => Err(invalid("reason", "must be a text")),
    }
}

/// Owner, notes and tags that stand beside the settings of a new instance.
pub(super) fn take_details(input: &mut Map<String, Value>) -> Result<DetailsAsk, HttpError> {
    let mut take_text = |field: &str| match input.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(field, "must be a text")),
    };
    let (owner, notes) = (take_text("owner")?, take_text("notes")?);
    let tags = input.remove("tags").map_or(Ok(vec![]), serde_json::from_value);
    let add_tags = tags.map_err(|_| invalid("tags", "must be a list of texts"))?;
    Ok(DetailsAsk { owner, notes, add_tags, remove_tags: vec![] })
}

/// Notes whose an instance is, notes and tags.
async fn change_details(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<ChangeDetails>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    let ChangeDetails { owner, notes, add_tags, remove_tags, .. } = body;
    let ask = DetailsAsk { owner, notes, add_tags, remove_tags };
    let done = api.app.change_details(&by, *id, ask).await?;
    let mut answer =
        api.answer_to(&[instances::PROJECTOR.name], done.position, HttpResponse::Ok()).await;
    let detail = read_detail(&api, &by, *id).await?;
    answer.insert_header((ETAG, write_etag(detail.settings_version)));
    Ok(answer.json(detail))
}

async fn read_detail(api: &Api, by: &Caller, id: InstanceId) -> Result<InstanceDetail, HttpError> {
    let reads = api.app.reads(by);
    let row = reads.read_instance_detail(&id.to_string()).await?;
    let (row, detail) = row.ok_or_else(|| not_found("such instance"))?;
    let opened = api.app.open(&detail.settings).await?;
    let site = site(&opened, Listens::of(&row))?;
    let settings = read_settings(opened)?;
    let warnings = warn_of_settings(settings.configuration_extra_settings.text()).await?;
    let clean_up = show_rule(detail.clean_up.clone(), api.app.clean_up_rule())?;
    let instance = show_instance(row, api.app.journal().now())?;
    show_instance_detail(instance, detail, &settings, warnings, site, clean_up)
}

/// The list's form of a site.
pub(super) fn show_instance(row: InstanceRow, now: DateTime<Utc>) -> Result<Instance, HttpError> {
    let hold = show_hold(&row, now);
    let listens = Listens::of(&row);
    let (lms_url, studio_url) =
        (listens.visitor_url(&row.domain), listens.visitor_url(&row.studio_domain));
    let newest_appserver = match (row.newest, row.newest_number, row.newest_status) {
        (Some(id), Some(number), Some(status)) => Some(NewestAppserver {
            id,
            number,
            status: word(status)?,
            is_healthy: row.newest_healthy.unwrap_or(true),
        }),
        _ => None,
    };
    let name_troubles = serde_json::from_value(row.name_troubles);
    Ok(Instance {
        release: row.release,
        lms_url,
        studio_url,
        is_healthy: row.healthy,
        newest_appserver,
        id: row.id,
        name: row.name,
        domain: row.domain,
        appserver_count: row.appserver_count,
        active_appservers: row.active_appservers,
        name_troubles: name_troubles.map_err(|error| internal(&error))?,
        launches: row.launches,
        load_balancer: row.load_balancer,
        lifecycle: word(row.lifecycle)?,
        lifecycle_run: row.lifecycle_run,
        hold,
        maintenance: read_shown(row.maintenance)?,
        maintenance_change: read_shown(row.maintenance_change)?,
        successfully_provisioned: row.successfully_provisioned,
        is_ahead: row.ahead,
        owner: row.owner,
        tags: row.tags,
        creator: row.creator,
        created: row.created_at,
        modified: row.updated_at,
    })
}

/// A site with its settings, and what to tell whoever set them.
fn show_instance_detail(
    instance: Instance,
    detail: InstanceDetailRow,
    settings: &InstanceSettings,
    warnings: Vec<String>,
    site: Site,
    clean_up: CleanUpRule,
) -> Result<InstanceDetail, HttpError> {
    Ok(InstanceDetail {
        settings_version: detail.settings_version,
        warnings,
        notes: detail.notes,
        resources: read_shown(detail.resources)?,
        servers: InstanceServers {
            mysql: read_shown(detail.mysql)?,
            mongodb: read_shown(detail.mongodb)?,
            rabbitmq: read_shown(detail.rabbitmq)?,
        },
        settings: Settings(settings.show()),
        site,
        clean_up,
        instance,
    })
}

/// What a column shows in the form of the wire.
fn read_shown<T: DeserializeOwned>(column: Option<Value>) -> Result<Option<T>, HttpError> {
    column.map(serde_json::from_value).transpose().map_err(|error| internal(&error))
}

/// The settings as people see them; what is Ocim's own, the master secret before all, falls away.
pub(super) fn show_settings(opened: Value) -> Result<Settings, HttpError> {
    read_settings(opened).map(|settings| Settings(settings.show()))
}

/// The settings with all that is in them; `opened` has the texts of protected ones.
pub(super) fn read_settings(opened: Value) -> Result<InstanceSettings, HttpError> {
    serde_json::from_value(opened).map_err(|error| internal(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::protected::{MARK, Protected};
    use ocim_domain::settings::{HIDDEN, SETTINGS, Setting};
    use serde_json::json;

    /// Settings as they are recorded, with the example of each.
    fn sample_settings() -> Value {
        let value = |setting: &Setting| match ((setting.example)(), setting.is_protected) {
            (Value::String(text), true) => json!(Protected::new("inst_1", text)),
            (users, true) if setting.name == "lms_users" => recorded_users(users),
            (Value::Array(texts), true) => texts
                .iter()
                .map(|text| json!(Protected::new("inst_1", text.as_str().unwrap())))
                .collect(),
            (value, _) => value,
        };
        SETTINGS.iter().map(|setting| (setting.name.to_owned(), value(setting))).collect()
    }

    fn recorded_users(mut users: Value) -> Value {
        for part in ["email", "password_hash"] {
            let text = users[0][part].as_str().unwrap().to_owned();
            users[0][part] = json!(Protected::new("inst_1", text));
        }
        users
    }

    #[test]
    fn every_setting_is_shown_and_of_hidden_ones_that_they_are_there() {
        let shown = show_settings(sample_settings()).unwrap();
        for setting in SETTINGS {
            let expected = match setting.name {
                "lms_users" => {
                    let mut users = (setting.example)();
                    users[0]["password_hash"] = HIDDEN.into();
                    users
                }
                _ if setting.is_hidden => HIDDEN.into(),
                _ => (setting.example)(),
            };
            assert_eq!(shown.0.get(setting.name), Some(&expected), "{}", setting.name);
        }
        assert_eq!(shown.0["secret_key_b64encoded"], HIDDEN);
    }

    #[test]
    fn a_shredded_text_is_called_that() {
        let mut shredded = sample_settings();
        shredded["email"] = json!({MARK: {"subject": "inst_1"}});
        assert_eq!(show_settings(shredded).unwrap().0["email"], "[shredded]");
    }
}
