//! A double of a service that is spoken to over HTTP (`tests/doubles`), and the orders that it takes.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A service with a life of its own. It ends with this value.
pub(crate) struct HttpDouble {
    pub(crate) port: u16,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    server: Child,
}

impl HttpDouble {
    /// The one of that folder below `tests`, which takes that key, and shows that certificate if there is one.
    pub(crate) async fn start(folder: &str, key: &str, certificate: Option<&Certificate>) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut server = Command::new("python3")
            .arg(tests.join(folder).join("service.py"))
            .arg(key)
            .args(certificate.into_iter().flat_map(|it| [&it.path, &it.key]))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = server.stdin.take().unwrap();
        let mut answers = BufReader::new(server.stdout.take().unwrap()).lines();
        let port = answers.next_line().await.unwrap().expect("its port").parse().unwrap();
        Self { port, orders, answers, server }
    }

    /// Gives an order to the service itself.
    pub(crate) async fn order(&mut self, order: &str) -> Value {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        let answer = self.answers.next_line().await.unwrap().unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// All that it was asked.
    pub(crate) async fn requests(&mut self) -> Vec<Value> {
        self.order("requests").await.as_array().unwrap().clone()
    }

    /// Ends it for good, so that nothing is taken any more.
    pub(crate) async fn end(&mut self) {
        self.server.kill().await.unwrap();
    }
}

/// A certificate of 127.0.0.1 that nobody has signed, with its key.
pub(crate) struct Certificate {
    _folder: TempDir,
    pub(crate) path: PathBuf,
    key: PathBuf,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        let folder = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let [path, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&path, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { _folder: folder, path, key }
    }
}
