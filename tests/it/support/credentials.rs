//! Whether credentials come out: in logs, in what runs and events tell, in errors, in files, in command lines.

use super::ocim::{Ground, text};
use super::processes::{list_pids, read};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lists that the API has, each with pages.
const LISTS: [&str; 10] = [
    "events",
    "runs",
    "instances",
    "appservers",
    "servers",
    "resources",
    "mysql_servers",
    "mongodb_servers",
    "rabbitmq_servers",
    "incidents",
];

/// The credentials by what they are called, and who looks for them in command lines all the time.
pub(crate) struct CredentialWatch {
    secrets: Arc<Mutex<BTreeMap<String, String>>>,
    /// Where which of them was seen.
    seen: Arc<Mutex<BTreeSet<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CredentialWatch {
    /// Looks for these from now on.
    pub(crate) fn start(secrets: &[(&str, &str)]) -> Self {
        let mut watch = Self {
            secrets: Arc::default(),
            seen: Arc::default(),
            is_over: Arc::default(),
            thread: None,
        };
        secrets.iter().for_each(|(name, secret)| watch.add(name, secret));
        let (secrets, seen, is_over) =
            (Arc::clone(&watch.secrets), Arc::clone(&watch.seen), Arc::clone(&watch.is_over));
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                look_at_processes(&secrets.lock().unwrap(), &seen);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        watch.thread = Some(thread);
        watch
    }

    /// Looks for this one, too.
    pub(crate) fn add(&self, name: &str, secret: &str) {
        assert!(secret.len() >= 8, "{name} is too short to be looked for");
        self.secrets.lock().unwrap().insert(name.to_owned(), secret.to_owned());
    }

    /// Nothing that Ocim says, keeps or starts has one of them; `told` is what else it has said.
    pub(crate) async fn assert_nowhere(mut self, ground: &Ground, told: &[String]) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        for text in told {
            self.look("what it said", text);
        }
        for list in LISTS {
            self.look_at_list(ground, list).await;
        }
        for run in ids(ground, "runs").await {
            for path in [run.clone(), format!("{run}/logs?limit=10000")] {
                let shown = ground.get(&format!("/api/v1/runs/{path}")).await;
                self.look(&path, &shown.to_string());
            }
        }
        self.look_at_files(&ground.logs());
        self.look_at_files(&ground.data());
        let seen = self.seen.lock().unwrap();
        assert!(seen.is_empty(), "credentials have come out: {seen:#?}");
    }

    async fn look_at_list(&self, ground: &Ground, list: &str) {
        for page in pages(ground, list).await {
            self.look(list, &page.to_string());
        }
    }

    /// All files below a folder, the database's, too; but for the disks of machines, which sites work with.
    fn look_at_files(&self, folder: &Path) {
        for (name, secret) in self.secrets.lock().unwrap().iter() {
            let mut grep = Command::new("grep");
            // Where our own token is kept it is to be.
            let not = ["--exclude-dir=cloud", "--exclude=cli_token"];
            // Nor is it to be in a command line of ours: a watch of another test may see it.
            grep.args(["-r", "-l", "-a", "-s", "-F", "-f", "-"]).args(not).arg("--").arg(folder);
            let mut grep = grep.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            writeln!(grep.stdin.take().unwrap(), "{secret}").unwrap();
            let found = grep.wait_with_output().unwrap().stdout;
            for file in String::from_utf8(found).unwrap().lines() {
                self.seen.lock().unwrap().insert(format!("{name} in {file}"));
            }
        }
    }

    fn look(&self, place: &str, text: &str) {
        for (name, secret) in self.secrets.lock().unwrap().iter() {
            if text.contains(secret) {
                self.seen.lock().unwrap().insert(format!("{name} in {place}"));
            }
        }
    }
}

impl Drop for CredentialWatch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// All command lines but those of the tests' own doubles.
fn look_at_processes(secrets: &BTreeMap<String, String>, seen: &Mutex<BTreeSet<String>>) {
    for pid in list_pids() {
        let line = read(pid, "cmdline");
        if line.contains("/service.py") {
            continue;
        }
        for (name, secret) in secrets {
            if line.contains(secret.as_str()) {
                let program = line.split('\0').next().unwrap_or_default();
                seen.lock().unwrap().insert(format!("{name} in the command line of {program}"));
            }
        }
    }
}

async fn ids(ground: &Ground, list: &str) -> Vec<String> {
    let pages = pages(ground, list).await;
    let items = pages.iter().flat_map(|page| page["items"].as_array().unwrap());
    items.map(|item| text(item, "id")).collect()
}

async fn pages(ground: &Ground, list: &str) -> Vec<serde_json::Value> {
    let (mut pages, mut after) = (vec![], String::new());
    loop {
        let page = ground.get(&format!("/api/v1/{list}?limit=200{after}")).await;
        let next = page["next"].as_str().map(|next| format!("&after={next}"));
        pages.push(page);
        match next {
            Some(next) => after = next,
            None => return pages,
        }
    }
}

#[test]
fn a_credential_in_a_command_line_is_seen() {
    let watch = CredentialWatch::start(&[("the password", "hunter2-in-a-command-line")]);
    let mut program = Command::new("sh")
        .args(["-c", "read line", "sh", "hunter2-in-a-command-line"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while watch.seen.lock().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody has seen it");
        std::thread::sleep(Duration::from_millis(5));
    }
    program.kill().unwrap();
    program.wait().unwrap();
}
