//! The real program on a data folder of its own, and an end to all that it started.

use super::log_check::ExpectedLines;
use super::processes::signal_process;
use nix::sys::signal::Signal;
use ocim::data_folder::DataFolder;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// How long anything may take that is not measured. Other tests may be busy at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How often one asks meanwhile.
pub(crate) const POLL: Duration = Duration::from_millis(40);

/// Each of these tests needs the whole computer: one after another.
static TURN: Mutex<()> = Mutex::const_new(());

/// A folder in which Ocim lives, and the server that runs there now.
pub(crate) struct Ground {
    folder: TempDir,
    server: Option<Server>,
    starts: AtomicU32,
    /// What the logs may hold, though it is a warning or an error.
    pub(crate) expected: ExpectedLines,
    http: reqwest::Client,
    patience: Duration,
    _turn: MutexGuard<'static, ()>,
}

struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Ground {
    /// A private folder; nothing is started yet.
    pub(crate) async fn prepare() -> Self {
        let turn = TURN.lock().await;
        let folder = tempfile::Builder::new().prefix("ocim e2e ").tempdir().unwrap();
        // As root, PostgreSQL's own user has to pass through.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        for name in ["holds", "tmp", "empty", "logs"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20));
        let http = http.build().unwrap();
        let (server, starts, expected) = (None, AtomicU32::new(0), ExpectedLines::default());
        Self { folder, server, starts, expected, http, patience: PATIENCE, _turn: turn }
    }

    /// Waits so many times as long for anything as it would.
    pub(crate) fn be_patient(&mut self, factor: u32) {
        self.patience = PATIENCE * factor;
    }

    /// As [`Ground::prepare`], with a server that answers. Python's environments are shared with
    /// other tests, since making one takes long.
    pub(crate) async fn serve() -> Self {
        Self::serve_with(&[]).await
    }

    /// As [`Ground::serve`], with more of a configuration.
    pub(crate) async fn serve_with(variables: &[(&str, &str)]) -> Self {
        let mut ground = Self::prepare().await;
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("environments");
        fs::create_dir_all(&shared).unwrap();
        let playbooks = ground.data().join("playbooks");
        drop(DataFolder::open(&ground.data()).unwrap());
        symlink(shared, playbooks.join("environments")).unwrap();
        ground.start_with(variables).await;
        ground
    }

    /// All that is of this ground lies below.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// The folder of the one local cloud.
    pub(crate) fn cloud(&self) -> PathBuf {
        self.data().join("cloud/local")
    }

    /// Where the logs of all servers and demos lie that are started here: each is looked through at
    /// the end for what the test does not expect.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root().join("logs")
    }

    /// What a program started here takes for the place of temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root().join("tmp")
    }

    /// The program, with a configuration that needs nothing from outside and hurts nobody.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocim"));
        command.args(arguments).current_dir(self.root().join("empty")).stdin(Stdio::null());
        for name in ["DATABASE_URL", "EVENT_STORE_URL", "SECRET_KEY"] {
            command.env_remove(name);
        }
        command.envs([
            ("OCIM_HTTP_PORT", "0"),
            ("OCIM_LOG", "info,ocim::http=warn"),
            ("DEFAULT_INSTANCE_BASE_DOMAIN", "localhost"),
            ("DEFAULT_CONFIGURATION_REPO_URL", "bundled:demo_site"),
            ("ANSIBLE_APPSERVER_REPO", ""),
        ]);
        command.env("OCIM_DATA_DIR", self.data());
        command.env("OCIM_TEST_HOLD_DIR", self.root().join("holds"));
        command.env("TMPDIR", self.temporary());
        command
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    /// As [`Ground::start`], with more of a configuration.
    pub(crate) async fn start_with(&mut self, variables: &[(&str, &str)]) {
        self.start_as(&["serve"], variables).await;
    }

    /// As [`Ground::start_with`], by this command line.
    pub(crate) async fn start_as(&mut self, arguments: &[&str], variables: &[(&str, &str)]) {
        assert!(self.server.is_none(), "it runs already");
        self.starts.fetch_add(1, Ordering::Relaxed);
        let log = fs::File::create(self.log_file()).unwrap();
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let pid = child.id();
        let server = Server { child, url: String::new(), token: String::new() };
        self.server = Some(server);
        let data = self.data();
        let url = self
            .wait_for("the server's address", async || {
                let record = DataFolder::find_server(&data).ok().flatten()?;
                (record.pid == pid).then(|| format!("http://{}", record.address))
            })
            .await;
        let server = self.server.as_mut().unwrap();
        server.url = url;
        server.token = ocim::http::read_local_token(&data).unwrap();
        self.wait_for("the server to be ready", async || {
            let (status, ..) = self.try_get("/ready").await?;
            (status == 200).then_some(())
        })
        .await;
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().expect("a running server").child.id()
    }

    /// The server's URL, and a token that lets in.
    pub(crate) fn access(&self) -> (&str, &str) {
        let server = self.server.as_ref().expect("a running server");
        (&server.url, &server.token)
    }

    /// Where it listens, e.g. `127.0.0.1:40123`.
    pub(crate) fn address(&self) -> &str {
        self.access().0.trim_start_matches("http://")
    }

    /// Kills the server alone; all that it started lives on.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }

    /// Asks the server to stop; how it ended, and how long that took.
    pub(crate) async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal(Signal::SIGTERM);
        (self.await_end().await, asked.elapsed())
    }

    /// Sends the server a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_process(self.pid(), signal);
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn await_end(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("a running server");
        await_exit(&mut server.child, PATIENCE).await
    }

    /// What is at this path of the API.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.wait_for(&format!("an answer to GET {path}"), async || {
            let (status, _, body) = self.try_get(path).await?;
            assert!(status == 200 || status == 503, "GET {path}: {status} {body}");
            (status == 200).then_some(body)
        })
        .await
    }

    /// What is at this path of the API, if it is shown yet.
    async fn find(&self, path: &str) -> Option<Value> {
        let (status, _, body) = self.try_get(path).await?;
        assert!([200, 404, 503].contains(&status), "GET {path}: {status} {body}");
        (status == 200).then_some(body)
    }

    /// Status, headers and body of one GET; `None` when there was no answer.
    pub(crate) async fn try_get(
        &self,
        path: &str,
    ) -> Option<(u16, reqwest::header::HeaderMap, Value)> {
        let server = self.server.as_ref().expect("a running server");
        let request = self.http.get(format!("{}{path}", server.url)).bearer_auth(&server.token);
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some((status, headers, response.json().await.ok()?))
    }

    /// Sends a command to the API, which must take it.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.try_post(path, body).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {body}");
        body
    }

    /// Sends a command to the API: status and body of the answer, null for an empty one.
    pub(crate) async fn try_post(&self, path: &str, body: Value) -> (u16, Value) {
        let server = self.server.as_ref().expect("a running server");
        let request = self.http.post(format!("{}/api/v1{path}", server.url));
        let response = request.bearer_auth(&server.token).json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    /// An instance whose plays wait while the file `~/play-held` is on their machine; its id.
    pub(crate) async fn create_instance(&self, sub_domain: &str) -> String {
        let body = json!({
            "sub_domain": sub_domain,
            "name": format!("Site {sub_domain}"),
            "configuration_extra_settings": "OCIM_DEMO_HOLD_FILE: ~/play-held\n",
        });
        text(&self.post("/instances", body).await, "id")
    }

    /// Launches an appserver: its id, and its run's.
    pub(crate) async fn launch(&self, instance: &str) -> (String, String) {
        let launched = self.post(&format!("/instances/{instance}/appservers"), json!({})).await;
        (text(&launched, "appserver"), text(&launched, "run"))
    }

    /// Activates an appserver; the run's id.
    pub(crate) async fn activate(&self, appserver: &str) -> String {
        let path = format!("/appservers/{appserver}/activate");
        text(&self.post(&path, json!({"deactivate_others": true})).await, "run")
    }

    /// Waits until a run is over; how it ended: `completed`, `unwound` or `stuck`.
    pub(crate) async fn await_run(&self, run: &str) -> String {
        self.wait_for(&format!("the end of {run}"), async || {
            let detail = self.find(&format!("/api/v1/runs/{run}")).await?;
            let phase = text(&detail, "phase");
            ["completed", "unwound", "stuck"].contains(&phase.as_str()).then_some(phase)
        })
        .await
    }

    /// Waits until the region has its balancer, which is what the first of all runs makes.
    pub(crate) async fn await_balancer(&self) {
        self.wait_for("the balancer", async || {
            let runs = self.get("/api/v1/runs").await;
            (runs["items"][0]["phase"] == "completed").then_some(())
        })
        .await;
    }

    /// Waits until an appserver is shown like this: each read model goes at its own pace, and that
    /// of runs may be ahead.
    pub(crate) async fn await_appserver(&self, appserver: &str, status: &str, is_active: bool) {
        self.wait_for(&format!("{appserver} to be {status}, active: {is_active}"), async || {
            let shown = self.find(&format!("/api/v1/appservers/{appserver}")).await?;
            let is_so = text(&shown, "status") == status && shown["is_active"] == is_active;
            is_so.then_some(())
        })
        .await;
    }

    /// All lines of a run's log; their numbers must go from 1 on without gap or repeat.
    pub(crate) async fn read_log(&self, run: &str) -> Vec<String> {
        let page = self.get(&format!("/api/v1/runs/{run}/logs?limit=10000")).await;
        let lines = page["lines"].as_array().unwrap();
        let numbers: Vec<u64> = lines.iter().map(|it| it["number"].as_u64().unwrap()).collect();
        let expected: Vec<u64> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "the lines of {run} are numbered from 1 without a gap");
        lines.iter().map(|line| text(line, "text")).collect()
    }

    /// Waits until a line of a run's log holds the text.
    pub(crate) async fn await_line(&self, run: &str, part: &str) {
        self.wait_for(&format!("a line with `{part}` in the log of {run}"), async || {
            self.read_log(run).await.iter().any(|line| line.contains(part)).then_some(())
        })
        .await;
    }

    /// The page that a visitor gets who asks the balancer for a domain; else what is wrong.
    pub(crate) async fn visit(&self, domain: &str) -> Result<String, String> {
        let balancers = self.get("/api/v1/load_balancers").await;
        let balancer = &balancers["items"][0];
        let (ip, port) = (text(balancer, "public_ip"), &balancer["http_port"]);
        let request = self.http.get(format!("http://{ip}:{port}/")).header("Host", domain);
        // A visitor of long standing may get the last answer of a worker that HAProxy has replaced.
        let request = request.header("Connection", "close");
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let page = answer.text().await.map_err(|error| error.to_string())?;
        if status == 200 { Ok(page) } else { Err(format!("{status} {page}")) }
    }

    /// Runs will stop at this point, e.g. `launch_appserver.create_server.after_effect`.
    pub(crate) fn hold(&self, point: &str) {
        let holds = self.root().join("holds");
        // An earlier run may have come here.
        let _ = fs::remove_file(holds.join(format!("{point}.reached")));
        fs::write(holds.join(point), "").unwrap();
    }

    /// Waits until a run stands at a point that is held.
    pub(crate) async fn await_hold(&self, point: &str) {
        let reached = self.root().join("holds").join(format!("{point}.reached"));
        self.wait_for(&format!("a run at {point}"), async || reached.exists().then_some(())).await;
    }

    /// Lets runs pass this point.
    pub(crate) fn release(&self, point: &str) {
        fs::remove_file(self.root().join("holds").join(point)).unwrap();
    }

    /// Kills the server when a run comes to this point, and starts it again without the hold.
    pub(crate) async fn crash_at(&mut self, point: &str) {
        self.await_hold(point).await;
        self.kill();
        self.release(point);
        self.start().await;
    }

    /// Asks until there is an answer; fails the test when that takes too long.
    pub(crate) async fn wait_for<T>(
        &self,
        what: &str,
        mut ask: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.read_logs());
            tokio::time::sleep(POLL).await;
        }
    }

    fn log_file(&self) -> PathBuf {
        self.logs().join(format!("server-{}.log", self.starts.load(Ordering::Relaxed)))
    }

    /// The warnings and errors in all logs, but for those that the test expects.
    fn unexpected_lines(&self) -> Vec<String> {
        let files = fs::read_dir(self.logs()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.map(|file| fs::read(file).unwrap());
        let logs = logs.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        logs.flat_map(|log| self.expected.find_unexpected(&log)).collect()
    }

    /// How many lines of the log of the server of now have this part.
    pub(crate) fn count_log_lines(&self, part: &str) -> usize {
        self.read_logs().lines().filter(|line| line.contains(part)).count()
    }

    /// What the server of now wrote.
    pub(crate) fn read_logs(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Ground {
    #[expect(clippy::print_stderr, reason = "who reads of a failed test wants to know")]
    fn drop(&mut self) {
        if self.server.is_some() {
            if std::thread::panicking() {
                // Why a run failed stands nowhere else once the data folder is gone.
                let runs = self.command(&["run", "list", "-o", "wide"]).output();
                eprintln!(
                    "{}",
                    String::from_utf8_lossy(&runs.map(|it| it.stdout).unwrap_or_default())
                );
            }
            self.kill();
        }
        if std::thread::panicking() {
            // Servers that the test's own commands started hold the folder.
            super::processes::end_programs(&self.root().display().to_string(), "ocim serve");
        }
        let mut left = vec![self.data()];
        let temporary = fs::read_dir(self.temporary()).into_iter().flatten().flatten();
        left.extend(temporary.map(|entry| entry.path()).filter(|path| path.is_dir()));
        // A thread of its own, since this one may be driving the test's runtime.
        let clear = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            for folder in left.into_iter().filter(|folder| folder.exists()) {
                let folder = DataFolder::open(&folder).unwrap();
                runtime.as_ref().unwrap().block_on(ocim::demo::remove_all(folder));
            }
        });
        let cleared = clear.join();
        if std::thread::panicking() {
            eprintln!("{}", self.read_logs());
        } else {
            cleared.unwrap();
            assert_eq!(self.unexpected_lines(), Vec::<String>::new(), "say why in `expected`");
            assert!(!self.data().exists(), "the data folder is still there");
            let root = self.root().display().to_string();
            assert_eq!(super::processes::find_processes(&root), Vec::<String>::new());
        }
    }
}

/// A text of a JSON object.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

/// Waits until a program has ended by itself.
pub(crate) async fn await_exit(child: &mut Child, patience: Duration) -> ExitStatus {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "process {} does not end", child.id());
        tokio::time::sleep(POLL).await;
    }
}
