//! Launches rehearsed over the API and by the command.

use crate::support::api_server::ApiServer;
use ocim_adapters::faults::Fault;
use ocim_domain::port_error::Class;
use serde_json::{Value, json};

#[tokio::test]
async fn a_launch_is_rehearsed_over_the_api_and_by_the_command() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let path = format!("/instances/{id}/launch_plan");
    let before = server.get("/events?limit=200").await["items"].as_array().unwrap().len();
    let plan = server.get(&format!("{path}?activate_on_success=true")).await;
    assert_eq!((&plan["number"], &plan["compared_with"]), (&json!(1), &Value::Null));
    assert_eq!(plan["variables"]["EDXAPP_LMS_BASE"], "alpha.example.com");
    assert_eq!(plan["variables"]["COMMON_HTPASSWD_PASS"], "<protected>");
    // Nobody has added a balancer.
    assert_eq!(plan["problems"][0]["code"], "no_load_balancer");
    let last = plan["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(*last, json!({ "step": "request_activation", "skipped": null }));

    server.cloud.set_offers(vec![], vec![]);
    server.playbooks.faults.fail_always("resolve_playbook", Fault::Before(Class::Transient));
    let plan = server.get(&path).await;
    let problems = plan["problems"].as_array().unwrap();
    let told: Vec<_> = problems
        .iter()
        .map(|it| (it["step"].as_str().unwrap(), it["may_pass"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("resolve_playbooks", true),
        ("resolve_playbooks", true),
        ("create_server", false),
        ("assign_load_balancer", false),
    ];
    assert_eq!(told, expected);

    let after = server.get("/events?limit=200").await["items"].as_array().unwrap().len();
    assert_eq!(after, before);
    let absent = format!("/instances/inst_{}/launch_plan", uuid::Uuid::nil());
    assert_eq!(server.ask("GET", &absent).send().await.unwrap().status(), 404);
    server.stop().await;
}
