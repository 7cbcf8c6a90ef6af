//! The programs that Ocim calls: each is run, not only looked for.

use super::{Fault, Finding, fault};
use crate::config::{CloudConfig, Config};
use crate::embedded_postgres;
use ocim_adapters::cloud::local::missing_programs;
use ocim_adapters::program::{Program, ProgramError};
use ocim_domain::error_chain::chain;
use std::time::Duration;

/// Longest run of a program that only says who it is.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A program, how it is asked who it is, the Debian package that brings it, and what its answer
/// holds: some say it with an exit status other than 0.
struct Known {
    name: &'static str,
    question: &'static [&'static str],
    package: &'static str,
    answer: &'static str,
}

const PROGRAMS: &[Known] = &[
    Known { name: "git", question: &["--version"], package: "git", answer: "git version" },
    Known { name: "ssh", question: &["-V"], package: "openssh-client", answer: "OpenSSH" },
    Known {
        name: "ssh-keygen",
        question: &["-?"],
        package: "openssh-client",
        answer: "ssh-keygen",
    },
    Known {
        name: "/usr/sbin/sshd",
        question: &["-V"],
        package: "openssh-server",
        answer: "OpenSSH",
    },
    Known { name: "/usr/sbin/haproxy", question: &["-v"], package: "haproxy", answer: "HAProxy" },
];

/// What makes a virtual environment.
const VENV: &str = "import ensurepip, sys, venv; print('Python', sys.version.split()[0])";

/// Runs each.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![];
    for program in PROGRAMS {
        let short = program.name.rsplit('/').next().unwrap_or(program.name);
        let code = format!("program_{}", short.replace('-', "_"));
        findings.push(Finding::new(code, try_program(program).await));
    }
    findings.push(Finding::new("program_python", try_python(config).await));
    if config.database_url.is_none() {
        let installed = embedded_postgres::find_installed(&config.data_dir).await;
        let installed = installed.map(|major| format!("PostgreSQL {major}"));
        let advice = "install the Debian package postgresql, or set DATABASE_URL";
        let outcome = installed.map_err(|error| fault(chain(&error), advice));
        findings.push(Finding::new("program_postgres", outcome));
    }
    if config.clouds.values().any(|cloud| matches!(cloud, CloudConfig::Local { .. })) {
        findings.push(Finding::new("local_machines", look_for_machines()));
    }
    findings
}

async fn try_program(program: &Known) -> Result<String, Fault> {
    let mut command = Program::new(program.name).of_package(program.package);
    let told = match command.args(program.question).run(TIMEOUT).await {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&said).into_owned()
        }
        Err(ProgramError::Failed { complaint, .. }) => complaint,
        Err(error) => return Err(broken(&chain(&error), program.package)),
    };
    let line = told.lines().find(|line| line.contains(program.answer));
    match line {
        Some(line) => Ok(line.trim().to_owned()),
        None => {
            let said = told.lines().next().unwrap_or("nothing").trim();
            Err(broken(&format!("it runs, but says: {said}"), program.package))
        }
    }
}

fn broken(says: &str, package: &str) -> Fault {
    fault(says, format!("install the Debian package {package} anew"))
}

async fn try_python(config: &Config) -> Result<String, Fault> {
    let path = &config.ansible_python_path;
    let mut command = Program::new(path).of_package("python3");
    command.args(["-I", "-c", VENV]);
    let advice = "install python3 and python3-venv, or set ANSIBLE_PYTHON_PATH";
    match command.run(TIMEOUT).await {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) => Err(fault(format!("{}: {}", path.display(), chain(&error)), advice)),
    }
}

fn look_for_machines() -> Result<String, Fault> {
    match missing_programs().as_slice() {
        [] => Ok("all programs that machines need are there".to_owned()),
        missing => {
            let says = format!("machines need programs that are missing: {}", missing.join(", "));
            Err(fault(says, "install bash, util-linux, openssh-server and openssh-client"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_program_that_is_empty_or_says_something_else_is_not_fine() {
        let missing = Known { name: "no-such", question: &[], package: "nothing", answer: "x" };
        let (says, advice) = try_program(&missing).await.unwrap_err();
        assert!(says.contains("missing") && advice.contains("nothing"), "{says} {advice}");
        let other = Known { name: "echo", question: &["hello"], package: "git", answer: "git" };
        let (says, _) = try_program(&other).await.unwrap_err();
        assert!(says.contains("hello"), "{says}");
        let known = Known { name: "echo", question: &["git 2"], package: "git", answer: "git" };
        assert_eq!(try_program(&known).await.unwrap(), "git 2");
    }

    #[tokio::test]
    async fn a_python_that_can_make_no_environment_is_not_fine() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("python");
        std::fs::write(&fake, "").unwrap();
        let mut config = Config::load(&std::collections::BTreeMap::new()).unwrap();
        config.ansible_python_path = fake.clone();
        assert!(try_python(&config).await.is_err(), "it may not be executed");
        std::fs::write(&fake, "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(try_python(&config).await.is_err(), "it has no venv");
    }
}
