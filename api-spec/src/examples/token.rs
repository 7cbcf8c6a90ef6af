//! Examples: tokens.

use super::{Example, second};
use crate::texts::TokenId;
use crate::{CreateToken, CreatedToken, Token, TokenScope, TokenState};

impl Example for CreateToken {
    fn example() -> Self {
        Self { name: "dashboard".to_owned(), scope: TokenScope::Read, expires_in_days: 90 }
    }
}

impl Example for Token {
    fn example() -> Self {
        Self {
            id: TokenId::EXAMPLE.to_owned(),
            name: "dashboard".to_owned(),
            scope: TokenScope::Read,
            state: TokenState::Active,
            created: second(0),
            expires: Some(second(90 * 86_400)),
            last_used: None,
        }
    }
}

impl Example for CreatedToken {
    fn example() -> Self {
        Self { token: Token::example(), secret: "ocim_01985f6b_hardly-a-secret".to_owned() }
    }
}
