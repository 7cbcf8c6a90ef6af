//! The one way to run a program: a clean environment, no input, bounded output, a deadline.
//!
//! Whatever it left running in its process group ends with it; of a contained one, whatever it left
//! running at all. Who may start a process in another way, and why, stands beside the test that looks
//! for them.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

/// Where programs are looked for when our own environment does not say.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of each stream is kept, its end, unless more is asked for.
const KEPT_BYTES: usize = 64 << 10;
/// A program that writes more than this is ended.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// How many of its last lines tell why it failed.
const LAST_LINES: usize = 15;

/// How a program gets a PID namespace of its own, which ends with its first process; as root, and as
/// anybody whom the system lets have a user namespace.
const CONTAINERS: [&[&str]; 2] = [
    &["--pid", "--fork", "--kill-child"],
    &["--user", "--map-current-user", "--pid", "--fork", "--kill-child"],
];
/// The exit status of a container that could not start its program.
const NOT_EXECUTED: i32 = 127;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there.
    #[error("{program} is missing{}", package.map(|name| format!(": install the Debian package {name}")).unwrap_or_default())]
    Missing {
        /// Its name.
        program: String,
        /// Who brings it, if that is known.
        package: Option<&'static str>,
    },
    /// It could not be started, or its output could not be read.
    #[error("{program} could not be started")]
    NotStarted {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long, and was ended.
    #[error("{program} took longer than {} s", after.as_secs())]
    TimedOut {
        /// Its name.
        program: String,
        /// How long it had.
        after: Duration,
    },
    /// It wrote too much, and was ended.
    #[error("{program} wrote more than {} MiB", limit >> 20)]
    TooMuchOutput {
        /// Its name.
        program: String,
        /// How much it may write, in bytes.
        limit: u64,
    },
    /// It said no.
    #[error("{program} failed: {}", complaint.replace('\n', " | "))]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote; how it ended where it wrote none.
        complaint: String,
    },
}

/// What a program wrote, the end of each stream, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// The end of its standard output.
    pub stdout: Vec<u8>,
    /// The end of its standard error.
    pub stderr: Vec<u8>,
}

/// A program that is to be run to its end.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
    package: Option<&'static str>,
    kept_bytes: usize,
    output_bytes_max: u64,
    outlived: bool,
    is_contained: bool,
    input: Vec<u8>,
}

impl Program {
    /// A program by its name or path. It sees nothing of our environment but where
    /// programs are, and works in `/`.
    #[expect(clippy::disallowed_methods, reason = "where programs lie is no setting of ours")]
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let path = path.as_ref();
        let name = Path::new(path).file_name().unwrap_or(path).to_string_lossy().into_owned();
        let mut command = Command::new(path);
        let search_path = std::env::var_os("PATH").unwrap_or_else(|| SEARCH_PATH.into());
        command.env_clear().env("PATH", search_path).env("LC_ALL", "C.UTF-8").current_dir("/");
        let (kept_bytes, output_bytes_max) = (KEPT_BYTES, OUTPUT_BYTES_MAX);
        Self {
            command,
            name,
            package: None,
            kept_bytes,
            output_bytes_max,
            outlived: false,
            is_contained: false,
            input: vec![],
        }
    }

    /// As [`Program::new`]; whatever it starts ends with it, even what leaves its process group. For
    /// programs that run code of strangers. Without namespaces only its process group ends with it.
    pub fn contained(path: impl AsRef<OsStr>) -> Self {
        let Some(container) = container() else { return Self::new(path) };
        let name = Self::new(path.as_ref()).name;
        let mut program = Self { name, is_contained: true, ..Self::new("unshare") };
        program.args(container).arg("--").arg(path);
        program
    }

    /// The Debian package that brings it, for whoever misses it.
    #[must_use]
    pub fn of_package(self, package: &'static str) -> Self {
        Self { package: Some(package), ..self }
    }

    /// One more argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(arguments);
        self
    }

    /// A variable of its environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// More variables.
    pub fn envs(
        &mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> &mut Self {
        self.command.envs(variables);
        self
    }

    /// Without this variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.command.env_remove(name);
        self
    }

    /// Works in that folder.
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs as that user and group, by their numbers.
    pub fn account(&mut self, uid: u32, gid: u32) -> &mut Self {
        self.command.uid(uid).gid(gid);
        self
    }

    /// Keeps up to so many bytes of each stream: for whoever needs all of an answer.
    pub fn keep(&mut self, bytes: usize) -> &mut Self {
        self.kept_bytes = bytes;
        self
    }

    /// What it reads on its standard input; nothing unless this is said. What it does not read is lost.
    pub fn input(&mut self, bytes: &[u8]) -> &mut Self {
        self.input = bytes.to_vec();
        self
    }

    /// What it leaves running on purpose may go on when it has ended by itself.
    pub fn outlived(&mut self) -> &mut Self {
        self.outlived = true;
        self
    }

    /// Runs it to its end, whatever that is. At the deadline, when it writes without end, or when
    /// nobody waits for it any more, it is ended with its process group.
    ///
    /// # Errors
    /// Any [`ProgramError`] but [`ProgramError::Failed`].
    pub async fn run_to_end(&mut self, deadline: Duration) -> Result<Output, ProgramError> {
        let stdin = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let command = self.command.stdin(stdin).process_group(0).kill_on_drop(true);
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| self.not_started(error))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let mut group = Group(id.map(Pid::from_raw));
        let left = AtomicU64::new(self.output_bytes_max);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdin, input) = (child.stdin.take(), &self.input);
        let work = async {
            let ended = tokio::try_join!(
                write_all(stdin, input),
                read_end(stdout, self.kept_bytes, &left),
                read_end(stderr, self.kept_bytes, &left),
                async { child.wait().await.map_err(ReadFault::Io) },
            );
            ended.map(|((), stdout, stderr, status)| (stdout, stderr, status))
        };
        let program = self.name.clone();
        match tokio::time::timeout(deadline, work).await {
            Err(_) => Err(ProgramError::TimedOut { program, after: deadline }),
            Ok(Err(ReadFault::TooMuch)) => {
                Err(ProgramError::TooMuchOutput { program, limit: self.output_bytes_max })
            }
            Ok(Err(ReadFault::Io(source))) => Err(ProgramError::NotStarted { program, source }),
            Ok(Ok((stdout, stderr, status))) => {
                if self.outlived {
                    group.0 = None;
                }
                if self.is_contained && status.code() == Some(NOT_EXECUTED) && was_missing(&stderr)
                {
                    return Err(ProgramError::Missing { program, package: self.package });
                }
                Ok(Output { status, stdout, stderr })
            }
        }
    }

    /// As [`Program::run_to_end`]; a program that says no has failed.
    ///
    /// # Errors
    /// Any [`ProgramError`].
    pub async fn run(&mut self, deadline: Duration) -> Result<Output, ProgramError> {
        let output = self.run_to_end(deadline).await?;
        if output.status.success() {
            return Ok(output);
        }
        let written = [output.stdout, b"\n".to_vec(), output.stderr].concat();
        let last = last_lines(&written, LAST_LINES);
        let complaint = if last.is_empty() { output.status.to_string() } else { last };
        Err(ProgramError::Failed { program: self.name.clone(), status: output.status, complaint })
    }

    fn not_started(&self, error: io::Error) -> ProgramError {
        let program = self.name.clone();
        match error.kind() {
            io::ErrorKind::NotFound => ProgramError::Missing { program, package: self.package },
            _ => ProgramError::NotStarted { program, source: error },
        }
    }
}

/// How programs can be contained here, if they can.
fn container() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&'static [&'static str]>> = OnceLock::new();
    let works = |arguments: &&&'static [&'static str]| {
        let mut attempt = std::process::Command::new("unshare");
        attempt.args(**arguments).args(["--", "true"]).stdin(Stdio::null());
        let ended = attempt.stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    };
    *FOUND.get_or_init(|| CONTAINERS.iter().find(works).copied())
}

/// Whether the container says that it found no such program.
fn was_missing(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    text.starts_with("unshare: failed to execute ") && text.contains("No such file")
}

/// The last lines of an output that say something.
#[must_use]
pub fn last_lines(output: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A process group that ends with this value.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may just have ended: then there is nothing to kill.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Why a stream was not read to its end.
enum ReadFault {
    Io(io::Error),
    TooMuch,
}

/// Writes it all, and closes the stream. A program that does not want to read it is free not to.
async fn write_all(stream: Option<ChildStdin>, bytes: &[u8]) -> Result<(), ReadFault> {
    let Some(mut stream) = stream else { return Ok(()) };
    match stream.write_all(bytes).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ReadFault::Io(error)),
        _ => Ok(()),
    }
}

/// The last `kept` bytes of a stream; `left` is how much all streams of the program may still hold.
async fn read_end(
    stream: Option<impl AsyncRead + Unpin>,
    kept: usize,
    left: &AtomicU64,
) -> Result<Vec<u8>, ReadFault> {
    let Some(mut stream) = stream else { return Ok(vec![]) };
    let mut end = vec![];
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = stream.read(&mut buffer).await.map_err(ReadFault::Io)?;
        if count == 0 {
            end.drain(..end.len().saturating_sub(kept));
            return Ok(end);
        }
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(count as u64)
        });
        taken.map_err(|_| ReadFault::TooMuch)?;
        end.extend_from_slice(&buffer[..count]);
        // Now and then, not at each part.
        if end.len() > 2 * kept + buffer.len() {
            end.drain(..end.len() - kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn sh(script: &str) -> Program {
        let mut program = Program::new("sh");
        program.args(["-c", script]);
        program
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let error = Program::new("/nowhere/sought").of_package("seekers").run(LONG).await;
        let text = error.expect_err("no such program").to_string();
        assert_eq!(text, "sought is missing: install the Debian package seekers");
    }

    #[tokio::test]
    async fn it_sees_nothing_of_ours_and_works_nowhere() {
        let output = sh("pwd; env | cut -d= -f1 | sort; cat").run(LONG).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The shell itself adds PWD and the like.
        let shells_own = ["PWD", "OLDPWD", "SHLVL", "_"];
        let lines: Vec<&str> = text.lines().filter(|line| !shells_own.contains(line)).collect();
        assert_eq!(lines, ["/", "LC_ALL", "PATH"]);
    }

    #[tokio::test]
    async fn one_that_fails_says_its_last_lines_and_one_that_says_nothing_how_it_ended() {
        let error = sh("seq 100; echo why >&2; exit 3").run(LONG).await.unwrap_err();
        let ProgramError::Failed { status, complaint, .. } = error else { panic!("{error}") };
        assert_eq!(status.code(), Some(3));
        assert!(complaint.ends_with("100\nwhy"), "{complaint}");
        assert_eq!(complaint.lines().count(), LAST_LINES);
        let error = sh("exit 4").run(LONG).await.unwrap_err().to_string();
        assert_eq!(error, "sh failed: exit status: 4");
        let output = sh("exit 5").run_to_end(LONG).await.unwrap();
        assert_eq!(output.status.code(), Some(5));
    }

    #[tokio::test]
    async fn it_ends_at_its_deadline_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! >'{}'; wait", file.display());
        let error = sh(&script).run(Duration::from_millis(500)).await.unwrap_err();
        assert!(matches!(error, ProgramError::TimedOut { .. }), "{error}");
        assert_ends(&file).await;
    }

    #[tokio::test]
    async fn what_it_left_running_ends_with_it_unless_that_is_to_outlive_it() {
        let folder = tempfile::tempdir().unwrap();
        let leave = |name: &str| {
            let file = folder.path().join(name);
            let script = format!("sleep 600 >/dev/null 2>&1 & echo $! >'{}'", file.display());
            (file, sh(&script))
        };
        let (file, mut program) = leave("left");
        program.run(LONG).await.unwrap();
        assert_ends(&file).await;
        let (file, mut program) = leave("outlives");
        program.outlived().run(LONG).await.unwrap();
        let pid = read_pid(&file);
        assert!(is_running(pid));
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn of_a_contained_one_nothing_goes_on_that_has_left_its_process_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("left");
        // Its number within the namespace is another one: it is known by its arguments.
        let mark = format!("{}", 7_000_000 + std::process::id());
        let script = format!(
            "setsid sh -c 'echo there >\"{0}\"; exec sleep {mark}' >/dev/null 2>&1 & \
             until [ -s '{0}' ]; do :; done",
            file.display()
        );
        let mut program = Program::contained("sh");
        program.args(["-c", &script]).run(LONG).await.unwrap();
        let goes_on = || {
            let folders = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            let mut lines = folders.map(|it| std::fs::read(it.path().join("cmdline")));
            lines.any(|line| line.is_ok_and(|line| line == format!("sleep\0{mark}\0").as_bytes()))
        };
        let ends = async {
            while goes_on() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, ends).await.expect("it goes on");
    }

    #[tokio::test]
    async fn a_contained_one_answers_like_any_other() {
        let error = Program::contained("/nowhere/sought").of_package("seekers").run(LONG).await;
        let text = error.expect_err("no such program").to_string();
        assert_eq!(text, "sought is missing: install the Debian package seekers");
        let mut program = Program::contained("sh");
        let error = program.args(["-c", "pwd; echo why >&2; exit 3"]).run(LONG).await.unwrap_err();
        let ProgramError::Failed { status, complaint, program } = error else { panic!("{error}") };
        assert_eq!(
            (status.code(), complaint.as_str(), program.as_str()),
            (Some(3), "/\nwhy", "sh")
        );
    }

    #[tokio::test]
    async fn of_a_long_output_the_end_is_kept_and_one_without_end_is_ended() {
        let output = sh("seq 1000000").keep(1000).run(LONG).await.unwrap();
        assert_eq!(output.stdout.len(), 1000);
        assert!(output.stdout.ends_with(b"999999\n1000000\n"));
        let mut endless = sh("yes");
        endless.output_bytes_max = 4 << 20;
        let error = endless.run(LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "sh wrote more than 4 MiB");
    }

    fn read_pid(file: &Path) -> Pid {
        let text = std::fs::read_to_string(file).unwrap();
        Pid::from_raw(text.trim().parse().unwrap())
    }

    /// A zombie that nobody has waited for yet has ended, too.
    fn is_running(pid: Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    }

    async fn assert_ends(file: &Path) {
        let pid = read_pid(file);
        let ends = async {
            while is_running(pid) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, ends).await.expect("it goes on");
    }
}
