//! Migrations: all files are known, once is enough, and a newer schema is refused.

use crate::support::postgres::Database;
use ocim::migrations::{MigrationError, embedded_names, run_migrations};

#[test]
fn every_file_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    files.sort();
    let embedded: Vec<String> =
        embedded_names().into_iter().map(|name| format!("{name}.sql")).collect();
    assert_eq!(files, embedded);
    for name in &files {
        let number = name[1..].split("__").next().unwrap();
        assert!(name.starts_with('V') && number.len() == 14, "{name}");
    }
}

#[tokio::test]
async fn running_again_changes_nothing() {
    let database = Database::empty().await;
    let mut client = database.client().await;
    assert_eq!(run_migrations(&mut client).await.unwrap(), embedded_names());
    assert!(run_migrations(&mut client).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_migrate_once() {
    let database = Database::empty().await;
    let nodes = (0..4).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { run_migrations(&mut database.client().await).await.unwrap() })
    });
    let applied = futures_util::future::join_all(nodes).await;
    let counts = applied.into_iter().map(|names| names.unwrap().len());
    assert_eq!(counts.sum::<usize>(), embedded_names().len());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = Database::migrated().await;
    let mut client = database.client().await;
    let future = "insert into refinery_schema_history \
                  select 99990101000000, 'change_all', applied_on, checksum \
                    from refinery_schema_history limit 1";
    client.batch_execute(future).await.unwrap();
    let refused = run_migrations(&mut client).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Newer { database: 99990101000000, .. }));
    assert!(refused.to_string().contains("newer release"), "{refused}");
}

#[tokio::test]
async fn a_database_of_an_earlier_schema_is_refused_with_advice() {
    let database = Database::migrated().await;
    let mut client = database.client().await;
    let edit = "update refinery_schema_history set checksum = '1'";
    client.batch_execute(edit).await.unwrap();
    let refused = run_migrations(&mut client).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Earlier(_)), "{refused:?}");
    assert!(refused.to_string().contains("an empty database and a new data folder"), "{refused}");
}
