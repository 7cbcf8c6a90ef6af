//! The rules of a token: made once, and valid no more once that is said.

use crate::given::given;
use crate::sample::at;
use ocim_domain::token::{Command, Event, Rejected, Scope, State, Token};

fn create() -> Command {
    Command::Create { name: "ci".to_owned(), scope: Scope::Read, expires_at: at(60) }
}

fn created() -> Event {
    Event::Created { name: "ci".to_owned(), scope: Scope::Read, expires_at: at(60) }
}

fn revoke() -> Command {
    Command::Revoke { name: "ci".to_owned() }
}

fn revoked() -> Event {
    Event::Revoked { name: "ci".to_owned() }
}

#[test]
fn a_token_is_made_once_and_not_again_after_its_end() {
    given::<Token>([]).when_then(create(), [created()]);
    given::<Token>([created()]).when_refused(create(), Rejected::Known);
    given::<Token>([created(), revoked()]).when_refused(create(), Rejected::Known);
}

#[test]
fn its_end_is_told_once_even_where_its_making_was_not() {
    for history in [vec![], vec![created()]] {
        let token = given::<Token>(history);
        token.when_then(revoke(), [revoked()]);
        token.after(revoke()).when_silent(revoke());
        assert_eq!(*token.after(revoke()).state(), State::Revoked);
    }
    assert_eq!(*given::<Token>([created()]).state(), State::Created);
    let late = given::<Token>([revoked(), created()]);
    assert_eq!(*late.state(), State::Revoked, "what is told late makes it valid no more");
}

#[test]
fn a_scope_has_the_word_that_is_recorded() {
    for scope in [Scope::Read, Scope::All] {
        assert_eq!(serde_json::to_value(scope).unwrap(), scope.to_string());
    }
}
