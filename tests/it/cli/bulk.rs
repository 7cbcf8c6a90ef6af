//! Many instances redeployed and archived by the command line, with the real server and a simulated region.

use super::day::Served;
use crate::support::ocim::Ground;
use serde_json::Value;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_redeployed_and_archived() {
    let ground = Ground::prepare().await;
    let served = Served::start(&ground);
    for name in ["alpha", "beta", "gamma"] {
        served.tell(&[
            "instance",
            "create",
            "--sub-domain",
            name,
            "--name",
            name,
            "--tag",
            "fleet",
        ]);
        served.tell(&["appserver", "launch", name, "--activate", "--wait"]);
    }
    let base = ["redeploy", "--tag", "may", "--batch-frequency", "0", "--reason", "a new release"];
    let with = |more: &[&'static str]| [&base, more].concat();
    let filter = ["--filter", "{tags: fleet}", "--exclude", "name: gamma"];
    let planned = served.tell(&with(&[&filter[..], &["--dry-run"]].concat()));
    assert_eq!(planned, "would redeploy 2 instances\n");
    let unasked = served.ocim(&with(&filter));
    assert_eq!(unasked.status.code(), Some(2), "nobody can be asked: {unasked:?}");
    let update = ["--update", "{email: fleet@example.com}", "--canary", "--force", "--wait"];
    let ended = served.tell(&with(&[&filter[..], &update].concat()));
    assert!(ended.contains("run_bulk_operation run_"), "{ended}");
    for (name, tags, email) in [
        ("alpha", vec!["fleet", "may-success"], "fleet@example.com"),
        ("beta", vec!["fleet", "may-success"], "fleet@example.com"),
        ("gamma", vec!["fleet"], "contact@example.com"),
    ] {
        let shown = read(&served.tell(&["instance", "show", name, "--json"]));
        assert_eq!(shown["tags"], serde_json::json!(tags), "{name}");
        assert_eq!(shown["settings"]["email"], email, "{name}");
        let active = shown["active_appservers"].as_array().unwrap();
        assert_eq!((active.len(), &shown["is_ahead"]), (1, &Value::Bool(false)), "{name}");
        let number =
            read(&served.tell(&["appserver", "show", active[0].as_str().unwrap(), "--json"]));
        assert_eq!(number["number"], if name == "gamma" { 1 } else { 2 });
    }
    let operations = read(&served.tell(&["bulk", "list", "--json"]));
    assert_eq!(
        (&operations[0]["succeeded"], &operations[0]["state"]),
        (&2.into(), &"ended".into())
    );
    let id = operations[0]["id"].as_str().unwrap();
    let items = served.tell(&["bulk", "instances", id]);
    assert!(items.contains("alpha.localhost") && items.contains("succeeded"), "{items}");
    assert!(served.tell(&["instance", "list", "--tag", "may-success"]).lines().count() == 3);

    served.tell(&["instance", "set", "gamma", "email=gamma@example.com"]);
    let ahead = served.tell(&["instance", "list", "--ahead"]);
    assert!(ahead.contains("gamma") && !ahead.contains("alpha"), "{ahead}");
    served.tell(&["instance", "details", "gamma", "--owner", "Gamma GmbH", "--untag", "fleet"]);
    assert!(served.tell(&["instance", "list", "--owner", "Gamma GmbH"]).contains("gamma"));

    redeploy_gamma_after_sql(&ground, &served);

    let list = ground.logs().join("domains");
    std::fs::write(&list, "alpha.localhost\n\nbeta.localhost\nnobody.localhost\n").unwrap();
    let file = list.to_str().unwrap();
    let archived = served.tell(&[
        "archive-instances",
        "--file",
        file,
        "--reason",
        "the fair is over",
        "--force",
        "--wait",
    ]);
    assert!(archived.contains("run_bulk_operation"), "{archived}");
    let left = served.tell(&["instance", "list"]);
    assert!(left.contains("gamma") && !left.contains("alpha") && !left.contains("beta"), "{left}");
    assert_eq!(served.tell(&["status"]), "nothing needs you\nnothing runs\n");
}

/// SQL needs a database to run on: the site gets one with its next launch.
fn redeploy_gamma_after_sql(ground: &Ground, served: &Served<'_>) {
    let (password, sql) = (ground.logs().join("password"), ground.logs().join("before.yml"));
    std::fs::write(&password, "a-password").unwrap();
    std::fs::write(&sql, "- UPDATE auth_user SET password = 'hush-hush'\n- DELETE FROM t\n")
        .unwrap();
    let sql = format!("@{}", sql.display());
    let redeploy = |more: &[&str]| {
        let only =
            ["--reason", "SQL", "--filter", "name: gamma", "--preupgrade-sql-commands", &sql];
        served.ocim(&[&["redeploy", "--tag", "after-sql"], &only[..], more].concat())
    };
    let planned = String::from_utf8(redeploy(&["--dry-run"]).stderr).unwrap();
    assert!(planned.contains("would be left out: no MySQL server is assigned"), "{planned}");
    let file = password.to_str().unwrap();
    served.tell(&[
        "mysql-server",
        "add",
        "mysql.example.com",
        "--username",
        "root",
        "--accepts-new-clients",
        "--password-file",
        file,
    ]);
    served.tell(&["appserver", "launch", "gamma", "--activate", "--wait"]);
    let planned = String::from_utf8(redeploy(&["--dry-run"]).stderr).unwrap();
    assert!(planned.contains("gamma") && !planned.contains("left out"), "{planned}");
    let ended = redeploy(&["--force", "--wait"]);
    assert!(ended.status.success(), "{ended:?}");
    let operations = read(&served.tell(&["bulk", "list", "--json"]));
    assert_eq!(
        (&operations[0]["preupgrade_sql_count"], &operations[0]["succeeded"]),
        (&2.into(), &1.into())
    );
    let log = served.tell(&["run", "logs", operations[0]["run"].as_str().unwrap()]);
    assert!(log.contains("2 statements ran on"), "{log}");
    assert!(!log.contains("hush-hush") && !served.log().contains("hush-hush"), "{log}");
}
