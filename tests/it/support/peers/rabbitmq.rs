//! A private RabbitMQ with its management API, and an epmd of its own.

use super::{ADMIN, PASSWORD, Program, is_open};
use crate::support::ports::take_port;
use ocim_domain::provisioning::{Server, Service};
use ocim_domain::shared_server::Rabbitmq;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The server, and a user with the tag `administrator`.
#[derive(Debug)]
pub(crate) struct RabbitMq {
    // In this order they end.
    server: Program,
    _names: Program,
    _folder: TempDir,
    pub(crate) api_port: u16,
    pub(crate) amqp_port: u16,
}

impl RabbitMq {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let [api_port, amqp_port, names_port, nodes_port] = std::array::from_fn(|_| take_port());
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp_port}\nmanagement.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {api_port}\ndefault_user = {ADMIN}\ndefault_pass = {PASSWORD}\n"
        );
        std::fs::write(path("rabbitmq.conf"), configuration).unwrap();
        std::fs::write(path("enabled_plugins"), "[rabbitmq_management].").unwrap();
        let mut command = Command::new("epmd");
        command.args(["-port", &names_port.to_string(), "-address", "127.0.0.1"]);
        let mut names = Program::start("epmd", command, folder.path());
        names.await_ready(|| is_open(names_port));
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        command
            .env("HOME", folder.path())
            .env("ERL_EPMD_PORT", names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("peer{api_port}@localhost"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("RABBITMQ_DIST_PORT", nodes_port.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            );
        let server = Program::start("rabbitmq-server", command, folder.path());
        let mut peer = Self { server, _names: names, _folder: folder, api_port, amqp_port };
        peer.await_api().await;
        peer
    }

    async fn await_api(&mut self) {
        let deadline = std::time::Instant::now() + super::START;
        while !self.ask(Method::GET, "whoami").send().await.is_ok_and(|it| it.status() == 200) {
            self.server.assert_runs();
            let said = std::fs::read_to_string(&self.server.log).unwrap_or_default();
            assert!(std::time::Instant::now() < deadline, "RabbitMQ is not ready: {said}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        use nix::sys::signal::Signal;
        self.server.signal(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    pub(crate) fn service(&self) -> Service {
        self.service_as(ADMIN, PASSWORD)
    }

    pub(crate) fn service_as(&self, username: &str, password: &str) -> Service {
        Service::Rabbitmq(Server {
            address: Rabbitmq {
                api_url: self.api_url(),
                instance_host: "127.0.0.1".to_owned(),
                instance_port: self.amqp_port,
            },
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    /// A question of the administrator.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.ask_as(method, path, ADMIN, PASSWORD)
    }

    pub(crate) fn ask_as(
        &self,
        method: Method,
        path: &str,
        user: &str,
        password: &str,
    ) -> RequestBuilder {
        let url = format!("{}/api/{path}", self.api_url());
        Client::new().request(method, url).basic_auth(user, Some(password))
    }

    /// What is answered, as JSON.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path).send().await.unwrap().json().await.unwrap()
    }

    /// Makes a user with that tag.
    pub(crate) async fn put_user(&self, name: &str, tags: &str) {
        let body = json!({ "password": PASSWORD, "tags": tags });
        let made = self.ask(Method::PUT, &format!("users/{name}")).json(&body).send().await;
        assert!(made.unwrap().status().is_success());
    }
}
