//! Logins for repositories over HTTPS, by host: git asks for them, and finds them in a file of its own.

use crate::program::Program;
use ocim_domain::port_error::{Blame, PortError};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Whom to log in as at one host. The password stands in no argument, URL or configuration of git's.
#[derive(Clone, PartialEq, Eq)]
pub struct GitLogin {
    /// The host, with its port where that is not the usual one.
    pub host: String,
    /// The user's name.
    pub user: String,
    /// The password or token, in one line.
    pub password: String,
}

impl std::fmt::Debug for GitLogin {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitLogin").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Lets git find these logins. Their files, which only we can read, lie in `folder`.
pub(super) fn offer_logins(
    command: &mut Program,
    logins: &[GitLogin],
    folder: &Path,
) -> Result<(), PortError> {
    command.env("GIT_CONFIG_COUNT", logins.len().to_string());
    for (index, login) in logins.iter().enumerate() {
        let file = folder.join(index.to_string());
        write_login(login, folder, &file).map_err(|error| {
            let text = format!("{}: {error}", file.display());
            PortError::transient(text).blamed_on(Blame::Other)
        })?;
        let path = file.display().to_string().replace('\'', r"'\''");
        // git also tells helpers what to keep and what to forget.
        let helper = format!("!f() {{ test \"$1\" = get && cat '{path}'; }}; f");
        command.env(
            format!("GIT_CONFIG_KEY_{index}"),
            format!("credential.https://{}.helper", login.host),
        );
        command.env(format!("GIT_CONFIG_VALUE_{index}"), helper);
    }
    Ok(())
}

fn write_login(login: &GitLogin, folder: &Path, file: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let partial = tempfile::NamedTempFile::new_in(folder)?;
    let mut opened = OpenOptions::new().write(true).mode(0o600).open(partial.path())?;
    writeln!(opened, "username={}\npassword={}", login.user, login.password)?;
    partial.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn git_finds_the_login_of_a_host_and_of_no_other() {
        let folder = tempfile::Builder::new().prefix("it's mine ").tempdir().unwrap();
        let logins = [("a.example.com", "one"), ("b.example.com:8443", "two")];
        let logins = logins.map(|(host, password)| {
            let (host, user, password) = (host.into(), "bot".into(), password.into());
            GitLogin { host, user, password }
        });
        let ask = async |protocol: &str, host: &str| {
            let asked = folder.path().join("asked");
            std::fs::write(&asked, format!("protocol={protocol}\nhost={host}\n\n")).unwrap();
            let mut git = Program::new("sh");
            git.args(["-c", "git credential fill <\"$0\""]).arg(&asked);
            git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
            git.env("HOME", folder.path());
            offer_logins(&mut git, &logins, &folder.path().join("logins")).unwrap();
            let answer = git.run_to_end(Duration::from_secs(30)).await.unwrap();
            String::from_utf8(answer.stdout).unwrap()
        };
        let answer = ask("https", "a.example.com").await;
        assert!(answer.contains("username=bot\npassword=one\n"), "{answer}");
        assert!(ask("https", "b.example.com:8443").await.contains("password=two"));
        for (protocol, host) in [("https", "c.example.com"), ("http", "a.example.com")] {
            assert!(!ask(protocol, host).await.contains("password="), "{protocol}://{host}");
        }
        assert!(!format!("{logins:?}").contains("one"));
    }
}
