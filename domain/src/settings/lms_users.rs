//! The people whom a site's deployment makes staff and superusers of its LMS.

use super::kinds::{Form, Given, Kind, check_number, check_open, tell_broken};
use super::rules::TextRule;
use crate::protected::Protected;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is shown in the place of a text that is never shown, and leaves it as it is when it is sent
/// back.
pub const HIDDEN: &str = "***";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LmsUser {
    /// How they log in.
    pub username: String,
    /// Where they get mail.
    pub email: Protected,
    /// Their first password, as Django keeps it.
    pub password_hash: Protected,
}

impl LmsUser {
    fn with(&self, email: &str, password_hash: &str) -> Value {
        json!({ "username": self.username, "email": email, "password_hash": password_hash })
    }
}

/// One of them, as people give it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmsUserInput {
    /// How they log in.
    pub username: String,
    /// Where they get mail.
    pub email: String,
    /// Their first password, as Django keeps it; that of the user of the same name where it is left
    /// out.
    #[serde(default = "hidden")]
    pub password_hash: String,
}

fn hidden() -> String {
    HIDDEN.to_owned()
}

impl Given for Vec<LmsUserInput> {}

/// What each part of a user must be.
const USERNAME: TextRule = TextRule::Username;
const EMAIL: TextRule = TextRule::Email;
const PASSWORD_HASH: TextRule = TextRule::PasswordHash;

/// Those users, in an order.
#[derive(Debug, Clone, Copy)]
pub struct LmsUsers;

impl Kind for LmsUsers {
    type Value = Vec<LmsUser>;
    type Input = Vec<LmsUserInput>;
    const IS_PROTECTED: bool = true;

    fn make(given: Self::Input, subject: &str) -> Self::Value {
        Self::replace(&vec![], given, subject)
    }

    fn replace(former: &Self::Value, given: Self::Input, subject: &str) -> Self::Value {
        let user = |given: LmsUserInput| {
            let known = former.iter().find(|user| user.username == given.username);
            let password_hash = match known {
                Some(known) if given.password_hash == HIDDEN => known.password_hash.clone(),
                _ => Protected::new(subject, given.password_hash),
            };
            let email = Protected::new(subject, given.email);
            LmsUser { username: given.username, email, password_hash }
        };
        given.into_iter().map(user).collect()
    }

    fn check(&self, value: &Self::Value, tell: &mut dyn FnMut(&str, String)) {
        tell_broken("", check_number(value.len()), tell);
        for (index, user) in value.iter().enumerate() {
            let at = |part: &str| format!("[{index}].{part}");
            tell_broken(&at("username"), USERNAME.check(&user.username), tell);
            tell_broken(&at("email"), check_open(EMAIL, &user.email), tell);
            let hash = check_open(PASSWORD_HASH, &user.password_hash);
            tell_broken(&at("password_hash"), hash, tell);
            if value[..index].iter().any(|other| other.username == user.username) {
                tell(&at("username"), "must differ from the others'".to_owned());
            }
        }
    }

    fn show(value: &Self::Value) -> Value {
        value.iter().map(|user| user.with(user.email.text(), HIDDEN)).collect()
    }

    fn open(value: &Self::Value) -> Option<Value> {
        let open = |user: &LmsUser| Some(user.with(user.email.open()?, user.password_hash.open()?));
        value.iter().map(open).collect()
    }

    fn form(&self) -> Form {
        Form::Records {
            members: &[("username", USERNAME), ("email", EMAIL), ("password_hash", PASSWORD_HASH)],
            optional: &["password_hash"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_made_of_what_is_given_and_opened_as_they_were_given() {
        let user = |username: &str| LmsUserInput {
            username: username.to_owned(),
            email: format!("{username}@example.com"),
            password_hash: format!("a${username}"),
        };
        let made = LmsUsers::make(vec![user("ada"), user("eve")], "inst_1");
        assert!(made.iter().all(|it| !format!("{it:?}").contains("a$")));
        let open = |name: &str| {
            serde_json::json!({
                "username": name, "email": format!("{name}@example.com"), "password_hash": format!("a${name}"),
            })
        };
        assert_eq!(LmsUsers::open(&made), Some(Value::Array(vec![open("ada"), open("eve")])));
    }
}
