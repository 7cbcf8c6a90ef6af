//! A private MariaDB.

use super::{ADMIN, PASSWORD, Program, is_open, own_name, run};
use crate::support::ports::take_port;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};
use ocim_domain::provisioning::{Server, Service};
use ocim_domain::shared_server::Mysql;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The server, and an account that may do everything.
#[derive(Debug)]
pub(crate) struct MariaDb {
    folder: TempDir,
    pub(crate) port: u16,
    program: Option<Program>,
}

impl MariaDb {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        install
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--user={}", own_name()));
        run(install);
        let sql = format!(
            "GRANT ALL ON *.* TO '{ADMIN}'@'%' IDENTIFIED BY '{PASSWORD}' WITH GRANT OPTION;\n"
        );
        std::fs::write(folder.path().join("init.sql"), sql).unwrap();
        let mut peer = Self { folder, port: take_port(), program: None };
        peer.come_back(&[]);
        peer
    }

    /// Starts it, with further arguments.
    pub(crate) fn come_back(&mut self, arguments: &[&str]) {
        let folder = self.folder.path();
        let path = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new("mariadbd");
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin"])
            .arg("--innodb-flush-method=nosync")
            .arg(format!("--datadir={}", path("data")))
            .arg(format!("--socket={}", path("s")))
            .arg(format!("--pid-file={}", path("pid")))
            .arg(format!("--init-file={}", path("init.sql")))
            .arg(format!("--port={}", self.port))
            .arg(format!("--user={}", own_name()))
            .args(arguments);
        let mut program = Program::start("mariadbd", command, folder);
        let port = self.port;
        program.await_ready(|| is_open(port));
        self.program = Some(program);
    }

    /// Ends it; the data stay.
    pub(crate) fn go_away(&mut self) {
        self.program = None;
    }

    /// Lets it stand still, or go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        use nix::sys::signal::Signal;
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.program.as_ref().unwrap().signal(signal);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn service(&self) -> Service {
        self.service_as(ADMIN, PASSWORD, false)
    }

    pub(crate) fn service_as(&self, username: &str, password: &str, tls: bool) -> Service {
        Service::Mysql(Server {
            address: Mysql { host: "127.0.0.1".to_owned(), port: self.port, tls },
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    /// A connection of that account.
    pub(crate) async fn log_in(&self, user: &str, password: &str) -> Result<Conn, Error> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(user))
            .pass(Some(password))
            .prefer_socket(false);
        Conn::new(options).await
    }

    /// Has the administrator do this.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.log_in(ADMIN, PASSWORD).await.unwrap();
        connection.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        connection.disconnect().await.unwrap();
    }

    /// The first column of what the administrator is answered.
    pub(crate) async fn list(&self, sql: &str) -> Vec<String> {
        let mut connection = self.log_in(ADMIN, PASSWORD).await.unwrap();
        let rows = connection.query(sql).await.unwrap();
        connection.disconnect().await.unwrap();
        rows
    }
}
