//! HAProxy on balancer hosts, changed by the bundled playbook and by one program over SSH.
//! Port: [`super::LoadBalancer`]. What happens on the host: `playbooks/load_balancer/README.md`.

mod changes;

use crate::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer, install_variables};
use crate::cloud::Address;
use crate::playbooks::{OutputLine, PlaybookRun, Playbooks, RunState, Source, Target};
use crate::shell::Shell;
use async_trait::async_trait;
use changes::{Changes, Outcome};
use ocim_domain::ids::NAMESPACE;
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::saga::ErrorCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

const LINE_TIMEOUT: Duration = Duration::from_secs(120);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(200);
/// How the program on the host marks its own and HAProxy's words, and its exit status.
const WORDS: &str = "haproxy: ";
/// What it says when a change is served, and when it was already.
const DONE: [&str; 2] = ["live", "unchanged"];
const STATUS: &str = "haproxy-status: ";
/// The program's exit status when HAProxy refused the configuration.
const REFUSED: &str = "2";
/// The shell's exit status when the program is not there, and the program's when it has no such command.
const ABSENT: &str = "127";
/// What a program says that was there before changes came together.
const UNKNOWN_COMMAND: &str = "KeyError: 'change'";
/// Where the program lies on a host whose root we may become.
const ROOT_PROGRAM: &str = "/var/lib/ocim-balancer/ocim-haproxy";
/// How many lines of Ansible's explain a failure that the program had no part in.
const LAST_LINES: usize = 5;

/// The real [`LoadBalancer`].
#[derive(Debug)]
pub struct HaproxyLoadBalancer {
    playbooks: Arc<dyn Playbooks>,
    shell: Arc<dyn Shell>,
    changes: Changes,
    /// Held by who prepares a host, by its domain.
    preparing: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What the program on the host said, and how it ended.
struct Answer {
    words: Vec<String>,
    status: Option<String>,
}

impl HaproxyLoadBalancer {
    /// Changes go by `playbooks`; what must be quick goes by `shell`.
    #[must_use]
    pub fn new(playbooks: Arc<dyn Playbooks>, shell: Arc<dyn Shell>) -> Self {
        Self { playbooks, shell, changes: Changes::default(), preparing: Mutex::default() }
    }

    fn preparing_at(&self, domain: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut preparing = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        preparing.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(preparing.entry(domain.to_owned()).or_default())
    }

    /// Runs one of the bundled playbooks to its end.
    async fn play(
        &self,
        host: &BalancerHost,
        playbook: &str,
        variables: Value,
    ) -> Result<(), PortError> {
        // One run at a time for each host: one that a killed Ocim or a timeout left is ended first, so
        // that nothing older can land after this. The playbooks may be run twice.
        // The host's keys tell balancers apart that others on this computer gave the same name.
        let host_keys = host.host_keys.join(",");
        let name = format!("balancer/{}/{host_keys}/{playbook}", host.domain);
        let key = Uuid::new_v5(&NAMESPACE, name.as_bytes());
        self.playbooks.cancel_playbook(key).await?;
        self.playbooks.forget_playbook(key).await?;
        let run = PlaybookRun {
            key,
            source: Source::Bundled("load_balancer".into()),
            playbook: playbook.into(),
            requirements: "requirements.txt".into(),
            target: Target {
                groups: vec!["load-balancer".into()],
                address: host.address.clone(),
                host_keys: host.host_keys.clone(),
            },
            variables,
            line_timeout: LINE_TIMEOUT,
            total_timeout: TOTAL_TIMEOUT,
            traceparent: None,
        };
        // Git and pip may fail, and the balancer has no part in it.
        let started = self.playbooks.start_playbook(&run).await;
        started.map_err(|error| error.blamed_on(Blame::Other))?;
        let state = loop {
            match self.playbooks.read_playbook(key).await? {
                RunState::Running => tokio::time::sleep(POLL).await,
                ended => break ended,
            }
        };
        let output = self.read_output(key).await?;
        self.playbooks.forget_playbook(key).await?;
        match state {
            RunState::Exited(0) => Ok(()),
            ended => Err(explain_failure(&host.domain, &ended, &output)),
        }
    }

    async fn read_output(&self, key: Uuid) -> Result<Vec<OutputLine>, PortError> {
        let (mut lines, mut offset) = (Vec::new(), 0);
        loop {
            let (more, next) = self.playbooks.read_output(key, offset).await?;
            if next == offset {
                return Ok(lines);
            }
            lines.extend(more);
            offset = next;
        }
    }

    /// Puts the fragment in force, with those of others that wait meanwhile.
    async fn deliver_fragment(&self, host: &BalancerHost, fragment: &Fragment) -> Outcome {
        let carry_out = |fragments| self.deliver_fragments(host, fragments);
        self.changes.change(&host.domain, fragment, carry_out).await
    }

    /// Hands fragments to the program on the host. They are secret in part, and go by standard input.
    async fn deliver_fragments(
        &self,
        host: &BalancerHost,
        fragments: Vec<Fragment>,
    ) -> Result<Vec<Outcome>, PortError> {
        #[derive(Deserialize)]
        struct Ended {
            status: u8,
            words: Vec<String>,
        }
        let input = Value::from_iter(fragments.iter().map(write_change)).to_string();
        let text = self.call_with(host, &["change"], input.as_bytes()).await?;
        let ended: Vec<Ended> = read_json(host, &text)?;
        if ended.len() != fragments.len() {
            let (domain, told, asked) = (&host.domain, ended.len(), fragments.len());
            let text = format!("the balancer {domain} tells of {told} changes instead of {asked}");
            return Err(PortError::transient(text));
        }
        let outcome = |Ended { status, words }| match status {
            0 => Ok(words.into_iter().filter(|line| !DONE.contains(&line.as_str())).collect()),
            _ => Err(explain_status(&host.domain, &status.to_string(), &words.join("\n"))),
        };
        Ok(ended.into_iter().map(outcome).collect())
    }

    /// Runs the program on the host by SSH.
    async fn call(&self, host: &BalancerHost, arguments: &[&str]) -> Result<String, PortError> {
        self.call_with(host, arguments, b"").await
    }

    async fn call_with(
        &self,
        host: &BalancerHost,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<String, PortError> {
        let quoted: Vec<String> = arguments.iter().map(|argument| quote(argument)).collect();
        let program = find_program(&host.address);
        // Its status goes into the output: a shell may tell no more of a failure than that it was.
        let command = format!("{program} {} 2>&1; echo \"{STATUS}$?\"", quoted.join(" "));
        let output = self.shell.run(&host.address, &host.host_keys, &command, input).await?;
        let answer = read_shell_answer(&output);
        let words = answer.words.join("\n");
        match answer.status.as_deref() {
            Some("0") => Ok(words),
            Some(status) => Err(explain_status(&host.domain, status, &words)),
            None => {
                Err(PortError::transient(format!("the balancer {} says: {words}", host.domain)))
            }
        }
    }
}

#[async_trait]
impl LoadBalancer for HaproxyLoadBalancer {
    async fn read_balancer(&self, host: &BalancerHost) -> Result<BalancerState, PortError> {
        #[derive(Deserialize)]
        struct Look {
            running: bool,
            fragments: BTreeMap<String, String>,
        }
        let text = match self.call(host, &["look"]).await {
            Err(error) if error.code == Some(ErrorCode::BalancerUnprepared) => {
                return Ok(BalancerState::Unprepared);
            }
            answer => answer?,
        };
        let look: Look = read_json(host, &text)?;
        Ok(BalancerState::Prepared { is_running: look.running, fragments: look.fragments })
    }

    async fn prepare_balancer(&self, host: &BalancerHost) -> Result<(), PortError> {
        let address = &host.address;
        let variables = install_variables(address, host.also_listens.as_slice(), host.https_port);
        self.play(host, "install.yml", variables).await
    }

    async fn apply_fragment(
        &self,
        host: &BalancerHost,
        fragment: &Fragment,
    ) -> Result<Vec<String>, PortError> {
        match self.deliver_fragment(host, fragment).await {
            Err(error) if error.code == Some(ErrorCode::BalancerUnprepared) => {
                let preparing = self.preparing_at(&host.domain);
                let _one_at_a_time = preparing.lock().await;
                // Others who found it so may have prepared it meanwhile.
                match self.deliver_fragment(host, fragment).await {
                    Err(error) if error.code == Some(ErrorCode::BalancerUnprepared) => {}
                    answer => return answer,
                }
                tracing::info!(domain = host.domain, "a balancer is prepared at its first use");
                self.prepare_balancer(host).await?;
                self.deliver_fragment(host, fragment).await
            }
            answer => answer,
        }
    }

    async fn read_fragment(
        &self,
        host: &BalancerHost,
        name: &str,
    ) -> Result<Option<Fragment>, PortError> {
        #[derive(Deserialize)]
        struct Shown {
            configuration: String,
            map: String,
        }
        let text = self.call(host, &["show", name]).await?;
        let shown: Option<Shown> = read_json(host, &text)?;
        Ok(shown.map(|Shown { configuration, map }| Fragment {
            name: name.to_owned(),
            configuration,
            map,
        }))
    }

    async fn switch_servers(
        &self,
        host: &BalancerHost,
        backend: &str,
        to: &[String],
        from: &[String],
    ) -> Result<(), PortError> {
        self.call(host, &["switch", backend, &to.join(","), &from.join(",")]).await.map(drop)
    }

    async fn count_connections(
        &self,
        host: &BalancerHost,
        backend: &str,
        server: &str,
    ) -> Result<u64, PortError> {
        let text = self.call(host, &["count", backend, server]).await?;
        text.trim().parse().map_err(|_| {
            PortError::transient(format!("the balancer {} counts oddly: {text}", host.domain))
        })
    }
}

/// A change as the program on the host reads it: an empty fragment is to go.
fn write_change(Fragment { name, configuration, map }: &Fragment) -> Value {
    if configuration.trim().is_empty() && map.trim().is_empty() {
        return json!({ "name": name });
    }
    json!({ "name": name, "configuration": configuration, "map": map })
}

fn read_json<T: DeserializeOwned>(host: &BalancerHost, text: &str) -> Result<T, PortError> {
    serde_json::from_str(text).map_err(|error| {
        PortError::transient(format!("the balancer {} answers oddly: {error}", host.domain))
    })
}

/// How the program that `install.yml` puts there is called; [`ABSENT`] where it is not there, which
/// `sudo` would not tell.
fn find_program(address: &Address) -> String {
    match (address.may_become_root, address.ssh_user.as_str()) {
        (false, _) => "\"$HOME\"/ocim-balancer/ocim-haproxy".into(),
        (true, "root") => ROOT_PROGRAM.into(),
        (true, _) => through_sudo(ROOT_PROGRAM),
    }
}

fn through_sudo(program: &str) -> String {
    format!("sudo -n sh -c 'test -x {program} || exit {ABSENT}; exec {program} \"$@\"' sh")
}

fn unprepared(domain: &str) -> PortError {
    PortError::permanent(
        ErrorCode::BalancerUnprepared,
        format!("{domain} is not prepared as a balancer: see `ocim balancer prepare`"),
    )
}

fn quote(argument: &str) -> String {
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// The playbook prints the program's lines as a JSON array, one element a line.
fn read_play_answer(output: &[OutputLine]) -> Answer {
    let texts = output.iter().filter_map(|line| {
        serde_json::from_str::<String>(line.text.trim().trim_end_matches(',')).ok()
    });
    let mut answer = Answer { words: Vec::new(), status: None };
    let mut unasked = Vec::new();
    for text in texts {
        if let Some(words) = text.strip_prefix(WORDS) {
            answer.words.push(words.to_owned());
        } else if let Some(status) = text.strip_prefix(STATUS) {
            answer.status = Some(status.to_owned());
        } else {
            unasked.push(text);
        }
    }
    // A defect of the program itself: what Python says of it stands there without our prefix.
    if answer.words.is_empty() {
        answer.words = unasked.split_off(unasked.len().saturating_sub(LAST_LINES));
    }
    answer
}

fn read_shell_answer(output: &str) -> Answer {
    let mut answer = Answer { words: Vec::new(), status: None };
    for line in output.lines() {
        match line.strip_prefix(STATUS) {
            Some(status) => answer.status = Some(status.trim().to_owned()),
            None => answer.words.push(line.strip_prefix(WORDS).unwrap_or(line).to_owned()),
        }
    }
    answer
}

fn explain_failure(domain: &str, state: &RunState, output: &[OutputLine]) -> PortError {
    let answer = read_play_answer(output);
    let words = answer.words.join("\n");
    let (RunState::Exited(status) | RunState::Failed { status, .. }) = state else {
        return explain_break(domain, state);
    };
    match answer.status.as_deref() {
        Some(status) => explain_status(domain, status, &words),
        None => {
            let lines: Vec<&str> = output.iter().map(|line| line.text.as_str()).collect();
            let told: Vec<&str> = lines
                .iter()
                .filter(|line| line.contains("FAILED!") || line.contains("UNREACHABLE!"))
                .copied()
                .collect();
            let shown = if told.is_empty() { lines } else { told };
            let last = shown[shown.len().saturating_sub(LAST_LINES)..].join("\n");
            PortError::transient(format!("Ansible ended with {status} on {domain}:\n{last}"))
        }
    }
}

/// What it means that the program on the host said no.
fn explain_status(domain: &str, status: &str, words: &str) -> PortError {
    match status {
        REFUSED => PortError::permanent(
            ErrorCode::BalancerRefusedConfiguration,
            format!("HAProxy on {domain} refuses the configuration, nothing has changed:\n{words}"),
        ),
        ABSENT => unprepared(domain),
        // One that is older than we are.
        _ if words.contains(UNKNOWN_COMMAND) => unprepared(domain),
        _ => PortError::transient(format!(
            "what keeps the balancer {domain} ended with status {status}, and says:\n{words}"
        )),
    }
}

/// A play that did not come to an end of its own.
fn explain_break(domain: &str, state: &RunState) -> PortError {
    match state {
        RunState::Unmatched => PortError::permanent(
            ErrorCode::NoHostsMatched,
            format!("the playbook for {domain} found no host"),
        ),
        RunState::TimedOut(reason) => {
            PortError::transient(format!("the playbook for {domain} was ended: {reason}"))
        }
        _ => {
            let text = format!("the playbook for {domain} is gone without a trace");
            PortError::new(Class::Ambiguous, text).blamed_on(Blame::Other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<OutputLine> {
        text.lines().map(|line| OutputLine::new(false, line)).collect()
    }

    #[test]
    fn a_refusal_carries_the_words_of_haproxy() {
        let output = lines(
            "TASK [What HAProxy says] ***\nok: [127.0.0.1] => {\n    \"msg\": [\n        \
             \"haproxy: [ALERT] unknown keyword 'foo' in \\\"x\\\"\",\n        \
             \"haproxy-status: 2\"\n    ]\n}\nfatal: [127.0.0.1]: FAILED! => {}",
        );
        let error = explain_failure("b.example.org", &RunState::Exited(2), &output);
        assert_eq!(error.class, Class::Permanent);
        assert!(error.message.contains("[ALERT] unknown keyword 'foo' in \"x\""), "{error}");
    }

    #[test]
    fn a_failure_of_ansible_itself_may_go_better_later() {
        let output = lines("PLAY [x]\nfatal: [127.0.0.1]: UNREACHABLE! => {\"msg\": \"no\"}\nend");
        let error = explain_failure("b.example.org", &RunState::Exited(4), &output);
        assert_eq!(error.class, Class::Transient);
        assert!(error.message.ends_with("UNREACHABLE! => {\"msg\": \"no\"}"), "{error}");
    }

    #[test]
    fn a_defect_of_the_program_is_told_in_its_own_words_and_with_its_status() {
        let output = lines(
            "    \"msg\": [\n        \"Traceback (most recent call last):\",\n        \
             \"ValueError: no number\",\n        \"haproxy-status: 1\"\n    ]",
        );
        let error = explain_failure("b.example.org", &RunState::Exited(2), &output);
        assert!(error.message.ends_with("ValueError: no number"), "{error}");
        assert!(error.message.contains("status 1"), "{error}");
        let silent = explain_failure(
            "b.example.org",
            &RunState::Exited(2),
            &lines("\"haproxy-status: -9\""),
        );
        assert!(silent.message.contains("status -9"), "{silent}");
    }

    #[test]
    fn each_way_to_fail_is_charged_to_whom_it_belongs() {
        let refused = "\"haproxy: [ALERT] no\",\n\"haproxy-status: 2\"";
        let broken = "\"haproxy: no room\",\n\"haproxy-status: 1\"";
        let cases = [
            (RunState::Exited(2), refused, Class::Permanent, Blame::Caller),
            (RunState::Exited(2), broken, Class::Transient, Blame::Provider),
            (RunState::Exited(4), "UNREACHABLE!", Class::Transient, Blame::Provider),
            (RunState::TimedOut("late".into()), "", Class::Transient, Blame::Provider),
            (RunState::Unmatched, "", Class::Permanent, Blame::Caller),
            (RunState::Lost, "", Class::Ambiguous, Blame::Other),
        ];
        for (state, output, class, blame) in cases {
            let error = explain_failure("b.example.org", &state, &lines(output));
            assert_eq!((error.class, error.blame), (class, blame), "{state:?} {output}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_or_too_old_is_put_there() {
        for (status, words) in [("127", ""), ("1", "Traceback …\nKeyError: 'change'")] {
            let error = explain_status("b.example.org", status, words);
            assert_eq!(error.code, Some(ErrorCode::BalancerUnprepared), "{status}");
        }
    }

    /// The exit status and the words of a call through a `sudo` that does as it is told, or refuses.
    fn call_through_sudo(program: &str, refuses: bool) -> (Option<i32>, String) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("tool", "#!/bin/sh\nfor word in \"$@\"; do echo \"<$word>\"; done\n");
        let refusal = "echo sudo: a password is required >&2; exit 1";
        let obedience = "[ \"$1\" = -n ] || exit 9; shift; exec \"$@\"";
        write("sudo", &format!("#!/bin/sh\n{}\n", if refuses { refusal } else { obedience }));
        let program = folder.path().join(program).display().to_string();
        let called =
            format!("{} {} {}", through_sudo(&program), quote("apply"), quote("it's $HOME"));
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(called).env_clear();
        shell.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        let output = shell.output().unwrap();
        let words = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(words).unwrap())
    }

    #[test]
    fn an_ordinary_user_becomes_root_to_call_the_program_and_learns_where_there_is_none() {
        let (status, words) = call_through_sudo("tool", false);
        assert_eq!((status, words.as_str()), (Some(0), "<apply>\n<it's $HOME>\n"));
        let (status, words) = call_through_sudo("none", false);
        assert_eq!(
            (status.map(|it| it.to_string()).as_deref(), words.as_str()),
            (Some(ABSENT), "")
        );
        let (status, words) = call_through_sudo("tool", true);
        assert_eq!((status, words.as_str()), (Some(1), "sudo: a password is required\n"));
        let user = |name: &str, may_become_root| Address {
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            ssh_port: 22,
            http_port: 80,
            ssh_user: name.to_owned(),
            may_become_root,
        };
        assert!(find_program(&user("ubuntu", true)).starts_with("sudo -n "));
        assert_eq!(find_program(&user("root", true)), ROOT_PROGRAM);
        assert!(!find_program(&user("ubuntu", false)).contains("sudo"));
    }

    #[test]
    fn names_cannot_become_shell() {
        assert_eq!(quote("a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
    }
}
