//! Mail by SMTP, against a real mail server: what comes through, who is refused, and what a break means.
//!
//! The server is pinned in `tests/mail`, and `scripts/setup.sh` installs it.

use ocim_adapters::mail::smtp::{SmtpConfig, SmtpLogin, SmtpMailer};
use ocim_adapters::mail::{Attachment, Mailer, OutgoingMail};
use ocim_domain::Timestamp;
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::saga::ErrorCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A mail server with a folder of its own. It ends with this value.
struct Sink {
    port: u16,
    folder: TempDir,
    _server: Child,
}

/// Where `scripts/setup.sh` installs it.
fn python() -> PathBuf {
    let given = std::env::vars_os().find(|(name, _)| name == "MAIL_SINK_DIR");
    let folder = given.map(|(_, folder)| PathBuf::from(folder));
    let folder = folder.expect("MAIL_SINK_DIR: run by `make test`, or source scripts/env.sh");
    let python = folder.join("bin/python");
    assert!(python.exists(), "{}: run scripts/setup.sh --tests", folder.display());
    python
}

impl Sink {
    async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/sink.py");
        let mut server = Command::new(python())
            .arg(script)
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("its port").parse().unwrap();
        Self { port, folder, _server: server }
    }

    fn config(&self) -> SmtpConfig {
        SmtpConfig {
            host: "localhost".to_owned(),
            port: self.port,
            starttls: false,
            ca_file: None,
            login: None,
        }
    }

    /// The mails that it has taken, as they came.
    fn taken(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        files.sort();
        files.into_iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }
}

fn mail(to: &[&str]) -> OutgoingMail {
    OutgoingMail {
        message_id: "5f0c@example.com".to_owned(),
        from: "Ocim <ocim@example.com>".to_owned(),
        to: to.iter().map(|address| (*address).to_owned()).collect(),
        subject: "[Ocim] AppServer 1 (Schön\r\nBcc: all@example.com) failed".to_owned(),
        text: "a line\n.\nafter the dot\n".to_owned(),
        html: "<p>ärgerlich</p>".to_owned(),
        attachment: Some(Attachment {
            name: "launch.log".to_owned(),
            text: format!("{}\n.\r\nQUIT\r\n", "x".repeat(200_000)),
        }),
        date: Timestamp::UNIX_EPOCH,
        is_overdue: false,
    }
}

async fn send(config: SmtpConfig, mail: &OutgoingMail) -> Result<Vec<String>, PortError> {
    let refused = SmtpMailer::new(config).send_mail(mail).await?;
    Ok(refused.into_iter().map(|it| format!("{}: {}", it.address, it.answer)).collect())
}

#[tokio::test]
async fn a_mail_comes_through_as_it_was_meant() {
    let sink = Sink::start(&["plain", "open"]).await;
    let mail = mail(&["Ops <ops@example.com>", "second@example.com"]);
    assert_eq!(send(sink.config(), &mail).await.unwrap(), Vec::<String>::new());
    let [taken] = &sink.taken()[..] else { panic!("{:?}", sink.taken()) };
    let (head, body) = taken.split_once("\r\n\r\n").unwrap();
    let line = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(
        line("X-Envelope"),
        "X-Envelope: ocim@example.com ops@example.com,second@example.com"
    );
    assert_eq!(line("Message-ID"), "Message-ID: <5f0c@example.com>");
    assert_eq!(line("Auto-Submitted"), "Auto-Submitted: auto-generated");
    assert_eq!(line("Bcc"), "", "{head}");
    assert!(line("Subject").contains("=?utf-8?"), "{head}");
    assert!(line("Date").contains("1970"), "{head}");
    // A dot alone ends a mail: those of the text do not.
    assert!(body.contains("a line\r\n.\r\nafter the dot"), "{body}");
    assert!(body.contains("text/html") && body.contains("launch.log"));
    assert!(taken.lines().all(|line| line.len() <= 998) && taken.is_ascii());
}

#[tokio::test]
async fn the_same_mail_sent_twice_has_the_same_id() {
    let sink = Sink::start(&["plain", "open"]).await;
    for _ in 0..2 {
        send(sink.config(), &mail(&["ops@example.com"])).await.unwrap();
    }
    let taken = sink.taken();
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|it| it.contains("Message-ID: <5f0c@example.com>")));
}

#[tokio::test]
async fn who_is_refused_is_told_and_the_others_have_their_mail() {
    let sink = Sink::start(&["plain", "open"]).await;
    let both = mail(&["ops@example.com", "unknown@example.com"]);
    let [refused] = &send(sink.config(), &both).await.unwrap()[..] else { panic!("one is") };
    assert!(refused.starts_with("unknown@example.com: "), "{refused}");
    assert!(refused.contains("550") && refused.contains("no such mailbox"), "{refused}");
    assert!(sink.taken()[0].starts_with("X-Envelope: ocim@example.com ops@example.com\r\n"));
    let error = send(sink.config(), &mail(&["unknown@example.com"])).await.unwrap_err();
    assert_eq!((error.code, error.blame), (Some(ErrorCode::MailRefused), Blame::Caller));
    assert!(error.message.contains("no such mailbox"), "{error}");
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it_and_nobody_has_half_of_a_mail() {
    let sink = Sink::start(&["plain", "open"]).await;
    let mail = mail(&["ops@example.com", "later@example.com"]);
    let error = send(sink.config(), &mail).await.unwrap_err();
    assert!(matches!(error.class, Class::RateLimited(_)), "{error:?}");
    assert!(error.message.contains("greylisted"), "{error}");
    assert_eq!(sink.taken(), Vec::<String>::new());
}

#[tokio::test]
async fn a_mail_that_is_overdue_goes_to_those_whom_the_server_takes_it_for() {
    let sink = Sink::start(&["plain", "open"]).await;
    let overdue = |to| OutgoingMail { is_overdue: true, ..mail(to) };
    let both = overdue(&["ops@example.com", "later@example.com"]);
    let [left] = &send(sink.config(), &both).await.unwrap()[..] else { panic!("one is") };
    assert!(left.starts_with("later@example.com: ") && left.contains("greylisted"), "{left}");
    assert!(sink.taken()[0].starts_with("X-Envelope: ocim@example.com ops@example.com\r\n"));
    // Nobody would have it: it goes on waiting, also beside one who never gets it.
    for to in [&["later@example.com"][..], &["later@example.com", "unknown@example.com"]] {
        let error = send(sink.config(), &overdue(to)).await.unwrap_err();
        assert!(matches!(error.class, Class::RateLimited(_)), "{error:?}");
    }
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn a_sender_or_a_mail_that_is_refused_is_nobodys_outage() {
    let sink = Sink::start(&["plain", "open"]).await;
    let banned =
        OutgoingMail { from: "banned@example.com".to_owned(), ..mail(&["ops@example.com"]) };
    for (mail, told) in [(banned, "not welcome"), (mail(&["full@example.com"]), "is full")] {
        let error = send(sink.config(), &mail).await.unwrap_err();
        assert_eq!((error.code, error.blame), (Some(ErrorCode::MailRefused), Blame::Caller));
        assert!(error.message.contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_line_that_breaks_once_the_mail_is_there_leaves_doubt_and_one_that_is_not_there_none() {
    let sink = Sink::start(&["plain", "open"]).await;
    let error = send(sink.config(), &mail(&["silent@example.com"])).await.unwrap_err();
    assert_eq!((&error.class, error.blame), (&Class::Ambiguous, Blame::Provider), "{error:?}");
    assert_eq!(sink.taken().len(), 1, "it has the mail");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let config = SmtpConfig { port, ..sink.config() };
    let error = send(config, &mail(&["ops@example.com"])).await.unwrap_err();
    assert_eq!((&error.class, error.blame), (&Class::Transient, Blame::Provider), "{error:?}");
}

/// A certificate for `localhost`, and who has signed it.
fn certify(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let mut parameters = CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "ours");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    (
        write("ca.pem", authority.pem()),
        write("server.pem", certificate.pem()),
        write("server.key", key.serialize_pem()),
    )
}

#[tokio::test]
async fn the_line_is_encrypted_and_the_login_known_or_nothing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certify(folder.path());
    let text = |path: &Path| path.display().to_string();
    let sink = Sink::start(&["tls", &text(&certificate), &text(&key), "login"]).await;
    let login =
        |password: &str| Some(SmtpLogin { user: "ocim".to_owned(), password: password.to_owned() });
    let right =
        SmtpConfig { starttls: true, ca_file: Some(ca), login: login("hunter2"), ..sink.config() };
    let mail = mail(&["ops@example.com"]);
    send(right.clone(), &mail).await.unwrap();
    assert_eq!(sink.taken().len(), 1);
    // Whose certificate is not known hears no password.
    let unknown = SmtpConfig { ca_file: None, ..right.clone() };
    let error = send(unknown, &mail).await.unwrap_err();
    assert!(error.message.contains("could not encrypt the line"), "{error}");
    let wrong = SmtpConfig { login: login("hunter3"), ..right.clone() };
    let error = send(wrong, &mail).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MailRefused), "{error}");
    assert!(error.message.contains("EMAIL_HOST_USER") && !error.message.contains("hunter"));
    let plain = SmtpConfig { starttls: false, ..right };
    assert!(send(plain, &mail).await.is_err(), "the server wants the line encrypted");
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn a_server_that_can_not_encrypt_hears_no_password() {
    let sink = Sink::start(&["plain", "open"]).await;
    let login = SmtpLogin { user: "ocim".to_owned(), password: "hunter2".to_owned() };
    let config = SmtpConfig { starttls: true, login: Some(login), ..sink.config() };
    let error = send(config, &mail(&["ops@example.com"])).await.unwrap_err();
    assert!(error.message.contains("could not encrypt the line"), "{error}");
}
