//! A private server that speaks as MongoDB does (`tests/mongodb`): there is no MongoDB to be had.

use super::{ADMIN, PASSWORD, Program, is_open};
use crate::support::ports::take_port;
use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use ocim_domain::provisioning::{Server, Service};
use ocim_domain::shared_server::Mongodb;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The server, and an account with the role `root`.
#[derive(Debug)]
pub(crate) struct MongoDb {
    folder: TempDir,
    pub(crate) port: u16,
    program: Option<Program>,
}

/// Where `scripts/setup.sh` installs it.
fn server() -> PathBuf {
    let given = std::env::vars_os().find(|(name, _)| name == "MONGODB_PEER_DIR");
    let folder = given.map(|(_, folder)| PathBuf::from(folder));
    let folder = folder.expect("MONGODB_PEER_DIR: run by `make test`, or source scripts/env.sh");
    let server = folder.join("bin/secantusd-py");
    assert!(server.exists(), "{}: run scripts/setup.sh --tests", folder.display());
    server
}

impl MongoDb {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut peer = Self { folder, port: take_port(), program: None };
        // Whoever comes first makes the account that all others need.
        peer.come_back(&[]);
        let create = doc! {
            "createUser": ADMIN, "pwd": PASSWORD, "roles": [{ "role": "root", "db": "admin" }],
        };
        peer.client(None).database("admin").run_command(create).await.unwrap();
        peer.go_away();
        peer.come_back(&["--auth"]);
        peer
    }

    /// Starts it, with further arguments.
    pub(crate) fn come_back(&mut self, arguments: &[&str]) {
        let mut command = Command::new(server());
        command
            .args(["--host", "127.0.0.1", "--standalone", "--port", &self.port.to_string()])
            .arg("--storage-path")
            .arg(self.folder.path().join("data"))
            .args(arguments);
        let mut program = Program::start("secantusd", command, self.folder.path());
        let port = self.port;
        program.await_ready(|| is_open(port));
        self.program = Some(program);
    }

    /// Ends it; the data stay.
    pub(crate) fn go_away(&mut self) {
        self.program = None;
    }

    pub(crate) fn service(&self) -> Service {
        self.service_as(ADMIN, PASSWORD)
    }

    pub(crate) fn service_as(&self, username: &str, password: &str) -> Service {
        let host = "127.0.0.1".to_owned();
        let (hosts, primary) = (vec![host.clone()], host);
        Service::Mongodb(Server {
            address: Mongodb { hosts, primary, port: self.port, replica_set: None, tls: false },
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    /// A client of nobody, or of that account: where it is, its name and its password.
    pub(crate) fn client(&self, login: Option<(&str, &str, &str)>) -> Client {
        let mut options = ClientOptions::default();
        let host = "127.0.0.1".to_owned();
        options.hosts = vec![ServerAddress::Tcp { host, port: Some(self.port) }];
        options.direct_connection = Some(true);
        options.server_selection_timeout = Some(Duration::from_secs(10));
        options.credential = login.map(|(source, user, password)| {
            let login = Credential::builder().username(user.to_owned()).source(source.to_owned());
            login.password(password.to_owned()).build()
        });
        Client::with_options(options).unwrap()
    }
}
