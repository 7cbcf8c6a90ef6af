//! Where no mail server is configured, and where a region is simulated: whatever mail there is stays.

use super::{Mailer, OutgoingMail, RefusedRecipient};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;

/// Sends nothing, and says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnsentMailer;

#[async_trait]
impl Mailer for UnsentMailer {
    async fn send_mail(&self, _: &OutgoingMail) -> Result<Vec<RefusedRecipient>, PortError> {
        let message = "no mail server is configured: see EMAIL_BACKEND";
        Err(PortError::permanent(ErrorCode::MailRefused, message))
    }
}
