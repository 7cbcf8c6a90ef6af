//! The wrapper of a run by itself: what it tells Ansible, and when it lets go.

use crate::private_sshd::wait_for;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A run's folder with the wrapper, and a working folder beside it.
struct Wrapped {
    folder: TempDir,
}

impl Wrapped {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("a run ").tempdir().unwrap();
        for name in ["run", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let wrapper = include_str!("../../../adapters/src/playbooks/ansible/wrapper.py");
        std::fs::write(folder.path().join("run/wrapper.py"), wrapper).unwrap();
        std::fs::write(folder.path().join("run/variables.json"), "{}").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a shell command printed, once the wrapper has let go of it.
    fn run(&self, command: &str) -> Vec<String> {
        self.start(command);
        self.await_end()
    }

    fn start(&self, command: &str) {
        let mut wrapper = Command::new("/usr/bin/python3");
        wrapper.arg("-I").arg(self.path("run/wrapper.py")).arg(self.path("run"));
        wrapper.arg(self.path("control")).arg(self.path("work")).args(["sh", "-c", command]);
        wrapper.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path("work"));
        // Its own: whatever bears the key ends with the run.
        wrapper.env("OCIM_RUN_KEY", self.folder.path().file_name().unwrap());
        assert!(wrapper.status().unwrap().success());
    }

    fn await_end(&self) -> Vec<String> {
        wait_for("the end of the run", || self.path("run/exit").exists());
        let output = std::fs::read_to_string(self.path("run/output")).unwrap();
        // Each line begins with where it came from and when.
        let texts = output.lines().filter_map(|line| line.split_once(' '));
        texts.map(|(_, text)| text.to_owned()).collect()
    }
}

#[test]
fn a_sources_own_configuration_holds() {
    let wrapped = Wrapped::new();
    let configuration = "[defaults]\ntimeout = 7\ncallback_plugins = ./mine:/theirs\n\
                         [ssh_connection]\npipelining = False\n\
                         ssh_args = -o ServerAliveInterval=17 -o ControlPersist=no ; why\n";
    std::fs::write(wrapped.path("work/ansible.cfg"), configuration).unwrap();
    let lines = wrapped.run("env");
    let find = |name: &str| {
        let mut values = lines.iter().filter_map(|line| line.strip_prefix(&format!("{name}=")));
        values.next().map(str::to_owned)
    };
    assert_eq!((find("ANSIBLE_TIMEOUT"), find("ANSIBLE_PIPELINING")), (None, None));
    let ssh_args = find("ANSIBLE_SSH_ARGS").unwrap();
    assert!(ssh_args.ends_with(" -o ServerAliveInterval=17 -o ControlPersist=no"), "{ssh_args}");
    assert!(ssh_args.starts_with("-o ControlMaster=auto"), "ours come first: {ssh_args}");
    let plugins = find("ANSIBLE_CALLBACK_PLUGINS").unwrap();
    let work = wrapped.path("work").display().to_string();
    assert!(plugins.ends_with(&format!("/plays:{work}/./mine:/theirs")), "{plugins}");
}

#[test]
fn what_a_source_does_not_say_is_set() {
    let wrapped = Wrapped::new();
    std::fs::write(wrapped.path("work/ansible.cfg"), "this is no configuration").unwrap();
    let lines = wrapped.run("env");
    for line in ["ANSIBLE_TIMEOUT=30", "ANSIBLE_PIPELINING=1"] {
        assert!(lines.iter().any(|known| known == line), "{line}: {lines:?}");
    }
}

#[test]
fn a_child_that_keeps_printing_is_not_waited_for() {
    let wrapped = Wrapped::new();
    // Without the run's mark it is not ended with the run; it ends when nobody reads any more.
    let noise = "env -i /bin/sh -c 'while echo noise; do /bin/sleep 0.1; done' & echo done; exit 3";
    let lines = wrapped.run(noise);
    assert!(lines.iter().any(|line| line == "done"));
    assert_eq!(std::fs::read_to_string(wrapped.path("run/exit")).unwrap(), "3\n");
}

/// Progress bars of pip, git and Ansible go back to their line's start, and end it at the very end.
#[test]
fn any_byte_is_a_sign_of_life_though_its_line_has_not_ended() {
    let wrapped = Wrapped::new();
    wrapped.start(
        "for step in 1 2 3; do printf \"$step%%\\r\"; until test -e $step; do sleep 0.02; done; done",
    );
    for (step, heard) in [("1", "3"), ("2", "6"), ("3", "9")] {
        let read = || std::fs::read_to_string(wrapped.path("run/heard")).unwrap_or_default();
        wait_for("the next state of the progress bar", || read() == heard);
        assert_eq!(std::fs::read_to_string(wrapped.path("run/output")).unwrap(), "");
        std::fs::write(wrapped.path("work").join(step), "").unwrap();
    }
    assert_eq!(wrapped.await_end(), ["1%\r2%\r3%"]);
}
