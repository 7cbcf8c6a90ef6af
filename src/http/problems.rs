//! The pages about problems: what happened, what to do. Anybody may read them.

use super::openapi::Problems;
use super::problem::{HttpError, not_found};
use crate::problem_pages::{find_page, first_sentence, list_pages};
use actix_web::http::header::{ACCEPT, VARY};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use std::fmt::Write;

/// Reads the page of one problem type, of one reason why a step failed for good, or of one kind of
/// stuck run.
#[utoipa::path(get, path = "/problems/{name}", tag = "problems", security(()),
    params(("name" = String, Path, description = "The last part of a problem's `type`, or a code")),
    responses((status = 200, description = "What happened, what to do, common causes; as HTML \
        where that is asked for", content_type = "text/markdown", body = String), Problems))]
pub(super) async fn read_problem_page(
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let page = find_page(&name).ok_or_else(|| not_found("page of this name: see `/problems`"))?;
    Ok(answer_with_markdown(&request, &name, page))
}

/// Lists the pages.
#[utoipa::path(get, path = "/problems", tag = "problems", security(()),
    responses((status = 200, description = "The name of each page and what happened; as HTML \
        where that is asked for", content_type = "text/markdown", body = String), Problems))]
pub(super) async fn list_problem_pages(request: HttpRequest) -> HttpResponse {
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
