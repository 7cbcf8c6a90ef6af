//! Who may work on a database: the same data folder again at once, another one only beside or after it.

use crate::support::ocim::Ground;
use crate::support::postgres::Database;
use ocim::data_folder::DataFolder;
use ocim::nodes::{NodeError, NodeFacts, forget, list_nodes, register};
use ocim_adapters::system::SystemIds;
use ocim_domain::system::Ids;
use std::process::Output;
use uuid::Uuid;

fn facts(number: u128) -> NodeFacts {
    NodeFacts {
        node: Uuid::from_u128(number),
        host: format!("host-{number}"),
        folder: "/var/lib/ocim".to_owned(),
        ssh_key: "SHA256:shared".to_owned(),
        playbooks: Uuid::from_u128(7),
        own_regions: vec![],
    }
}

async fn silence(database: &Database, node: Uuid) {
    let sql =
        "update engine.nodes set seen_at = clock_timestamp() - interval '61 s' where node = $1";
    database.client().await.execute(sql, &[&node]).await.unwrap();
}

#[tokio::test]
async fn a_node_works_beside_those_alone_with_which_it_shares_all() {
    let database = Database::migrated().await;
    let pool = database.pool();
    let first = register(&pool, &facts(1)).await.unwrap();
    let second = register(&pool, &facts(2)).await.unwrap();
    let own = NodeFacts { own_regions: vec!["here".to_owned()], ..facts(3) };
    let key = NodeFacts { ssh_key: "SHA256:other".to_owned(), ..facts(3) };
    let plays = NodeFacts { playbooks: Uuid::from_u128(8), ..facts(3) };
    for (third, words) in [(own, "here"), (key, "SSH key"), (plays, "playbook runs")] {
        let error = register(&pool, &third).await.unwrap_err();
        assert!(matches!(error, NodeError::Refused { .. }), "{error:?}");
        let told = error.to_string();
        for word in [words, "host-1", "which runs", &format!("ocim node forget {}", facts(1).node)]
        {
            assert!(told.contains(word), "`{word}`: {told}");
        }
    }
    assert_eq!(list_nodes(&pool).await.unwrap().len(), 2, "who is refused leaves nothing");
    first.end().await;
    second.end().await;
    let stopped = list_nodes(&pool).await.unwrap();
    assert!(stopped.iter().all(|node| !node.is_running && node.seen.is_none()), "{stopped:?}");
}

#[tokio::test]
async fn a_node_that_is_gone_stays_in_the_way_until_it_is_forgotten() {
    let database = Database::migrated().await;
    let pool = database.pool();
    let gone = register(&pool, &facts(1)).await.unwrap();
    let other = NodeFacts { ssh_key: "SHA256:other".to_owned(), ..facts(2) };
    assert!(matches!(forget(&pool, facts(1).node).await, Err(NodeError::Runs { .. })));
    silence(&database, facts(1).node).await;
    let told = register(&pool, &other).await.unwrap_err().to_string();
    assert!(told.contains("was last seen"), "{told}");
    forget(&pool, facts(1).node).await.unwrap();
    assert!(matches!(forget(&pool, facts(1).node).await, Err(NodeError::Unknown(_))));
    register(&pool, &other).await.unwrap().end().await;
    gone.end().await;
}

#[tokio::test]
async fn a_data_folder_works_at_one_place_at_a_time() {
    let database = Database::migrated().await;
    let pool = database.pool();
    let killed = register(&pool, &facts(1)).await.unwrap();
    // After a kill, at the same place: its lock has shown that nobody else is there.
    let again = register(&pool, &facts(1)).await.unwrap();
    let copy = NodeFacts { host: "elsewhere".to_owned(), ..facts(1) };
    let error = register(&pool, &copy).await.unwrap_err();
    assert!(matches!(error, NodeError::Copied { .. }), "{error:?}");
    assert!(error.to_string().contains("host-1"), "{error}");
    // Moved: it was stopped, or has been silent for long.
    silence(&database, facts(1).node).await;
    register(&pool, &copy).await.unwrap().end().await;
    assert_eq!(list_nodes(&pool).await.unwrap()[0].facts.host, "elsewhere");
    for presence in [killed, again] {
        presence.end().await;
    }
}

#[tokio::test]
async fn what_a_node_has_to_itself_is_found_again_in_its_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = DataFolder::open(&root.path().join("data")).unwrap();
    let key = folder.ensure_ssh_key().await.unwrap();
    let mut shown = std::process::Command::new("ssh-keygen");
    let shown = shown.arg("-lf").arg(&key.private).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&key.fingerprint()), "{shown}: {}", key.fingerprint());
    let [node, playbooks] =
        [folder.node_id(&SystemIds).unwrap(), folder.playbooks_id(&SystemIds).unwrap()];
    assert_ne!(node, playbooks);
    assert_eq!(folder.node_id(&SystemIds).unwrap(), node);
    assert_eq!(folder.playbooks_id(&SystemIds).unwrap(), playbooks);
    assert_ne!(SystemIds.new_id(), node);
}

fn said(output: &Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[tokio::test]
async fn a_second_server_on_one_database_is_refused_until_the_first_is_forgotten() {
    let database = Database::empty().await;
    let mut ground = Ground::prepare().await;
    let url = database.url();
    let secret = ("SECRET_KEY", "one key for both, as is documented");
    let clouds = ("OCIM_CLOUDS", r#"{"here": {"kind": "simulated"}}"#);
    let variables = [("DATABASE_URL", url.as_str()), secret, clouds, ("OPENSTACK_REGION", "here")];
    let second = ground.root().join("second");
    let run = |ground: &Ground, arguments: &[&str]| {
        let mut command = ground.command(arguments);
        command.envs(variables).env("OCIM_DATA_DIR", &second).output().unwrap()
    };
    let refuse = |ground: &Ground| {
        let refused = run(ground, &["serve"]);
        assert!(!refused.status.success());
        said(&refused)
    };
    ground.start_with(&variables).await;
    let token = ocim::http::read_local_token(&ground.data()).unwrap();
    let told = refuse(&ground);
    let root = ground.data().canonicalize().unwrap();
    let words = ["the database belongs to node", "which runs", "here", root.to_str().unwrap()];
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
    // A crash is no obstacle to the same node.
    ground.kill();
    ground.start_with(&variables).await;
    assert_eq!(ocim::http::read_local_token(&ground.data()).unwrap(), token, "it is valid still");
    let listed = run(&ground, &["node", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let node = listed[0]["node"].as_str().unwrap().to_owned();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["is_running"]), (1, &true.into()));
    let kept = run(&ground, &["node", "forget", &node]);
    assert_eq!(kept.status.code(), Some(4), "{}", said(&kept));
    ground.terminate().await;
    assert!(refuse(&ground).contains("is stopped"), "its machines are still its own");
    let forgotten = run(&ground, &["node", "forget", &node]);
    assert!(forgotten.status.success(), "{}", said(&forgotten));
    std::fs::rename(ground.data(), ground.root().join("first")).unwrap();
    std::fs::rename(&second, ground.data()).unwrap();
    ground.start_with(&variables).await;
    let tokens = ground.get("/api/v1/tokens").await;
    let name = format!("local:{node}");
    let of_first = tokens["items"].as_array().unwrap().iter().find(|it| it["name"] == *name);
    assert_eq!(of_first.unwrap()["state"], "revoked", "{tokens}");
    ground.terminate().await;
}
