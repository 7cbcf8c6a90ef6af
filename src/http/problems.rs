//! The pages about problems: what happened, what to do. Anybody may read them.

use super::problem::{HttpError, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::problem_pages::{find_page, first_sentence, list_pages};
use actix_web::http::header::{ACCEPT, VARY};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::texts;
use std::fmt::Write;

const PROBLEMS: Tag = Tag { name: "problems", description: "What went wrong, and what to do" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_problem_pages),
        method: Verb::Get,
        path: "/problems",
        tag: PROBLEMS,
        summary: "Lists the pages about problems",
        description: "The name of each page and what happened. As HTML where that is asked for.",
        access: Access::Anybody { because: "the pages are part of the program" },
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All pages",
            content: &[Content::Text {
                media_type: "text/markdown",
                example: "# Problems\n\n- [not_found](/problems/not_found): …\n",
            }],
            headers: &[AnswerHeader::Vary],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_problem_page),
        method: Verb::Get,
        path: "/problems/{name}",
        tag: PROBLEMS,
        summary: "Reads the page about a problem",
        description: "Of one problem type, of one reason why a step failed for good, or of one kind of stuck run: what happened, what to do, common causes. As HTML where that is asked for.",
        access: Access::Anybody { because: "the pages are part of the program" },
        takes: Input::NOTHING.path(&[PathPart {
            name: "name",
            description: "The last part of a problem's `type`, or a code",
            shape: Shape::of::<texts::Word>(),
        }]),
        answers: &[Answer {
            status: 200,
            description: "The page",
            content: &[Content::Text {
                media_type: "text/markdown",
                example: "# not_found\n\nThere is no such thing.\n",
            }],
            headers: &[AnswerHeader::Vary],
            links: &[],
        }],
        refuses: &[],
    },
];

/// Reads the page of one problem type, of one reason why a step failed for good, or of one kind of
/// stuck run.
async fn read_problem_page(
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let page = find_page(&name).ok_or_else(|| not_found("page of this name: see `/problems`"))?;
    Ok(answer_with_markdown(&request, &name, page))
}

/// Lists the pages.
async fn list_problem_pages(request: HttpRequest) -> HttpResponse {
    let mut text = "# Problems\n\n".to_owned();
    for name in list_pages() {
        let what = find_page(name).map(first_sentence).unwrap_or_default();
        let _ = writeln!(text, "- [{name}](/problems/{name}): {what}");
    }
    answer_with_markdown(&request, "Problems", &text)
}

/// Markdown is fit to be read as it is; browsers get it as a page of preformatted text.
fn answer_with_markdown(request: &HttpRequest, title: &str, text: &str) -> HttpResponse {
    let accepts = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut answer = HttpResponse::Ok();
    answer.insert_header((VARY, "Accept"));
    if !accepts.is_some_and(|accept| accept.contains("text/html")) {
        return answer.content_type("text/markdown; charset=utf-8").body(text.to_owned());
    }
    let (title, text) = (escape(title), escape(text));
    answer.content_type("text/html; charset=utf-8").body(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <pre style=\"white-space: pre-wrap\">\n{text}</pre>\n</html>\n"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
