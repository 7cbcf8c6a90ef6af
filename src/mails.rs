//! Mails that Ocim writes: what they say is made from the log when they are sent, by the texts in `templates`.

pub mod failed_launch;

use minijinja::Environment;
use ocim_adapters::mail::{Attachment, OutgoingMail, domain_of};
use ocim_domain::Timestamp;
use ocim_domain::ids::MailId;
use serde::Serialize;
use std::sync::LazyLock;

/// Most characters of a subject.
const SUBJECT_CHARACTERS_MAX: usize = 200;

/// Who sends mails to whom; from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailSetting {
    /// Who sends them (`SERVER_EMAIL`).
    pub from: String,
    /// Who hears of trouble (`ADMINS`); nobody gets no mail.
    pub admins: Vec<String>,
    /// What subjects begin with (`EMAIL_SUBJECT_PREFIX`).
    pub subject_prefix: String,
}

/// Why a mail can't be written: one of our own texts is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the mail's text can't be made")]
pub struct TextError(#[from] minijinja::Error);

macro_rules! templates {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

/// Every text; those that end with `html` are escaped by it.
const TEMPLATES: &[(&str, &str)] =
    templates!["failed_launch.subject.txt", "failed_launch.txt", "failed_launch.html"];

static TEXTS: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
});

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    subject: String,
    text: String,
    html: String,
    attachment: Option<Attachment>,
}

/// Writes the mail of this kind about these facts.
///
/// # Errors
/// [`TextError`] for a defect of our own.
pub fn write(
    kind: &str,
    facts: &impl Serialize,
    attachment: Option<Attachment>,
) -> Result<Written, TextError> {
    let texts = match &*TEXTS {
        Ok(texts) => texts,
        // The error itself can't leave its place.
        Err(error) => {
            return Err(minijinja::Error::new(error.kind(), error.to_string()).into());
        }
    };
    let facts = minijinja::Value::from(minijinja::value::Serde(facts));
    let render = |part: &str| {
        Ok::<_, TextError>(texts.get_template(&format!("{kind}.{part}"))?.render(&facts)?)
    };
    let subject = render("subject.txt")?;
    let subject: Vec<_> = subject.split_whitespace().collect();
    let subject = subject.join(" ").chars().take(SUBJECT_CHARACTERS_MAX).collect();
    Ok(Written { subject, text: render("txt")?, html: render("html")?, attachment })
}

impl Written {
    /// As it leaves, with the id that it has at each attempt.
    #[must_use]
    pub fn addressed(self, id: MailId, setting: &MailSetting, date: Timestamp) -> OutgoingMail {
        let domain = domain_of(&setting.from).unwrap_or_else(|| "localhost".to_owned());
        OutgoingMail {
            message_id: format!("{}@{domain}", id.0),
            from: setting.from.clone(),
            to: setting.admins.clone(),
            subject: self.subject,
            text: self.text,
            html: self.html,
            attachment: self.attachment,
            date,
            is_overdue: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_people_write_is_text_in_html_and_one_line_in_a_subject() {
        let facts = json!({
            "prefix": "[Ocim] ", "number": 2, "name": "<b>\r\nBcc: all@example.com", "domain": "d",
            "reason": "it's <broken>", "excerpt": ["<script>"],
        });
        let written = write("failed_launch", &facts, None).unwrap();
        assert_eq!(
            written.subject,
            "[Ocim] AppServer 2 (<b> Bcc: all@example.com) failed to provision"
        );
        assert!(written.text.contains("it's <broken>") && written.text.contains("<script>"));
        assert!(!written.html.contains("<script>") && written.html.contains("&lt;script&gt;"));
        let long = json!({ "number": 2, "name": "x".repeat(10_000) });
        let written = write("failed_launch", &long, None).unwrap();
        assert_eq!(written.subject.chars().count(), SUBJECT_CHARACTERS_MAX);
    }

    #[test]
    fn a_kind_without_texts_is_a_defect_that_is_told() {
        let error = write("nothing", &json!({}), None).unwrap_err();
        assert!(ocim_domain::error_chain::chain(&error).contains("nothing.subject.txt"));
    }
}
