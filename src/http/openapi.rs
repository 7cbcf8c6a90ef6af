//! The description of the API (`openapi.json`), and the pages that show it without a network.

use super::idempotency::KEY_HEADER;
use super::problem::PROBLEM_JSON;
use super::{
    appservers, events, health, instances, keeping, logs, operators, problems, projections,
    references, regions, runs, servers, status, stream, timeline, tokens,
};
use ocim_api_spec::{AppendedEvent, Problem};
use std::collections::BTreeMap;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Array, ContentBuilder, Object, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the document is served.
pub const DOCUMENT_PATH: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ocim",
        description = "Deploys and runs Open edX sites. Long work is a run: a command that starts \
            one answers 202 with its id. Every error is an RFC 9457 problem, whose \
            type is the address of a page about it. HEAD is answered wherever GET is.",
    ),
    paths(
        instances::create_instance, instances::list_instances, instances::read_instance,
        instances::change_settings,
        appservers::launch_appserver, appservers::list_appservers, appservers::read_appserver,
        appservers::activate_appserver, appservers::deactivate_appserver,
        appservers::terminate_appserver, keeping::keep_server, keeping::clean_up_appserver,
        servers::list_servers, servers::read_server, servers::list_orphans, servers::delete_orphan,
        servers::list_looks, servers::list_load_balancers, servers::prepare_load_balancer, regions::list_regions,
        regions::change_region, references::find_references,
        runs::list_runs, runs::read_run, runs::cancel_run, runs::read_run_statistics,
        operators::operate_run, operators::explain_run,
        timeline::read_instance_timeline, timeline::read_appserver_timeline,
        timeline::read_run_timeline,
        logs::read_run_logs, logs::read_appserver_logs, logs::download_run_logs, logs::download_appserver_logs,
        events::list_events, stream::stream_events,
        projections::list_projections, projections::skip_event,
        tokens::create_token, tokens::list_tokens, tokens::revoke_token,
        status::read_status, health::read_health, health::read_readiness,
        problems::list_problem_pages, problems::read_problem_page,
    ),
    components(schemas(Problem, AppendedEvent)),
    tags(
        (name = "instances", description = "Sites and their settings"),
        (name = "appservers", description = "Deployments of a site"),
        (name = "runs", description = "Long work and its steps"),
        (name = "timeline", description = "What happened, in sentences"),
        (name = "logs", description = "What the work printed"),
        (name = "events", description = "What happened, in full"),
        (name = "stream", description = "What happens, live"),
        (name = "servers", description = "Machines and balancers"),
        (name = "projections", description = "Read models, and the events they stand at"),
        (name = "problems", description = "What went wrong, and what to do"),
        (name = "references", description = "What people call things, and their ids"),
        (name = "tokens", description = "Who may come in"),
        (name = "health", description = "Whether Ocim is well"),
    ),
    security(("bearer" = [])),
    modifiers(&BearerToken, &IdempotencyKey, &Answers, &PageItems),
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token that `ocim token create` made"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Every POST may come with a key.
struct IdempotencyKey;

impl Modify for IdempotencyKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let parameter = ParameterBuilder::new()
            .name(KEY_HEADER)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "A new one for each new command, e.g. a UUID. The same request with the same key is \
                 carried out once; within 24 hours it gets the first answer again, with \
                 `Idempotency-Replayed: true`.",
            ))
            .schema(Some(Object::with_type(Type::String)))
            .build();
        for item in document.paths.paths.values_mut() {
            if let Some(operation) = &mut item.post {
                operation.parameters.get_or_insert_default().push(RefOr::T(parameter.clone()));
            }
        }
    }
}

/// Every answer is described.
struct Answers;

impl Modify for Answers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let items = document.paths.paths.values_mut();
        let operations =
            items.flat_map(|item| [&mut item.get, &mut item.post, &mut item.patch]).flatten();
        for (status, answer) in operations.flat_map(|it| &mut it.responses.responses) {
            if let RefOr::T(answer) = answer
                && answer.description.is_empty()
            {
                answer.description = describe_status(status).to_owned();
            }
        }
    }
}

/// What a success means where nothing else is said.
fn describe_status(status: &str) -> &'static str {
    match status {
        "201" => "It is made",
        "202" => "It has begun: the run does it",
        "204" => "It is done",
        _ => "As asked for",
    }
}

/// The items of pages refer to the schema of their type, of which they would else be copies.
struct PageItems;

impl Modify for PageItems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let Some(components) = &mut document.components else { return };
        for (name, page) in &mut components.schemas {
            if let (Some(item), RefOr::T(Schema::Object(page))) = (name.strip_prefix("Page_"), page)
            {
                let items = Array::new(Ref::from_schema_name(item));
                page.properties.insert("items".to_owned(), Schema::Array(items).into());
            }
        }
    }
}

/// What every route may answer instead: a problem.
#[derive(Debug)]
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = |description: &str| {
            let schema = Ref::from_schema_name(Problem::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RefOr::T(
                ResponseBuilder::new()
                    .description(description)
                    .content(PROBLEM_JSON, content)
                    .build(),
            )
        };
        BTreeMap::from([
            ("4XX".to_owned(), response("The request can't be done as it is")),
            ("5XX".to_owned(), response("Ocim, or something that it needs, is not well")),
        ])
    }
}

/// The document, made from the routes and the wire types.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as it is checked in: indented, with a last line end.
///
/// # Errors
/// Only if the document has no JSON form.
pub fn document_text() -> Result<String, serde_json::Error> {
    Ok(document().to_pretty_json()? + "\n")
}

/// Interactive pages at `/docs/`, and the document itself. Nothing is fetched from elsewhere.
pub(super) fn pages() -> SwaggerUi {
    let config = Config::default().validator_url("none").persist_authorization(false);
    SwaggerUi::new("/docs/{_:.*}").config(config).url(DOCUMENT_PATH, document())
}
