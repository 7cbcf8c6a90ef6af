//! The description of the API (`openapi.json`), made from the routes and the wire types, and the pages
//! that show it without a network.

mod answers;
mod problems;

use super::idempotency::KEY_HEADER;
use super::routes::{self, Access, AnswerHeader, Body, Input, Route, Shape, Verb};
use super::settings_schema::describe_settings;
use crate::app::idempotency::KEY_BYTES_MAX;
use ocim_api_spec::{AppendedEvent, LogLine, Problem, texts};
use ocim_domain::right::Right;
use std::collections::BTreeMap;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    PathItemBuilder, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{Components, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder,
    Ref, RefOr, Required, Schema, ServerBuilder,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the document is served.
pub const DOCUMENT_PATH: &str = "/api/v1/openapi.json";

const DESCRIPTION: &str = "Deploys and runs Open edX sites. Long work is a run: a command that \
    starts one answers 202 with its id. Every error is an RFC 9457 problem, whose type is the \
    address of a page about it. HEAD is answered wherever GET is. Each operation says which right \
    it needs (`x-right`): a token whose scope is `all` grants every right, one whose scope is \
    `read` those that change nothing. Times are RFC 3339 in UTC; durations end in `_s` and are \
    seconds. Fields may be added to answers at any time.";

/// The document, made from the routes and the wire types.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths: BTreeMap<&str, PathItemBuilder> = BTreeMap::new();
    for route in routes::all() {
        let item = paths.remove(route.path).unwrap_or_else(PathItem::builder);
        paths.insert(route.path, item.operation(route.method.in_document(), operation(route)));
    }
    let paths = paths
        .into_iter()
        .fold(PathsBuilder::new(), |paths, (path, item)| paths.path(path, item.build()));
    let license = License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Ocim")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    let tags = routes::tags()
        .into_iter()
        .map(|tag| TagBuilder::new().name(tag.name).description(Some(tag.description)).build());
    let server = ServerBuilder::new().url("/").description(Some("The Ocim that served this"));
    let mut document = OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([server.build()]))
        .paths(paths.build())
        .components(Some(components()))
        .tags(Some(tags))
        .security(Some([SecurityRequirement::new("bearer", Vec::<String>::new())]))
        .build();
    describe_settings(&mut document);
    document
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

fn operation(route: &Route) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.id()))
        .tag(route.tag.name)
        .summary(Some(route.summary))
        .request_body(route.takes.body.map(request_body));
    for parameter in parameters(route) {
        operation = operation.parameter(parameter);
    }
    for answer in route.answers {
        let response = answers::response(route, answer);
        operation = operation.response(answer.status.to_string(), response);
    }
    for (status, kinds) in problems::of_route(route) {
        let reference = Ref::from_response_name(problems::component_name(&kinds));
        operation = operation.response(status.to_string(), reference);
    }
    let (security, access) = match route.access {
        Access::Anybody { because } => {
            (None, format!("Anybody may ask, without a token: {because}."))
        }
        Access::Granted(right) => (Some(right), format!("Needs the right `{right}`.")),
        Access::GrantedUnlessPublic(right) => (
            Some(right),
            format!("Needs the right `{right}`, unless the configuration lets anybody."),
        ),
    };
    let operation = operation.description(Some(format!("{} {access}", route.description)));
    match security {
        Some(right) => with_right(operation, right).build(),
        None => operation.security(SecurityRequirement::default()).build(),
    }
}

fn with_right(operation: OperationBuilder, right: Right) -> OperationBuilder {
    let extension = ExtensionsBuilder::new().add("x-right", right.name()).build();
    operation
        .security(SecurityRequirement::new("bearer", [right.name()]))
        .extensions(Some(extension))
}

fn request_body(body: Body) -> RequestBody {
    let content =
        ContentBuilder::new().schema(Some(reference(body.shape))).example(Some((body.example)()));
    RequestBodyBuilder::new()
        .content("application/json", content.build())
        .required(Some(Required::True))
        .build()
}

fn parameters(route: &Route) -> Vec<Parameter> {
    let Input { path, query, cursor, headers, body: _ } = route.takes;
    let mut parameters: Vec<_> = path
        .iter()
        .map(|part| {
            ParameterBuilder::new()
                .name(part.name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(part.description))
                .schema(Some(reference(part.shape)))
                .build()
        })
        .collect();
    let with_cursor = |mut parameter: Parameter| {
        if let Some(cursor) = cursor.filter(|_| parameter.name == "after") {
            parameter.schema = Some(reference(cursor));
        }
        parameter
    };
    let query = query.into_iter().flat_map(|query| query());
    parameters.extend(query.map(without_null).map(with_cursor));
    parameters
        .extend(headers.iter().map(|it| header(it.name, it.description, it.pattern, it.example)));
    if route.method == Verb::Post && route.right().is_some() {
        parameters.push(idempotency_key());
    }
    parameters
}

/// A header of a request, which may be left out.
fn header(name: &str, description: &str, pattern: &str, example: &str) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .examples([example])
        .build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// Every POST may come with a key.
fn idempotency_key() -> Parameter {
    let description = "A new one for each new command, e.g. a UUID. The same request with the same \
        key is carried out once; within 24 hours it gets the first answer again, with \
        `Idempotency-Replayed: true`.";
    let pattern = format!("^[!#-\\[\\]-~]{{1,{KEY_BYTES_MAX}}}$");
    header(KEY_HEADER, description, &pattern, "01985f70-91b5-7f11-8c24-1d0e9b8a7c60")
}

/// A query has no null: what is not wanted is left out.
fn without_null(mut parameter: Parameter) -> Parameter {
    match &mut parameter.schema {
        Some(RefOr::T(Schema::Object(object))) => {
            if let SchemaType::Array(types) = &object.schema_type {
                let kept: Vec<_> = types.iter().filter(|it| **it != Type::Null).cloned().collect();
                object.schema_type = match <[Type; 1]>::try_from(kept) {
                    Ok([one]) => SchemaType::Type(one),
                    Err(kept) => SchemaType::Array(kept),
                };
            }
        }
        Some(RefOr::T(Schema::OneOf(one_of))) => {
            let mut references = one_of.items.iter().filter(|it| matches!(it, RefOr::Ref(_)));
            if let (Some(one), None) = (references.next().cloned(), references.next()) {
                parameter.schema = Some(one);
            }
        }
        _ => {}
    }
    parameter
}

/// The reference to a type's schema.
fn reference(shape: Shape) -> RefOr<Schema> {
    Ref::from_schema_name((shape.name)()).into()
}

fn components() -> Components {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token that `ocim token create` made"))
        .build();
    let mut components = Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    for header in AnswerHeader::ALL {
        let schema: Option<Schema> = serde_json::from_value(header.schema()).ok();
        let built = HeaderBuilder::new()
            .schema(schema)
            .description(Some(header.description()))
            .example(Some(header.example()))
            .build();
        components.headers.insert(header.name().to_owned(), built.into());
    }
    components.responses.extend(problems::components());
    // What server-sent events hold is no answer of its own.
    let mut shapes =
        vec![Shape::of::<Problem>(), Shape::of::<AppendedEvent>(), Shape::of::<LogLine>()];
    for route in routes::all() {
        shapes.extend(route.takes.body.map(|body| body.shape));
        shapes.extend(route.takes.path.iter().map(|part| part.shape));
        shapes.extend(route.answers.iter().flat_map(answers::shapes));
        components.schemas.extend(route.answers.iter().flat_map(answers::page_schemas));
    }
    let mut schemas = texts::schemas();
    for shape in shapes {
        schemas.push(((shape.name)().into_owned(), (shape.schema)()));
        (shape.schemas)(&mut schemas);
    }
    components.schemas.extend(schemas);
    components
}
