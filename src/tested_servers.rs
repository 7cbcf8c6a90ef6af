//! Tries servers that sites share: whether Ocim can do its work there, and what is wrong.

use crate::app::{App, AppError};
use ocim_adapters::provisioning::Provisioning;
use ocim_domain::provisioning::Provisioned;
use ocim_domain::shared_server::Registration;

/// What is wrong with a server, in a sentence; nothing where all is well.
///
/// # Errors
/// [`AppError::NotFound`], and what the store says.
pub async fn test_server<A: Provisioned>(
    app: &App,
    servers: &dyn Provisioning,
    id: A::Id,
) -> Result<Option<String>, AppError> {
    let registration = app.shared_server::<A>(id).await?.registration;
    Ok(find_problem(servers, registration).await)
}

/// As [`test_server`], of one that is known.
pub async fn find_problem<A: Provisioned>(
    servers: &dyn Provisioning,
    registration: Registration<A>,
) -> Option<String> {
    let Some(service) = A::service(registration) else {
        return Some("the password that is known of it can't be read".to_owned());
    };
    servers.check(&service).await.err().map(|error| error.message)
}
