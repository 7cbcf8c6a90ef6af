//! The `type` of a problem, and each code of a failed step, leads to a page that says what to do.

use crate::support::api_server::ApiServer;
use ocim::problem_pages::list_pages;
use serde_json::Value;

#[tokio::test]
async fn the_type_of_a_problem_is_the_address_of_its_page_for_everybody() {
    let server = ApiServer::start().await;
    let refused = server.bare("GET", "/api/v1/runs").send().await.unwrap();
    let problem: Value = refused.json().await.unwrap();
    let page = server.bare("GET", problem["type"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/markdown; charset=utf-8");
    let text = page.text().await.unwrap();
    assert!(text.starts_with("# unauthorized\n") && text.contains("ocim token create"), "{text}");
    let list = server.bare("GET", "/problems").send().await.unwrap().text().await.unwrap();
    for name in list_pages() {
        let path = format!("/problems/{name}");
        assert!(list.contains(&format!("- [{name}]({path}): ")), "{list}");
        assert_eq!(server.bare("GET", &path).send().await.unwrap().status(), 200, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_browser_gets_the_page_as_escaped_html_and_strange_names_nothing() {
    let server = ApiServer::start().await;
    let ask = |path: &str| server.bare("GET", path).header("accept", "text/html,*/*;q=0.8").send();
    let page = ask("/problems/unauthorized").await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let text = page.text().await.unwrap();
    assert!(text.contains("<title>unauthorized</title>") && text.contains("<pre"), "{text}");
    for name in ["nothing", "..%2F..%2FCargo", "%3Cscript%3E", "unauthorized.md"] {
        let path = format!("/problems/{name}");
        let refused = ask(&path).await.unwrap();
        assert_eq!(refused.status(), 404, "{path}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
    }
    server.stop().await;
}
