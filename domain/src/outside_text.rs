//! Text that comes from tools and providers, as it may be kept: its credentials are hidden.

use crate::url_credentials::hide_url_credentials;

/// What a tool or provider said, without the credentials of URLs in it.
///
/// Every text from outside goes through here where it enters: errors of ports, lines of output.
#[must_use]
pub fn take_in(text: &str) -> String {
    hide_url_credentials(text).into_owned()
}

#[cfg(test)]
mod tests {
    use crate::port_error::{Class, PortError};
    use crate::saga::ErrorCode;
    use std::time::Duration;

    #[test]
    fn no_error_of_a_port_tells_the_credentials_of_a_url() {
        let told = "pip: foo @ https://user:pw-of-the-index@host/simple: no such file";
        let errors = [
            PortError::new(Class::Ambiguous, told),
            PortError::transient(told),
            PortError::postponed(Duration::ZERO, told),
            PortError::permanent(ErrorCode::PlaybookFailed, told),
        ];
        for error in errors {
            let expected = "pip: foo @ https://***@host/simple: no such file";
            assert_eq!(error.message, expected);
        }
    }
}
