//! What failures of git and pip mean: whose they are, and whether a later try may go better.

use super::tools::TellPort;
use crate::program::ProgramError;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;

/// git's words where no later try can go better: the name, the login or the commit is wrong.
/// Whatever it says else is taken for trouble of the repository's host.
const GIT_REFUSALS: [&str; 17] = [
    "repository not found",
    "' not found",
    "' does not exist",
    "does not appear to be a git repository",
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied (",
    "access denied",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
    "host key verification failed",
    "certificate problem",
    "' not allowed",
    "unable to find remote helper",
    "not our ref",
];

/// What stands in pip's words where the way to the packages is broken, or this machine is. Whatever
/// it says else is an answer to the requirements.
const PIP_OUTAGES: [&str; 16] = [
    "connection broken",
    "max retries exceeded",
    "timed out",
    "connection reset",
    "connection refused",
    "connection aborted",
    "remote end closed",
    "incompleteread",
    "temporary failure in name resolution",
    "name or service not known",
    "network is unreachable",
    "no route to host",
    "proxyerror",
    "server error:",
    "too many requests",
    "no space left on device",
];

/// For the port: git failed on the repository, which is `whose`.
pub(super) fn judge_git(error: &ProgramError, whose: Blame) -> PortError {
    let text = super::sources::hide_credentials(&error.sentence("git"));
    let said = text.to_lowercase();
    match error {
        ProgramError::Failed { .. } if has_any(&said, &GIT_REFUSALS) => {
            PortError::permanent(ErrorCode::PlaybookNotFound, text)
        }
        ProgramError::Failed { .. } | ProgramError::TimedOut { .. } => {
            PortError::transient(text).blamed_on(whose)
        }
        ProgramError::Missing { .. }
        | ProgramError::NotStarted { .. }
        | ProgramError::TooMuchOutput { .. } => PortError::transient(text).blamed_on(Blame::Other),
    }
}

/// For the port: pip failed on what a source wants to be installed. That is never the source's
/// host's failure.
pub(super) fn judge_pip(error: &ProgramError) -> PortError {
    let text =
        super::sources::hide_credentials(&error.sentence("pip cannot install the requirements"));
    let said = text.to_lowercase();
    if said.contains("no such option: --dry-run") || said.contains("no such option: --report") {
        let hint = "its pip is older than 22.2: name a newer Python in ANSIBLE_PYTHON_PATH";
        return PortError::permanent(ErrorCode::ProgramMissing, format!("{text}\n{hint}"));
    }
    match error {
        ProgramError::Failed { .. } if !has_any(&said, &PIP_OUTAGES) => {
            PortError::permanent(ErrorCode::RequirementsNotInstallable, text)
        }
        _ => PortError::transient(text).blamed_on(Blame::Other),
    }
}

fn has_any(said: &str, words: &[&str]) -> bool {
    words.iter().any(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::port_error::Class;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    fn timed_out() -> ProgramError {
        ProgramError::TimedOut { program: "git".to_owned(), after: Duration::from_secs(9) }
    }

    fn failed(text: &str) -> ProgramError {
        let (program, complaint) = ("git".to_owned(), text.to_owned());
        ProgramError::Failed { program, status: ExitStatus::from_raw(256), complaint }
    }

    #[test]
    fn gits_answers_are_told_from_outages() {
        let refusals = [
            "remote: Repository not found.\nfatal: repository 'https://h/x.git/' not found",
            "fatal: repository '/srv/none' does not exist",
            "fatal: '/srv/none' does not appear to be a git repository",
            "fatal: Authentication failed for 'https://h/x.git/'",
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 403",
            "Host key verification failed.\nfatal: Could not read from remote repository.",
            "fatal: unable to access 'https://h/': SSL certificate problem: certificate has expired",
            "fatal: transport 'ext' not allowed",
            "git: 'remote-foo' is not a git command.\nfatal: unable to find remote helper for 'foo'",
            "error: Server does not allow request for unadvertised object; upload-pack: not our ref",
        ];
        for text in refusals {
            let error = judge_git(&failed(text), Blame::Provider);
            assert_eq!((error.class, error.blame), (Class::Permanent, Blame::Caller), "{text}");
        }
        let outages = [
            "fatal: unable to access 'https://h/x/': Could not resolve host: h",
            "fatal: unable to connect to h: h[0: 10.0.0.1]: errno=Connection refused",
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 503",
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 429",
            "ssh: connect to host h port 22: Connection timed out\nfatal: Could not read from remote",
            "error: RPC failed; curl 56 Recv failure: Connection reset by peer\nfatal: early EOF",
            "exit status: 128",
        ];
        for text in outages {
            let error = judge_git(&failed(text), Blame::Provider);
            assert_eq!((error.class, error.blame), (Class::Transient, Blame::Provider), "{text}");
            // The same words about a submodule, which one site's content names.
            assert_eq!(judge_git(&failed(text), Blame::Caller).blame, Blame::Caller, "{text}");
        }
        let late = timed_out();
        assert_eq!(judge_git(&late, Blame::Provider).blame, Blame::Provider);
        let missing = ProgramError::Missing { program: "git".to_owned(), package: None };
        assert_eq!(judge_git(&missing, Blame::Provider).blame, Blame::Other);
    }

    #[test]
    fn pips_answers_are_told_from_outages_and_are_never_the_repositorys() {
        let refusals = [
            "ERROR: No matching distribution found for no-such-thing==1.2.3",
            "ERROR: Invalid requirement: 'foo @@ bar' (from line 1 of requirements.txt)",
            "ERROR: Could not open requirements file: [Errno 2] No such file or directory: 'base.in'",
            "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/",
            "error: metadata-generation-failed",
            "error: subprocess-exited-with-error\n python setup.py egg_info did not run",
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
        ];
        for text in refusals {
            let error = judge_pip(&failed(text));
            assert_eq!((error.class, error.blame), (Class::Permanent, Blame::Caller), "{text}");
        }
        let outages = [
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n\
             ERROR: No matching distribution found for ansible-core",
            "ERROR: HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /",
            "ERROR: HTTPSConnectionPool(host='h', port=443): Read timed out.",
            "ERROR: HTTP error 503 while getting https://h/x: 503 Server Error: busy",
            "ERROR: Could not install packages due to an OSError: No space left on device",
        ];
        for text in outages {
            let error = judge_pip(&failed(text));
            assert_eq!((error.class, error.blame), (Class::Transient, Blame::Other), "{text}");
        }
        let late = judge_pip(&timed_out());
        assert_eq!((late.class, late.blame), (Class::Transient, Blame::Other));
    }
}
