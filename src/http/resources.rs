//! What instances have outside of Ocim, to look at.

use super::Api;
use super::convert::word;
use super::extract::Params;
use super::paging::{Choice, answer_with_page};
use super::problem::HttpError;
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, Route, Tag, Verb, handler,
};
use crate::app::Caller;
use crate::read_models::{ResourceFilter, ResourceKey, ResourceRow};
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{Resource, ResourceKind, ResourceState, texts};
use ocim_domain::ids::InstanceId;
use ocim_domain::right::Right;
use serde::Deserialize;
use utoipa::IntoParams;

pub(super) const RESOURCES: Tag =
    Tag { name: "resources", description: "What sites have outside of Ocim" };

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(list_resources),
    method: Verb::Get,
    path: "/api/v1/resources",
    tag: RESOURCES,
    summary: "Lists what instances have outside of Ocim",
    description: "Machines, balancers' fragments, names, security groups: from the moment they are \
        wanted until they are seen to be gone. By instance, kind and key.",
    access: Access::Granted(Right::ResourcesRead),
    takes: Input::NOTHING.query::<ResourceParams>(),
    answers: &[Answer {
        status: 200,
        description: "A page of resources",
        content: &[Content::page::<Resource>()],
        headers: &[AnswerHeader::Link],
        links: &[Link {
            name: "instance",
            to: "read_instance",
            parameter: "id",
            from: "$response.body#/items/0/instance",
        }],
    }],
    refuses: &[],
}];

/// Which resources are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResourceParams {
    /// Only those of the instance with this id.
    #[param(value_type = Option<texts::InstanceId>)]
    instance: Option<InstanceId>,
    /// Only those of this kind.
    kind: Option<ResourceKind>,
    /// Only those in this state: `wanted`, `present`, `unknown`.
    state: Option<ResourceState>,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::ResourceId>)]
    after: Option<String>,
}

/// Lists what instances have outside of Ocim.
async fn list_resources(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<ResourceParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<ResourceKey>(params.limit, params.after.as_deref())?;
    let filter = ResourceFilter {
        instance: params.instance.map(|id| id.to_string()),
        kind: params.kind.map(|kind| kind.word().to_owned()),
        state: params.state.map(|state| state.word().to_owned()),
    };
    let after = choice.after_as::<ResourceKey>();
    let limit = choice.rows_to_read();
    let rows = api.app.reads(&by).list_resources(&filter, limit, after.as_ref()).await?;
    let page = choice.page(rows, |row: &ResourceRow| row.id().to_string(), show_resource)?;
    answer_with_page(&request, &page)
}

/// Something that an instance has outside.
fn show_resource(row: ResourceRow) -> Result<Resource, HttpError> {
    Ok(Resource {
        instance: row.instance_id,
        kind: word(row.kind)?,
        key: row.key,
        name: row.name,
        place: row.place,
        owner: row.owner,
        state: word(row.state)?,
        provider_id: row.provider_id,
        reason: row.reason,
        since: row.since,
    })
}
