//! What a dashboard shows: each of its screens is one request, whatever it lists.

use crate::support::ocim::{Ground, text};
use serde_json::{Value, json};

/// Machines that take no time.
const CLOUDS: &str = r#"{"local": {"kind": "simulated", "speed": 100000}}"#;

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

/// Sees that each of these queries lists just that, and the contrary of each nothing of it.
async fn assert_lists(ground: &Ground, list: &str, queries: &[(&str, bool)], id: &str) {
    for (query, is_wanted) in queries {
        let page = ground.get(&format!("/api/v1{list}?{query}")).await;
        assert_eq!(ids(&page).contains(&id), *is_wanted, "{list}?{query}: {page}");
    }
}

#[tokio::test]
async fn each_screen_of_a_dashboard_is_one_request() {
    let mut ground = Ground::prepare().await;
    ground.start_with(&[("OCIM_CLOUDS", CLOUDS)]).await;
    let make = async |name: &str, release: &str| {
        let body = json!({ "sub_domain": name, "name": name, "openedx_release": release });
        text(&ground.post("/instances", body).await, "id")
    };
    let (served, idle) = (make("alpha", "release-a").await, make("beta", "release-b").await);
    let (appserver, run) = ground.launch(&served).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let run = ground.activate(&appserver).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    ground.await_appserver(&appserver, "running", true).await;

    // All sites: how each is, where it is, what it runs, who serves it.
    let sites = ground.get("/api/v1/instances").await;
    assert_eq!(ids(&sites), [&idle, &served]);
    let site = &sites["items"][1];
    assert_eq!((&site["release"], &site["is_healthy"]), (&json!("release-a"), &json!(true)));
    for (field, host) in [("lms_url", "alpha."), ("studio_url", "studio.alpha.")] {
        let url = site[field].as_str().unwrap();
        assert!(url.starts_with(&format!("http://{host}")) && url.ends_with('/'), "{url}");
    }
    let newest = json!({ "id": appserver, "number": 1, "status": "running", "is_healthy": true });
    assert_eq!(site["newest_appserver"], newest);
    assert_eq!(sites["items"][0]["newest_appserver"], Value::Null);
    let queries = [
        ("release=release-a", true),
        ("release=release-b", false),
        ("status=running", true),
        ("status=failed", false),
        ("is_healthy=true&release=release-a&status=running", true),
        ("is_healthy=false", false),
    ];
    assert_lists(&ground, "/instances", &queries, &served).await;

    // All Appservers.
    let all = ground.get("/api/v1/appservers").await;
    assert_eq!(ids(&all), [&appserver]);
    let shown = &all["items"][0];
    assert_eq!((&shown["instance"], &shown["release"]), (&json!(served), &json!("release-a")));
    assert!(shown["instance_name"].as_str().unwrap().starts_with("alpha."), "{shown}");
    assert!(shown["machine_url"].as_str().unwrap().starts_with("http://"), "{shown}");
    let of_idle = format!("instance={idle}");
    let of_served = format!("instance={served}&is_active=true&status=running&is_healthy=true");
    let queries = [
        (&*of_served, true),
        (&*of_idle, false),
        ("is_active=false", false),
        ("is_healthy=false", false),
        ("status=terminated", false),
        ("release=release-b", false),
    ];
    assert_lists(&ground, "/appservers", &queries, &appserver).await;

    // One Appserver: its test login, and the variables without their secrets.
    let detail = ground.get(&format!("/api/v1/appservers/{appserver}")).await;
    assert!(!text(&detail["site"], "password").is_empty());
    let variables = detail["variables"].as_object().unwrap();
    let base = variables["EDXAPP_LMS_BASE"].as_str().unwrap();
    assert!(base.starts_with("alpha."), "{base}");
    for name in ["COMMON_HTPASSWD_PASS", "COMMON_JWT_SECRET_KEY"] {
        assert_eq!(variables[name], "<protected>", "{name}");
    }
    let told = detail["variables"].to_string();
    assert!(!told.contains(&text(&detail["site"], "password")), "{told}");

    // Where they come from, and who set that.
    let explain = async |name: &str| {
        ground.get(&format!("/api/v1/appservers/{appserver}/variables/{name}")).await
    };
    let explained = explain("EDXAPP_LMS_BASE").await;
    assert_eq!(explained["value"], variables["EDXAPP_LMS_BASE"]);
    let sources = &explained["layers"][0]["sources"];
    assert_eq!(explained["layers"].as_array().unwrap().len(), 1, "{explained}");
    assert_eq!(sources[1]["setting"], "internal_lms_domain", "{explained}");
    assert_eq!(sources[1]["set"]["version"], 1, "{explained}");
    let created = ground.get("/api/v1/events?kind=instance.created").await;
    let events = created["items"].as_array().unwrap();
    assert!(events.iter().any(|it| it["position"] == sources[1]["set"]["event"]), "{created}");
    let overridden = explain("ECOMMERCE_CYBERSOURCE_SECRET_KEY").await;
    let layers: Vec<_> = overridden["layers"].as_array().unwrap().iter().collect();
    assert_eq!((&layers[0]["layer"], &layers[1]["layer"]), (&json!("base"), &json!("secret_keys")));
    for hidden in [&overridden["value"], &layers[0]["overridden"]] {
        assert_eq!(*hidden, "<protected>", "{overridden}");
    }
    let path = format!("/api/v1/appservers/{appserver}/variables/NO_SUCH_VARIABLE");
    assert_eq!(ground.try_get(&path).await.unwrap().0, 404);

    // One machine, one balancer.
    let server = text(&detail, "server");
    assert_eq!(ground.get(&format!("/api/v1/servers/{server}")).await["id"], server.as_str());
    let queries =
        [("status=ready&region=local", true), ("status=failed", false), ("region=moon", false)];
    assert_lists(&ground, "/servers", &queries, &server).await;
    let balancers = ground.get("/api/v1/load_balancers").await;
    let balancer = ids(&balancers)[0];
    let read = ground.get(&format!("/api/v1/load_balancers/{balancer}")).await;
    assert_eq!(read, balancers["items"][0]);
}
