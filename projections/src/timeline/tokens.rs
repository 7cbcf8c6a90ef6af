//! Sentences about API tokens.

use super::Teller;
use ocim_domain::token;

pub(super) fn tell(teller: &Teller<'_>, event: &token::Event) -> String {
    use token::Event as E;
    let who = teller.who();
    match event {
        E::Created { name, scope, expires_at } => {
            let may = match scope {
                token::Scope::Read => "may read",
                token::Scope::All => "may do everything",
            };
            format!("{who} made the token {name}, which {may} until {}", expires_at.format("%F"))
        }
        E::Revoked { name } => format!("{who} revoked the token {name}"),
    }
}
