//! Answers of what was done: bodies with examples, headers, and links to what comes next.

use crate::http::openapi::reference;
use crate::http::routes::{Answer, AnswerHeader, Body, Content, Link, Route, Shape, Verb};
use serde_json::json;
use utoipa::openapi::link::Link as DocumentLink;
use utoipa::openapi::schema::{ArrayBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
};

/// The answer as the document has it.
pub(super) fn response(route: &Route, answer: &Answer) -> Response {
    let mut response = ResponseBuilder::new().description(answer.description);
    for content in answer.content {
        let built = ContentBuilder::new();
        let (media_type, built) = match content {
            Content::Json(body) => {
                let schema = reference(body.shape);
                let example = (body.example)();
                ("application/json", built.schema(Some(schema)).example(Some(example)))
            }
            Content::Page(body) => {
                let schema = Ref::from_schema_name(page_name(body));
                let example = json!({ "items": [(body.example)()] });
                ("application/json", built.schema(Some(schema)).example(Some(example)))
            }
            Content::Text { media_type, example } => {
                let schema = ObjectBuilder::new().schema_type(Type::String).build();
                (*media_type, built.schema(Some(schema)).example(Some(json!(example))))
            }
        };
        response = response.content(media_type, built.build());
    }
    let replayed = route.method == Verb::Post && route.right().is_some();
    let replayed = replayed.then_some(&AnswerHeader::Replayed);
    for header in answer.headers.iter().chain(replayed).chain([&AnswerHeader::RequestId]) {
        response = response.header_ref(header.name(), header_reference(*header));
    }
    for link in answer.links {
        response = response.link(link.name, document_link(link));
    }
    response.build()
}

/// The reference to a header's description.
pub(super) fn header_reference(header: AnswerHeader) -> Ref {
    Ref::new(format!("#/components/headers/{}", header.name()))
}

fn document_link(link: &Link) -> DocumentLink {
    DocumentLink::builder().operation_id(link.to).parameter(link.parameter, link.from).build()
}

/// The types of an answer's bodies.
pub(super) fn shapes(answer: &Answer) -> impl Iterator<Item = Shape> {
    answer.content.iter().filter_map(|content| match content {
        Content::Json(body) | Content::Page(body) => Some(body.shape),
        Content::Text { .. } => None,
    })
}

/// The pages of an answer, each with its name. Their items refer to the schema of their type.
pub(super) fn page_schemas(answer: &Answer) -> impl Iterator<Item = (String, RefOr<Schema>)> {
    answer.content.iter().filter_map(|content| match content {
        Content::Page(body) => Some((page_name(body), page_schema(body))),
        Content::Json(_) | Content::Text { .. } => None,
    })
}

fn page_name(item: &Body) -> String {
    format!("Page_{}", (item.shape.name)())
}

fn page_schema(item: &Body) -> RefOr<Schema> {
    let items = ArrayBuilder::new()
        .items(reference(item.shape))
        .description(Some("What the page holds, in the order that the operation names"));
    let next = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(200))
        .description(Some("Pass it as `after` to get the next page; absent on the last one"));
    ObjectBuilder::new()
        .property("items", items)
        .property("next", next)
        .required("items")
        .description(Some("One page of a list"))
        .into()
}
