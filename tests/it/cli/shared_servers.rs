//! `ocim mysql-server …`, `ocim mongodb-server …` and `ocim rabbitmq-server …`.

use super::{answer, refusal};
use crate::support::api_server::ApiServer;
use ocim_adapters::faults::Fault;
use ocim_domain::port_error::Class;
use serde_json::{Value, json};

async fn json_of(server: &ApiServer, arguments: &[&str]) -> Value {
    serde_json::from_str(&answer(server, &[arguments, &["--json"]].concat()).await).unwrap()
}

#[tokio::test]
async fn servers_are_added_shown_changed_and_retired_by_their_names() {
    let server = ApiServer::start().await;
    let kept = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kept.path(), "nobody sees this\n").unwrap();
    let password = ["--password-file", kept.path().to_str().unwrap()];
    let add: [(&str, &[&str]); 3] = [
        ("mysql-server", &["db.example.com", "--username", "root", "--accepts-new-clients"]),
        ("mongodb-server", &["a.example.com", "b.example.com", "--replica-set", "rs0"]),
        (
            "rabbitmq-server",
            &["https://mq.example.com", "--instance-host", "mq.example.com", "--username", "admin"],
        ),
    ];
    for (noun, place) in add {
        let id = answer(&server, &[&[noun, "add"], place, &password].concat()).await;
        let listed = json_of(&server, &[noun, "list"]).await;
        assert_eq!(listed[0]["id"], json!(id), "{listed}");
        let table = answer(&server, &[noun, "list", "-o", "wide"]).await;
        assert!(table.contains(&id) && !table.contains("nobody sees"), "{table}");
        // By its place, as by its id.
        let shown = json_of(&server, &[noun, "show", place[0]]).await;
        assert_eq!(shown, json_of(&server, &[noun, "show", &id]).await);
        assert_eq!(shown, listed[0], "{listed}");
    }
    let edit = ["mysql-server", "edit", "db.example.com"];
    let change = ["--name", "main", "--port", "3307", "--accepts-new-clients", "false"];
    let now = json_of(&server, &[&edit[..], &change].concat()).await;
    let seen = (&now["name"], &now["port"], &now["accepts_new_clients"], &now["username"]);
    assert_eq!(seen, (&json!("main"), &json!(3307), &json!(false), &json!("root")));
    let grown =
        ["--host", "b.example.com", "--host", "c.example.com", "--primary", "c.example.com"];
    let now = json_of(&server, &[&["mongodb-server", "edit", "rs0"], &grown[..]].concat()).await;
    assert_eq!(now["hosts"], json!(["b.example.com", "c.example.com"]), "{now}");
    let (code, line) =
        refusal(&server, &["rabbitmq-server", "edit", "mq.example.com", "--instance-port", "0"])
            .await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("--instance-port"), "{line}");

    assert!(answer(&server, &["mysql-server", "test", "main"]).await.contains("lets Ocim do"));
    server.servers.faults.fail_always("check", Fault::Before(Class::Permanent));
    let (code, line) = refusal(&server, &["mongodb-server", "test", "rs0"]).await;
    assert!(code == 1 && line.contains("failed as ordered"), "{code}: {line}");
    let tested = json_of(&server, &["mysql-server", "test", "main"]).await;
    assert_eq!(tested, json!({ "problem": "`check` failed as ordered" }));

    let retire = ["mysql-server", "retire", "main", "--reason", "all sites have moved"];
    let retired = json_of(&server, &retire).await;
    assert!(retired["retired"].is_string(), "{retired}");
    assert!(answer(&server, &["mysql-server", "list"]).await.contains("retired"));
    let (code, line) = refusal(&server, &["mysql-server", "show", "elsewhere"]).await;
    assert_eq!(code, 3, "{line}");
    let no_file = ["mysql-server", "add", "x.example.com", "--password-file", "/nowhere/at/all"];
    assert_eq!(refusal(&server, &no_file).await.0, 2);
    server.stop().await;
}
