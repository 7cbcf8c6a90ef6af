//! The rules of texts, each with its limits.

use crate::configuration::color::parse_color;
use crate::configuration::{is_ansibles_own, secrets, signing_key, yaml};
use crate::event::APPEND_BYTES_MAX;
use crate::hosts::{DOMAIN_LENGTH_MAX, check_domain, check_host};
use serde_json::Value;

/// What a rule says to a text, after the name of the field.
pub(super) type Verdict = Result<(), String>;

/// What a text must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    /// One line of at most so many characters, without template expressions.
    Line(usize),
    /// A branch, tag or commit of at most so many characters.
    Reference(usize),
    /// Something that git can clone.
    RepositoryUrl,
    /// The path of a playbook inside its repository.
    Playbook,
    /// A host name of two parts or more.
    Domain,
    /// An e-mail address.
    Email,
    /// A YAML mapping, or nothing.
    ExtraSettings,
    /// Base64 of 1 to 36 bytes.
    MasterSecret,
    /// An RSA private key in PEM.
    SigningKey,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// What a browser can fetch.
    WebUrl,
    /// `#rgb`, `#rrggbb` or the name of a colour.
    Color,
    /// The name of an account on GitHub.
    GithubName,
    /// How somebody logs in to a site.
    Username,
    /// A password as Django keeps it: `algorithm$…`.
    PasswordHash,
}

impl TextRule {
    /// The rule that the text breaks, as a sentence without its subject. Never quotes a secret.
    ///
    /// # Errors
    /// That sentence.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Line(length_max) => check_line(text, length_max),
            Self::Reference(length_max) => check_reference(text, length_max),
            Self::RepositoryUrl => check_repository_url(text),
            Self::Playbook => check_playbook(text),
            Self::Domain => check_domain(text),
            Self::Email => check_email(text),
            Self::ExtraSettings => check_extra_settings(text),
            Self::MasterSecret => check_secret(text),
            Self::SigningKey => check_signing_key(text),
            Self::OneOf(choices) => check_choice(text, choices),
            Self::WebUrl => check_web_url(text),
            Self::Color => check_color(text),
            Self::GithubName => check_github_name(text),
            Self::Username => check_username(text),
            Self::PasswordHash => check_password_hash(text),
        }
    }

    /// The most characters that may pass.
    #[must_use]
    pub fn length_max(self) -> usize {
        match self {
            Self::Line(length_max) | Self::Reference(length_max) => length_max,
            Self::RepositoryUrl => URL_LENGTH_MAX,
            Self::Playbook => PLAYBOOK_LENGTH_MAX,
            Self::Domain => DOMAIN_LENGTH_MAX,
            Self::Email => EMAIL_LENGTH_MAX,
            Self::ExtraSettings => EXTRA_SETTINGS_BYTES_MAX,
            Self::MasterSecret => SECRET_LENGTH_MAX,
            Self::SigningKey => SIGNING_KEY_LENGTH_MAX,
            Self::OneOf(_) => CHOICE_LENGTH_MAX,
            Self::WebUrl => URL_LENGTH_MAX,
            Self::Color => COLOR_LENGTH_MAX,
            Self::GithubName => GITHUB_NAME_LENGTH_MAX,
            Self::Username => USERNAME_LENGTH_MAX,
            Self::PasswordHash => PASSWORD_HASH_LENGTH_MAX,
        }
    }

    /// What passes, in a few words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Line(_) => "one line",
            Self::Reference(_) => "branch, tag or commit",
            Self::RepositoryUrl => "address that git can clone, without a password",
            Self::Playbook => "path inside the repository",
            Self::Domain => "host name, in letters of any language",
            Self::Email => "e-mail address",
            Self::ExtraSettings => "YAML mapping",
            Self::MasterSecret => "base64",
            Self::SigningKey => "RSA private key in PEM",
            Self::OneOf(_) => "one of these",
            Self::WebUrl => "http or https URL, without a password",
            Self::Color => "`#rgb`, `#rrggbb` or the name of a colour in CSS",
            Self::GithubName => "name of an account on GitHub",
            Self::Username => "letters, digits and `@.+-_`",
            Self::PasswordHash => "password hash of Django",
        }
    }

    /// A pattern (ECMA 262) that all that pass have, where a pattern says something.
    #[must_use]
    pub fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Reference(_) => Some(r"^[^-\s]\S*$"),
            Self::RepositoryUrl => Some(r"^[^-\s]\S*$"),
            Self::Playbook => Some(r"^[^-/]"),
            Self::Email => Some(r"^[^@\s]+@[^@\s]+$"),
            Self::WebUrl => Some(r"^https?://\S+$"),
            Self::GithubName => Some(r"^[A-Za-z0-9]"),
            Self::Username => Some(r"^[A-Za-z0-9@.+_-]+$"),
            Self::PasswordHash => Some(r"^\S+\$\S+$"),
            Self::Line(_)
            | Self::Domain
            | Self::ExtraSettings
            | Self::MasterSecret
            | Self::SigningKey
            | Self::OneOf(_)
            | Self::Color => None,
        }
    }

    /// All that passes, where that is a few texts.
    #[must_use]
    pub fn choices(self) -> Option<&'static [&'static str]> {
        match self {
            Self::OneOf(choices) => Some(choices),
            _ => None,
        }
    }
}

/// Longest address of a repository, in characters (core §1.2).
const URL_LENGTH_MAX: usize = 256;
/// Longest path of a playbook, in characters (core §1.2).
const PLAYBOOK_LENGTH_MAX: usize = 100;
/// Longest master secret, in characters of base64 (core §1.2).
const SECRET_LENGTH_MAX: usize = 48;

/// Longest RSA key in PEM, in characters: 8192 bits have less.
const SIGNING_KEY_LENGTH_MAX: usize = 8192;
/// Longest of the texts to choose from.
const CHOICE_LENGTH_MAX: usize = 32;
/// Longest colour: no name in CSS has more.
const COLOR_LENGTH_MAX: usize = 20;
/// Longest name on GitHub.
const GITHUB_NAME_LENGTH_MAX: usize = 39;
/// Longest name of a user of Django.
const USERNAME_LENGTH_MAX: usize = 150;
/// Longest password hash of Django.
const PASSWORD_HASH_LENGTH_MAX: usize = 128;

/// An RSA private key that tokens can be signed with.
fn check_signing_key(text: &str) -> Verdict {
    if text.len() <= SIGNING_KEY_LENGTH_MAX && signing_key::SigningKey::parse(text).is_some() {
        return Ok(());
    }
    Err("must be an RSA private key in PEM, which begins with `-----BEGIN RSA PRIVATE KEY-----`"
        .to_owned())
}

fn check_choice(text: &str, choices: &[&str]) -> Verdict {
    if choices.contains(&text) {
        return Ok(());
    }
    Err(format!("must be one of `{}`", choices.join("`, `")))
}

/// What a machine can fetch. It is shown and logged, so it must not hold a secret.
fn check_web_url(url: &str) -> Verdict {
    check_line(url, URL_LENGTH_MAX)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if authority.contains('@') {
        return Err("must not hold a user name or password, because it is shown".to_owned());
    }
    if authority.is_empty() || url.contains(char::is_whitespace) {
        return Err("must be a URL like `https://example.com/logo.png`".to_owned());
    }
    Ok(())
}

fn check_color(text: &str) -> Verdict {
    if text.len() <= COLOR_LENGTH_MAX && parse_color(text).is_some() {
        return Ok(());
    }
    Err("must be a colour like `#126f9a`, `#fff` or `teal`".to_owned())
}

/// Letters, digits and single hyphens inside.
fn check_github_name(name: &str) -> Verdict {
    let parts_fit = name
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if parts_fit && name.len() <= GITHUB_NAME_LENGTH_MAX {
        return Ok(());
    }
    Err("must be the name of an account on GitHub, like `octocat`".to_owned())
}

fn check_username(name: &str) -> Verdict {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"@.+-_".contains(&byte);
    if !name.is_empty() && name.len() <= USERNAME_LENGTH_MAX && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!("must be 1 to {USERNAME_LENGTH_MAX} letters, digits and `@.+-_`"))
}

fn check_password_hash(hash: &str) -> Verdict {
    check_line(hash, PASSWORD_HASH_LENGTH_MAX)?;
    let mut parts = hash.split('$');
    let has_parts = parts.by_ref().take(2).filter(|part| !part.is_empty()).count() == 2;
    if has_parts && !hash.contains(char::is_whitespace) {
        return Ok(());
    }
    Err("must be a password hash of Django, like `pbkdf2_sha256$…`".to_owned())
}

/// One line that says something. Playbooks would run what stands between double braces on the
/// machine that Ocim runs on; it has a place in extra settings only.
fn check_line(text: &str, length_max: usize) -> Verdict {
    if text.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    if text.chars().count() > length_max {
        return Err(format!("must have at most {length_max} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    if ["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
        return Err("must not hold template expressions".to_owned());
    }
    Ok(())
}

/// A branch, tag or commit, which git must not take for an option.
fn check_reference(text: &str, length_max: usize) -> Verdict {
    check_line(text, length_max)?;
    if text.starts_with('-') || text.contains(char::is_whitespace) {
        return Err("must be a branch, tag or commit: no white space, no leading hyphen".to_owned());
    }
    Ok(())
}

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_LENGTH_MAX: usize = 254;

fn check_email(email: &str) -> Verdict {
    let is_local = |local: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".!#$&'*+/=?^_~-".contains(&b);
        !local.is_empty() && local.len() <= 64 && local.bytes().all(allowed)
    };
    let is_host = |host: &str| host.eq_ignore_ascii_case("localhost") || check_host(host).is_ok();
    match email.split_once('@') {
        _ if email.chars().count() > EMAIL_LENGTH_MAX => {
            Err(format!("must have at most {EMAIL_LENGTH_MAX} characters"))
        }
        Some((local, host)) if is_local(local) && is_host(host) => Ok(()),
        _ => Err("must be an e-mail address like `name@example.com`".to_owned()),
    }
}

/// Something that git can clone. Its address is shown and logged, so it must not hold a secret.
fn check_repository_url(url: &str) -> Verdict {
    check_line(url, URL_LENGTH_MAX)?;
    let shape = "must be an http, https, ssh, git or file URL, `user@host:path`, an absolute path, \
                 or bundled:NAME";
    if url.contains(char::is_whitespace) {
        return Err(shape.to_owned());
    }
    if url.starts_with('/') {
        return Ok(());
    }
    if let Some(name) = url.strip_prefix("bundled:") {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let fits = !name.is_empty() && name.chars().all(is_name);
        return if fits { Ok(()) } else { Err("has no name after `bundled:`".to_owned()) };
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return if is_scp_address(url) { Ok(()) } else { Err(shape.to_owned()) };
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    match scheme {
        "file" => return if rest.starts_with('/') { Ok(()) } else { Err(shape.to_owned()) },
        "http" | "https" | "git" if !user.is_empty() => {
            return Err(format!(
                "must not hold a user name, password or token, because it is shown and logged: \
                 write `{scheme}://{host}/…`, and give the credential of `{host}` to Ocim in \
                 OCIM_GIT_CREDENTIALS"
            ));
        }
        "ssh" if user.contains(':') => {
            return Err("must not hold a password: SSH logs in by key".to_owned());
        }
        "http" | "https" | "git" | "ssh" => {}
        _ => return Err(shape.to_owned()),
    }
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
        return Err(shape.to_owned());
    }
    Ok(())
}

/// `user@host:path`, which git takes for SSH, as `git@github.com:org/repo.git`. The user must be
/// there, so that nothing like `ext::sh` passes.
fn is_scp_address(url: &str) -> bool {
    let Some((user, rest)) = url.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    let is_user = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_host = host == "localhost" || check_host(host).is_ok();
    let user_fits = !user.is_empty() && !user.starts_with('-') && user.chars().all(is_user);
    user_fits && is_host && !path.is_empty() && !path.starts_with(['-', ':'])
}

fn check_playbook(path: &str) -> Verdict {
    check_line(path, PLAYBOOK_LENGTH_MAX)?;
    if path.starts_with(['/', '-']) || path.split('/').any(|part| part == "..") {
        return Err("must be a path inside the configuration repository".to_owned());
    }
    Ok(())
}

/// The share of the text: a launch freezes settings and variables into one append.
///
/// Each protected text grows by a third when it is sealed. These are the shares of what has no other
/// limit; what is left is far more than the computed variables and the short settings need.
const EXTRA_SETTINGS_BYTES_MAX: usize = APPEND_BYTES_MAX / 8;
/// As JSON, with every alias written out.
const EXTRA_VARIABLES_BYTES_MAX: usize = APPEND_BYTES_MAX / 4;
fn check_extra_settings(text: &str) -> Verdict {
    if text.len() > EXTRA_SETTINGS_BYTES_MAX {
        return Err(format!("must not have more than {} KiB", EXTRA_SETTINGS_BYTES_MAX / 1024));
    }
    let variables = yaml::parse_mapping(text).map_err(|error| format!("can't be read: {error}"))?;
    if let Some(name) = variables.keys().find(|name| is_ansibles_own(name)) {
        return Err(format!(
            "must not set `{name}`: names that begin with `ansible_` are Ansible's own, and say how \
             a play reaches its machine; that is Ocim's to know"
        ));
    }
    if Value::Object(variables).to_string().len() > EXTRA_VARIABLES_BYTES_MAX {
        let limit = EXTRA_VARIABLES_BYTES_MAX / 1024;
        return Err(format!("must not have more than {limit} KiB with every alias written out"));
    }
    Ok(())
}

fn check_secret(secret: &str) -> Verdict {
    if secret.len() <= SECRET_LENGTH_MAX && secrets::is_master_secret(secret) {
        Ok(())
    } else {
        Err("must be base64 of 1 to 36 bytes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_lite::Regex;

    fn of_length(length: usize) -> String {
        "x".repeat(length)
    }

    /// A rule, what passes, what it says to all that does not, and what that is.
    type Case = (TextRule, Vec<String>, &'static str, Vec<String>);

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn cases() -> Vec<Case> {
        use TextRule::{
            Color, Email, GithubName, Line, MasterSecret, OneOf, PasswordHash, Playbook, Reference,
            RepositoryUrl, SigningKey, Username, WebUrl,
        };
        let host = format!("{}.{}.{}.com", of_length(63), of_length(63), of_length(57));
        let (local, longer) = (format!("{}@localhost", of_length(64)), of_length(65));
        let master = |bytes: usize| "AAAA".repeat(bytes / 3);
        let shape = "must be an http, https, ssh, git or file URL, `user@host:path`, an absolute \
                     path, or bundled:NAME";
        let whole = |rest: usize| format!("/{}", of_length(rest));
        vec![
            (Line(3), texts(&["abc", "äöü", "{a}"]), "must not be blank", texts(&["", " \t"])),
            (Line(3), vec![], "must have at most 3 characters", texts(&["abcd", "äöüß"])),
            (Line(9), vec![], "must be one line", texts(&["a\nb", "a\u{7f}", "\0"])),
            (Line(9), vec![], "must not hold template", texts(&["{{ a }}", "{% a", "a {#"])),
            (
                Reference(9),
                texts(&["master", "a-b/c", "v1.0"]),
                "no white space",
                texts(&["-a", "a b"]),
            ),
            (
                Email,
                vec![format!("a@{host}"), local],
                "like `name@",
                texts(&["a", "@a.com", "a@", "ä@a.com"]),
            ),
            (Email, texts(&["a@LOCALHOST"]), "like `name@", vec![format!("{longer}@localhost")]),
            (Email, vec![], "at most 254", vec![format!("{}@{host}", of_length(66))]),
            (RepositoryUrl, vec![whole(255)], "at most 256", vec![whole(256)]),
            (
                RepositoryUrl,
                texts(&[
                    "bundled:demo_site",
                    "bundled:a1",
                    "ssh://a@host/r",
                    "http://a/b",
                    "a.b_c-d@host.com:r",
                ]),
                shape,
                texts(&[
                    "a",
                    "ftp://a/b",
                    "file://a/b",
                    "http:///b",
                    "git://-a/b",
                    "ssh://-a@host/b",
                    "@host.com:r",
                    "a@host.com",
                    "a@host.com:",
                    "a@host.com:-r",
                    "a@host.com::r",
                    "-a@host.com:r",
                    "a:b@host.com:r",
                    "a@-host:r",
                    "/srv/a b",
                    "ext::sh",
                ]),
            ),
            (
                RepositoryUrl,
                vec![],
                "no name after",
                texts(&["bundled:", "bundled:a-b", "bundled:../a"]),
            ),
            (RepositoryUrl, vec![], "SSH logs in by key", texts(&["ssh://a:b@host/r"])),
            (
                RepositoryUrl,
                vec![],
                "OCIM_GIT_CREDENTIALS",
                texts(&["http://a@b/r", "git://a@b/r"]),
            ),
            (Playbook, vec![of_length(100)], "at most 100", vec![of_length(101)]),
            (
                Playbook,
                texts(&["a/b.yml", "..a"]),
                "inside the",
                texts(&["/a", "-a", "../a", "a/.."]),
            ),
            (MasterSecret, vec![master(3), master(36)], "base64 of 1 to 36", vec![master(39)]),
            (MasterSecret, vec![], "base64 of 1 to 36", texts(&["", "AAA", "A A="])),
            (
                SigningKey,
                texts(&[signing_key::EXAMPLE]),
                "RSA private key",
                texts(&["", "-----BEGIN RSA PRIVATE KEY-----", "AAAA"]),
            ),
            (OneOf(&["a", "b"]), texts(&["a", "b"]), "one of `a`, `b`", texts(&["", "c", "A"])),
            (
                WebUrl,
                texts(&["http://a", "https://a.com:1/b?c#d"]),
                "must be a URL",
                texts(&["a", "ftp://a", "http://", "https:///b", "http://a b"]),
            ),
            (
                WebUrl,
                vec![],
                "user name or password",
                texts(&["https://u:p@a.com/b", "http://u@a"]),
            ),
            (
                Color,
                texts(&["#fff", "#126F9A", "teal", "DarkOliveGreen"]),
                "a colour",
                texts(&["", "fff", "#ffff", "transparent", "rgb(1,2,3)", "#12345g"]),
            ),
            (
                GithubName,
                texts(&["octocat", "a-b-c", "A1", &"x".repeat(39)]),
                "on GitHub",
                texts(&["", "-a", "a-", "a--b", "a_b", "a b", &"x".repeat(40)]),
            ),
            (
                Username,
                texts(&["a", "a.b@c+d-e_f", &"x".repeat(150)]),
                "1 to 150 letters",
                texts(&["", "a b", "é", &"x".repeat(151)]),
            ),
            (
                PasswordHash,
                texts(&["pbkdf2_sha256$1$a$b=", "a$b"]),
                "password hash",
                texts(&["a", "$b", "a$", "a$b c"]),
            ),
            (
                PasswordHash,
                vec![format!("a${}", "x".repeat(126))],
                "at most 128",
                vec![format!("a${}", "x".repeat(127))],
            ),
        ]
    }

    #[test]
    fn each_rule_lets_through_what_fits_and_says_what_does_not() {
        for (rule, fits, says, does_not) in cases() {
            for text in fits {
                assert_eq!(rule.check(&text), Ok(()), "{rule:?} {text}");
                assert!(text.chars().count() <= rule.length_max(), "{rule:?} {text}");
                let pattern = rule.pattern().map(|pattern| Regex::new(pattern).unwrap());
                assert!(pattern.is_none_or(|it| it.is_match(&text)), "{rule:?} {text}");
            }
            for text in does_not {
                let refused = rule.check(&text);
                assert!(refused.as_ref().is_err_and(|it| it.contains(says)), "{text}: {refused:?}");
            }
        }
    }

    #[test]
    fn forms_refuse_by_a_pattern_what_a_rule_would() {
        use TextRule::{
            Email, GithubName, PasswordHash, Playbook, Reference, RepositoryUrl, Username, WebUrl,
        };
        for (rule, wrong) in [
            (Reference(9), "-a"),
            (RepositoryUrl, "a b"),
            (Playbook, "/etc/passwd"),
            (Email, "nobody"),
            (WebUrl, "ftp://a"),
            (GithubName, "-a"),
            (Username, "a b"),
            (PasswordHash, "a"),
        ] {
            let pattern = Regex::new(rule.pattern().unwrap()).unwrap();
            assert!(!pattern.is_match(wrong) && rule.check(wrong).is_err(), "{rule:?}");
        }
    }

    #[test]
    fn extra_settings_have_a_limit_as_they_are_written_and_one_as_they_are_meant() {
        let rule = TextRule::ExtraSettings;
        let written = |length: usize| format!("a: {}", of_length(length - 3));
        assert_eq!(rule.check(&written(EXTRA_SETTINGS_BYTES_MAX)), Ok(()));
        let told = rule.check(&written(EXTRA_SETTINGS_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(told, format!("must not have more than {} KiB", APPEND_BYTES_MAX / 8 / 1024));
        // Written once, meant so many times.
        let meant = |aliases: usize| {
            let text = of_length(EXTRA_VARIABLES_BYTES_MAX / 16);
            format!("a: &a {text}\nb: [{}]", vec!["*a"; aliases].join(", "))
        };
        assert_eq!(rule.check(&meant(14)), Ok(()));
        let length = |text: &str| {
            Value::Object(yaml::parse_mapping(text).unwrap_or_default()).to_string().len()
        };
        let exactly = |bytes: usize| {
            let base = meant(14) + "\nc: ''";
            let rest = of_length(bytes - length(&base));
            meant(14) + &format!("\nc: '{rest}'")
        };
        assert_eq!(rule.check(&exactly(EXTRA_VARIABLES_BYTES_MAX)), Ok(()));
        assert!(rule.check(&exactly(EXTRA_VARIABLES_BYTES_MAX + 1)).is_err());
        let told = rule.check(&meant(16)).unwrap_err();
        let limit = APPEND_BYTES_MAX / 4 / 1024;
        assert_eq!(
            told,
            format!("must not have more than {limit} KiB with every alias written out")
        );
        assert!(rule.check("ansible_user: root").unwrap_err().contains("`ansible_user`"));
        assert!(rule.check("[a]").unwrap_err().starts_with("can't be read: "));
    }
}
