//! Where the variables of an Appserver come from.

use super::Api;
use super::appservers::{APPSERVER_ID, APPSERVERS};
use super::problem::{HttpError, not_found};
use super::routes::{Access, Answer, Content, Input, Link, PathPart, Route, Shape, Verb, handler};
use crate::app::{Caller, Edit, ExplainedLayer};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{SettingEdit, VariableExplanation, VariableLayer, VariableSource, texts};
use ocim_domain::configuration::layer::Source;
use ocim_domain::ids::AppserverId;
use ocim_domain::right::Right;

/// The name of a variable in a path.
const VARIABLE: PathPart = PathPart {
    name: "variable",
    description: "The name of the variable",
    shape: Shape::of::<texts::VariableName>(),
};

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(explain_variable),
    method: Verb::Get,
    path: "/api/v1/appservers/{id}/variables/{variable}",
    tag: APPSERVERS,
    summary: "Explains where a variable of an Appserver comes from",
    description: "Which layers say something of it, what they made it of, who set that, and what they \
        have overridden. What is explained is what was frozen when the Appserver was made.",
    access: Access::Granted(Right::AppserversRead),
    takes: Input::NOTHING.path(&[APPSERVER_ID, VARIABLE]),
    answers: &[Answer {
        status: 200,
        description: "The variable and its layers",
        content: &[Content::json::<VariableExplanation>()],
        headers: &[],
        links: &[Link {
            name: "events",
            to: "list_events",
            parameter: "after",
            from: "$response.body#/layers/0/sources/0/set/event",
        }],
    }],
    refuses: &[],
}];

async fn explain_variable(
    api: Data<Api>,
    by: ReqData<Caller>,
    path: Path<(AppserverId, String)>,
) -> Result<HttpResponse, HttpError> {
    let (id, variable) = path.into_inner();
    let explained = api.app.explain_variable(&by, id, &variable).await?;
    let explained = explained.ok_or_else(|| not_found("such variable of such an appserver"))?;
    let layers = explained.layers.into_iter().map(show_layer).collect();
    Ok(HttpResponse::Ok().json(VariableExplanation { variable, value: explained.value, layers }))
}

/// What one layer says of a variable.
pub(super) fn show_layer(explained: ExplainedLayer) -> VariableLayer {
    VariableLayer {
        layer: explained.layer.name().to_owned(),
        rule: explained.layer.rule().to_owned(),
        sources: explained.sources.into_iter().map(show_source).collect(),
        overridden: explained.overridden,
    }
}

fn show_source((source, edit): (Source, Option<Edit>)) -> VariableSource {
    VariableSource {
        description: source.describe(),
        setting: source.setting().map(str::to_owned),
        set: edit.map(show_edit),
    }
}

/// Who gave a setting its value.
pub(super) fn show_edit(edit: Edit) -> SettingEdit {
    let Edit { event, version, actor, at } = edit;
    SettingEdit { event: event.to_string(), version, actor, at }
}
