//! Mail: the server that takes it, who sends it, and who hears of trouble.

use super::reader::Reader;
use super::{PORT_RULE, Secret};
use ocim_adapters::mail::{is_mailbox, mailbox};
use serde_json::Value;
use std::path::PathBuf;

/// Most people that hear of trouble.
const ADMINS_MAX: usize = 50;

/// The mails that Ocim sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    /// `EMAIL_BACKEND`: `smtp` sends mail, `console`, `dummy` and `locmem` send none; as does
    /// `django.core.mail.backends.smtp.EmailBackend` and its like. `console`.
    pub backend: MailBackend,
    /// `EMAIL_HOST`: the mail server. `localhost`.
    pub host: String,
    /// `EMAIL_PORT`: its port. `25`.
    pub port: u16,
    /// `EMAIL_USE_TLS`: whether the line is encrypted by STARTTLS before anything is said. `false`.
    pub use_tls: bool,
    /// `EMAIL_HOST_USER`: as whom to log in; blank for nobody. Blank.
    pub host_user: String,
    /// `EMAIL_HOST_PASSWORD`: with which password. Blank.
    pub host_password: Option<Secret>,
    /// `OCIM_EMAIL_CA_FILE`: certificates (PEM) that are believed beside those that the computer believes,
    /// absolute. None.
    pub ca_file: Option<PathBuf>,
    /// `SERVER_EMAIL`: who writes to administrators. `opencraft@localhost` (the original said
    /// `opencraft@locahost`).
    pub server_email: String,
    /// `EMAIL_SUBJECT_PREFIX`: what subjects to administrators begin with, at most 100 characters.
    /// `[OpenCraft] `.
    pub subject_prefix: String,
    /// `ADMINS`: who hears of trouble, as JSON: `[["Name", "name@example.com"]]`, at most 50. None.
    pub admins: Vec<String>,
}

/// What becomes of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailBackend {
    /// They are sent.
    Smtp,
    /// There are none.
    Unsent,
}

impl MailConfig {
    /// Who hears of trouble: nobody where no mail is sent.
    #[must_use]
    pub fn hearers(&self) -> &[String] {
        match self.backend {
            MailBackend::Smtp => &self.admins,
            MailBackend::Unsent => &[],
        }
    }

    /// What is unwise about it.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let is_mute = self.backend == MailBackend::Unsent && !self.admins.is_empty();
        is_mute.then(|| {
            "EMAIL_BACKEND sends no mail: those whom ADMINS names hear of nothing; set it to smtp"
                .to_owned()
        })
    }
}

pub(super) fn read_mail(r: &mut Reader<'_>) -> MailConfig {
    MailConfig {
        backend: read_backend(r),
        host: r.text("EMAIL_HOST", "localhost", 253),
        port: r.parsed("EMAIL_PORT", PORT_RULE).unwrap_or(25),
        use_tls: r.boolean("EMAIL_USE_TLS", false),
        host_user: r.text("EMAIL_HOST_USER", "", 256),
        host_password: r.secret("EMAIL_HOST_PASSWORD"),
        ca_file: r.path("OCIM_EMAIL_CA_FILE"),
        server_email: read_server_email(r),
        subject_prefix: r.untrimmed("EMAIL_SUBJECT_PREFIX", "[OpenCraft] ", 100),
        admins: read_admins(r),
    }
}

/// The original's frameworks named a class.
fn read_backend(r: &mut Reader<'_>) -> MailBackend {
    let name = r.text("EMAIL_BACKEND", "console", 200);
    let short = name.strip_prefix("django.core.mail.backends.");
    let short = short.and_then(|rest| rest.strip_suffix(".EmailBackend")).unwrap_or(&name);
    match short {
        "smtp" => MailBackend::Smtp,
        "console" | "dummy" | "locmem" => MailBackend::Unsent,
        _ => {
            r.refuse("EMAIL_BACKEND", "must be smtp or console, or the original's name of either");
            MailBackend::Unsent
        }
    }
}

fn read_server_email(r: &mut Reader<'_>) -> String {
    let address = r.text("SERVER_EMAIL", "opencraft@localhost", 320);
    if !is_mailbox(&address) {
        let rule = "must be an address such as ocim@example.com, or Ocim <ocim@example.com>";
        r.refuse("SERVER_EMAIL", rule);
    }
    address
}

fn read_admins(r: &mut Reader<'_>) -> Vec<String> {
    let rule = "must be JSON like [[\"Name\", \"name@example.com\"]], of at most 50";
    let read = |entry: &Value| {
        let pair = entry.as_array().filter(|pair| pair.len() == 2)?;
        mailbox(pair[0].as_str()?, pair[1].as_str()?)
    };
    let Some(value) = r.parsed::<Value>("ADMINS", rule) else { return vec![] };
    let entries = value.as_array().filter(|list| list.len() <= ADMINS_MAX);
    let admins: Option<Vec<_>> = entries.and_then(|list| list.iter().map(read).collect());
    admins.unwrap_or_else(|| {
        r.refuse("ADMINS", rule);
        vec![]
    })
}
