//! Real Ansible over real SSH: runs that happen once, outlive their starter, and end when told to.

use crate::plays::bench::{Bench, has, read_all, wait_end};
use crate::private_sshd::{PrivateSshd, wait_for};
use crate::support::ports::take_port;
use ocim_adapters::playbooks::ansible::AnsiblePlaybooks;
use ocim_adapters::playbooks::{PlaybookRun, Playbooks, RunState, Source};
use ocim_domain::port_error::{Blame, Class};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Processes that bear the run's key, or are ssh's shared connections of it.
fn processes(key: Uuid) -> Vec<i32> {
    let mark = format!("OCIM_RUN_KEY={key}");
    let title = format!("ssh: /tmp/ocim-{}/", key.simple());
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let read =
                |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            read("environ").split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
                || read("cmdline").starts_with(title.as_bytes())
        })
        .collect()
}

#[tokio::test]
async fn branches_tags_and_commits_are_played() {
    let bench = Bench::start();
    let playbooks = bench.machine.playbooks();
    let first = bench.git(&["rev-parse", "HEAD"]);
    bench.git(&["tag", "v1"]);
    let expect = async |key: u128, version: &str, text: &str| {
        let run = bench.run_of(key, version);
        playbooks.start_playbook(&run).await.unwrap();
        assert_eq!(wait_end(&playbooks, run.key).await, RunState::Exited(0));
        let lines = read_all(&playbooks, run.key).await;
        assert!(has(&lines, &format!("{text} grüße s3cret True")), "{lines:?}");
        assert!(lines.iter().all(|line| !line.text.contains('\u{fffd}')));
    };
    expect(1, "main", "first").await;
    bench.commit("second");
    // The mirror is there already: a branch is fetched again, a tag and a commit stay.
    expect(2, "main", "second").await;
    expect(3, "v1", "first").await;
    expect(4, &first, "first").await;
    // A branch that is named like a commit is not that commit.
    bench.git(&["branch", &first, "main"]);
    expect(6, &first, "first").await;
    let error = playbooks.start_playbook(&bench.run_of(5, "no-such")).await.unwrap_err();
    assert!(error.message.contains("no such branch, tag or commit"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_starts_once_and_outlives_its_starter() {
    let bench = Bench::start();
    bench.hold();
    let run = bench.run_of(1, "main");
    let starters: Vec<_> = (0..4)
        .map(|_| {
            let (playbooks, run) = (bench.machine.playbooks(), run.clone());
            tokio::spawn(async move { playbooks.start_playbook(&run).await })
        })
        .collect();
    for starter in starters {
        starter.await.unwrap().unwrap();
    }
    wait_for("the mark", || bench.marks() > 0);

    let folder = bench.run_folder(&run);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder.clone()), mode(folder.join("variables.json"))), (0o700, 0o600));
    let leader: i32 = std::fs::read_to_string(folder.join("pid")).unwrap().trim().parse().unwrap();
    let own = nix::unistd::getsid(None).unwrap();
    let its = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(leader))).unwrap();
    assert!(its != own && its.as_raw() == leader, "it must not share our session");

    let later = bench.machine.playbooks();
    assert_eq!(later.read_playbook(run.key).await.unwrap(), RunState::Running);
    assert!(later.forget_playbook(run.key).await.is_err());
    later.start_playbook(&run).await.unwrap();
    bench.release();
    assert_eq!(wait_end(&later, run.key).await, RunState::Exited(0));
    assert!(has(&read_all(&later, run.key).await, "the end"));
    assert_eq!(bench.marks(), 1);
    wait_for("the end of its last process", || processes(run.key).is_empty());
    assert!(!folder.join("variables.json").exists(), "secrets are kept no longer than needed");

    later.start_playbook(&run).await.unwrap();
    assert_eq!(later.read_playbook(run.key).await.unwrap(), RunState::Exited(0));
    later.forget_playbook(run.key).await.unwrap();
    later.forget_playbook(run.key).await.unwrap();
    assert_eq!(later.read_playbook(run.key).await.unwrap(), RunState::Absent);
    assert_eq!(bench.marks(), 1);
}

#[tokio::test]
async fn a_cancelled_run_leaves_no_process() {
    let bench = Bench::start();
    bench.hold();
    let playbooks = bench.machine.playbooks();
    let run = bench.run_of(1, "main");
    playbooks.cancel_playbook(run.key).await.unwrap();
    playbooks.start_playbook(&run).await.unwrap();
    wait_for("the mark", || bench.marks() > 0);
    assert!(processes(run.key).len() > 1);
    let control = PathBuf::from(format!("/tmp/ocim-{}", run.key.simple()));
    assert!(control.is_dir());
    playbooks.cancel_playbook(run.key).await.unwrap();
    assert_eq!(processes(run.key), Vec::<i32>::new());
    let state = playbooks.read_playbook(run.key).await.unwrap();
    assert!(
        !matches!(state, RunState::Running | RunState::Absent | RunState::Exited(0)),
        "{state:?}"
    );
    bench.release();
}

#[tokio::test]
async fn timeouts_end_a_run_and_a_killed_one_is_lost() {
    let bench = Bench::start();
    bench.hold();
    let playbooks = bench.machine.playbooks();
    let mut silent = bench.run_of(1, "main");
    silent.line_timeout = Duration::from_secs(6);
    let mut long = bench.run_of(2, "main");
    long.total_timeout = Duration::from_secs(6);
    let killed = bench.run_of(3, "main");
    for run in [&silent, &long, &killed] {
        playbooks.start_playbook(run).await.unwrap();
    }
    for (run, reason) in [(&silent, "printed nothing for 6 s"), (&long, "ran for more than 6 s")] {
        let state = wait_end(&playbooks, run.key).await;
        assert!(matches!(&state, RunState::TimedOut(text) if text.contains(reason)), "{state:?}");
        assert_eq!(processes(run.key), Vec::<i32>::new());
    }
    assert_eq!(playbooks.read_playbook(killed.key).await.unwrap(), RunState::Running);
    wait_for("the end of the killed run", || {
        for pid in processes(killed.key) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        processes(killed.key).is_empty()
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while playbooks.read_playbook(killed.key).await.unwrap() != RunState::Lost {
        assert!(Instant::now() < deadline);
    }
    playbooks.start_playbook(&killed).await.unwrap();
    assert_eq!(playbooks.read_playbook(killed.key).await.unwrap(), RunState::Lost);
    playbooks.forget_playbook(killed.key).await.unwrap();
    bench.release();
}

#[tokio::test]
async fn another_host_key_is_refused() {
    let bench = Bench::start();
    let playbooks = bench.machine.playbooks();
    let mut run = bench.run_of(1, "main");
    let other = PrivateSshd::start();
    run.target.host_keys = other.host_keys();
    playbooks.start_playbook(&run).await.unwrap();
    let state = wait_end(&playbooks, run.key).await;
    let RunState::Failed { status: 4, at } = &state else { panic!("{state:?}") };
    assert!(at.message.contains("Host key verification failed"), "{at:?}");
    let lines = read_all(&playbooks, run.key).await;
    assert!(has(&lines, "Host key verification failed"), "{lines:?}");
    assert_eq!(bench.marks(), 0);
    let mut unknown = bench.run_of(2, "main");
    unknown.target.host_keys.clear();
    assert!(playbooks.start_playbook(&unknown).await.is_err());
}

#[tokio::test]
async fn pip_says_what_it_lacks() {
    let bench = Bench::start();
    std::fs::write(bench.repository.join("requirements.txt"), "no-such-thing==1.2.3\n").unwrap();
    bench.commit("other");
    let mut config = bench.machine.ansible_config();
    config.wheels_dir = Some(bench.machine.folder().to_path_buf());
    let playbooks = AnsiblePlaybooks::new(config);
    let run = bench.run_of(1, "main");
    let error = playbooks.start_playbook(&run).await.unwrap_err();
    assert!(error.message.contains("no-such-thing==1.2.3"), "{error}");
    assert_eq!((error.class, error.blame), (Class::Permanent, Blame::Caller));
    assert_eq!(playbooks.read_playbook(run.key).await.unwrap(), RunState::Absent);
}

#[tokio::test]
async fn the_demo_site_serves_what_its_variables_say() {
    let bench = Bench::start();
    let playbooks = bench.machine.playbooks();
    let port = take_port();
    for (key, number) in [(1, 7), (2, 8)] {
        let run = demo_run(&bench, key, port, number);
        playbooks.start_playbook(&run).await.unwrap();
        let state = wait_end(&playbooks, run.key).await;
        assert_eq!(state, RunState::Exited(0), "{:?}", read_all(&playbooks, run.key).await);
        let page =
            ask(port, "GET / HTTP/1.1\r\nHost: LMS.localhost:80\r\nAuthorization: Basic bWU6aXQ=");
        for text in ["200 OK", "Töst &amp; Co", "hawthorn.1", &format!("AppServer {number}")] {
            assert!(page.contains(text), "{text} is not in {page}");
        }
        assert!(page.contains(&format!("X-Ocim-Appserver: app-{number}")), "{page}");
    }
    let expectations = [
        ("GET /heartbeat HTTP/1.1\r\nHost: any", "200 OK"),
        ("OPTIONS /heartbeat HTTP/1.1\r\nHost: any", "200 OK"),
        ("GET / HTTP/1.1\r\nHost: lms.localhost", "401 Unauthorized"),
        ("GET / HTTP/1.1\r\nHost: x.localhost\r\nAuthorization: Basic bWU6aXQ=", "404 Not Found"),
        ("GET / HTTP/1.1\r\nHost: studio.localhost\r\nAuthorization: Basic bWU6aXQ=", "Studio"),
    ];
    for (request, expected) in expectations {
        let answer = ask(port, request);
        assert!(answer.contains(expected), "{request}: {answer}");
    }
    let marker = std::fs::read_to_string(bench.machine.home().join("ocim-demo/marker")).unwrap();
    assert_eq!(marker, format!("{} app-7\n{} app-8\n", bench.key(1), bench.key(2)));
}

fn demo_run(bench: &Bench, key: u128, port: u16, number: u16) -> PlaybookRun {
    let variables: Value = json!({
        "EDXAPP_PLATFORM_NAME": "Töst & Co",
        "EDXAPP_LMS_BASE": "lms.localhost",
        "EDXAPP_CMS_BASE": "studio.localhost",
        "edx_platform_version": "open-release/hawthorn.1",
        "COMMON_ENABLE_BASIC_AUTH": true,
        "COMMON_HTPASSWD_USER": "me",
        "COMMON_HTPASSWD_PASS": "it",
        "OCIM_APPSERVER_ID": format!("app-{number}"),
        "OCIM_APPSERVER_NUMBER": number,
        "OCIM_HTTP_ADDRESS": "127.0.0.1",
        "OCIM_HTTP_PORT": port,
    });
    PlaybookRun {
        source: Source::Bundled("demo_site".into()),
        playbook: "playbooks/openedx_native.yml".into(),
        variables,
        ..bench.run_of(key, "")
    }
}

fn ask(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
