//! A mail server, reached by SMTP.
//!
//! One conversation a mail, and recipients one by one: an address that the server does not know keeps no
//! other from its mail.

use super::{Mailer, OutgoingMail, RefusedRecipient};
use async_trait::async_trait;
use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::make_storable;
use std::path::PathBuf;
use std::time::Duration;

/// The longest that one mail may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The longest that the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// When a server that asks for patience is asked again: what greylists wants minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where the mail server is, and as whom to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether nothing is said before the line is encrypted.
    pub starttls: bool,
    /// A file of certificates that are believed beside those that the computer believes.
    pub ca_file: Option<PathBuf>,
    /// As whom; nobody when none.
    pub login: Option<SmtpLogin>,
}

/// As whom to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The mail server.
#[derive(Debug)]
pub struct SmtpMailer {
    config: SmtpConfig,
}

impl SmtpMailer {
    /// Nothing is asked before there is a mail.
    #[must_use]
    pub fn new(config: SmtpConfig) -> Self {
        Self { config }
    }

    async fn deliver(&self, mail: &OutgoingMail) -> Result<Vec<RefusedRecipient>, PortError> {
        let message = write_message(mail)?;
        let mut connection = self.connect().await?;
        let handed = hand_over(&mut connection, mail, &message).await;
        // The mail is taken or not; whether the goodbye is heard changes nothing.
        connection.abort().await;
        handed
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, PortError> {
        let config = &self.config;
        let hello = ClientId::Domain("localhost".to_owned());
        let server = (config.host.as_str(), config.port);
        let connected =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_TIMEOUT), &hello, None, None);
        let mut connection =
            connected.await.map_err(|error| describe("does not answer", &error))?;
        if config.starttls {
            let tls = self.read_tls().await?;
            let secured = connection.starttls(tls, &hello).await;
            secured.map_err(|error| describe("could not encrypt the line", &error))?;
        }
        if let Some(login) = &config.login {
            let credentials = Credentials::new(login.user.clone(), login.password.clone());
            let known = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            known.map_err(|error| describe("refuses the login of EMAIL_HOST_USER", &error))?;
        }
        Ok(connection)
    }

    async fn read_tls(&self) -> Result<TlsParameters, PortError> {
        let mut builder = TlsParameters::builder(self.config.host.clone());
        if let Some(path) = &self.config.ca_file {
            let unreadable = |error: &dyn std::error::Error| {
                let message = format!("OCIM_EMAIL_CA_FILE can't be read: {error}");
                PortError::transient(message).blamed_on(Blame::Other)
            };
            let pem = tokio::fs::read(path).await.map_err(|error| unreadable(&error))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build().map_err(|error| describe("could not encrypt the line", &error))
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send_mail(&self, mail: &OutgoingMail) -> Result<Vec<RefusedRecipient>, PortError> {
        let timeout = |_| PortError::new(Class::Ambiguous, "the mail server took too long");
        tokio::time::timeout(TIMEOUT, self.deliver(mail)).await.map_err(timeout)?
    }
}

async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    mail: &OutgoingMail,
    message: &[u8],
) -> Result<Vec<RefusedRecipient>, PortError> {
    let sender = connection.command(Mail::new(Some(read_mailbox(&mail.from)?.email), vec![])).await;
    sender.map_err(|error| describe("refuses the sender", &error))?;
    let mut refused = vec![];
    let mut patience = None;
    for address in &mail.to {
        let recipient = read_mailbox(address)?.email;
        let Err(error) = connection.command(Rcpt::new(recipient, vec![])).await else { continue };
        if !error.is_permanent() {
            let later = describe("does not take a recipient yet", &error);
            // Nobody has the mail yet: all of them get it later, once.
            if !(mail.is_overdue && error.is_transient()) {
                return Err(later);
            }
            patience.get_or_insert(later);
        }
        let answer = make_storable(&tell(&error)).into_owned();
        refused.push(RefusedRecipient { address: address.clone(), answer });
    }
    if refused.len() == mail.to.len() {
        if let Some(later) = patience {
            return Err(later);
        }
        let answers: Vec<_> = refused.iter().map(|it| it.answer.as_str()).collect();
        let message = format!("the mail server refuses all recipients: {}", answers.join("; "));
        return Err(PortError::permanent(ErrorCode::MailRefused, message));
    }
    connection.command(Data).await.map_err(|error| describe("refuses the mail", &error))?;
    match connection.message(message).await {
        Ok(_) => Ok(refused),
        Err(error) if error.is_permanent() || error.is_transient() => {
            Err(describe("refuses the mail", &error))
        }
        Err(error) => {
            let message = format!("the mail server did not answer to a mail: {}", tell(&error));
            Err(PortError::new(Class::Ambiguous, message))
        }
    }
}

/// What an error means: a server that says no is well, and one that asks for patience, too.
fn describe(what: &str, error: &Error) -> PortError {
    let message = format!("the mail server {what}: {}", tell(error));
    if error.is_permanent() {
        PortError::permanent(ErrorCode::MailRefused, message)
    } else if error.is_transient() {
        PortError::new(Class::RateLimited(PATIENCE), message)
    } else {
        PortError::transient(message)
    }
}

fn tell(error: &Error) -> String {
    ocim_domain::error_chain::chain(error)
}

fn read_mailbox(text: &str) -> Result<Mailbox, PortError> {
    text.parse().map_err(|_| {
        let message = format!("`{text}` is no address of mail");
        PortError::permanent(ErrorCode::MailRefused, message)
    })
}

/// The mail as the line carries it: 7 bits, lines of a length that every server takes.
fn write_message(mail: &OutgoingMail) -> Result<Vec<u8>, PortError> {
    let plain = SinglePart::plain(mail.text.clone());
    let rich = SinglePart::html(mail.html.clone());
    let body = MultiPart::alternative().singlepart(plain).singlepart(rich);
    let body = match &mail.attachment {
        None => body,
        Some(attachment) => {
            let file = Attachment::new(attachment.name.clone());
            let file = file.body(attachment.text.clone(), ContentType::TEXT_PLAIN);
            MultiPart::mixed().multipart(body).singlepart(file)
        }
    };
    let mut builder = Message::builder()
        .from(read_mailbox(&mail.from)?)
        .subject(one_line(&mail.subject))
        .date(mail.date.into())
        .message_id(Some(format!("<{}>", one_line(&mail.message_id))));
    for address in &mail.to {
        builder = builder.to(read_mailbox(address)?);
    }
    // Nobody's absence notice answers it.
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    let builder = builder.raw_header(HeaderValue::new(name, "auto-generated".to_owned()));
    let message = builder.multipart(body).map_err(|error| {
        let message =
            format!("a mail can't be written: {}", ocim_domain::error_chain::chain(&error));
        PortError::permanent(ErrorCode::MailRefused, message)
    })?;
    Ok(message.formatted())
}

/// What can't begin another header.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> OutgoingMail {
        OutgoingMail {
            message_id: "7f@example.com".to_owned(),
            from: "Ocim <ocim@example.com>".to_owned(),
            to: vec!["Ops <ops@example.com>".to_owned(), "second@example.com".to_owned()],
            subject: "évil\r\nBcc: all@example.com\r\n\r\nbody".to_owned(),
            text: format!("a line\r\n.\r\nMAIL FROM:<x@y>\n{}é", "x".repeat(5_000)),
            html: "<p>a</p>".to_owned(),
            attachment: Some(super::super::Attachment {
                name: "launch.log".to_owned(),
                text: format!("{}\n", "y".repeat(10_000)),
            }),
            date: ocim_domain::Timestamp::UNIX_EPOCH,
            is_overdue: false,
        }
    }

    #[test]
    fn nothing_in_a_mail_begins_a_header_or_breaks_a_line() {
        let message = String::from_utf8(write_message(&hostile()).unwrap()).unwrap();
        assert!(message.is_ascii());
        let (head, _) = message.split_once("\r\n\r\n").unwrap();
        let starts = |name: &str| head.lines().any(|line| line.to_lowercase().starts_with(name));
        assert!(starts("subject:") && starts("message-id: <7f@example.com>"), "{head}");
        assert!(starts("auto-submitted: auto-generated") && !starts("bcc:"), "{head}");
        assert!(message.lines().all(|line| line.len() <= 998), "a line is too long");
        assert!(message.contains("launch.log"));
    }

    #[test]
    fn a_mail_is_written_the_same_but_for_what_parts_it() {
        let strip = |mail| {
            let text = String::from_utf8(write_message(&mail).unwrap()).unwrap();
            text.lines()
                .filter(|line| !line.contains("--") && !line.contains("boundary"))
                .collect::<String>()
        };
        assert_eq!(strip(hostile()), strip(hostile()));
    }

    #[test]
    fn a_login_is_not_shown() {
        let login = SmtpLogin { user: "u".to_owned(), password: "hunter2".to_owned() };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
