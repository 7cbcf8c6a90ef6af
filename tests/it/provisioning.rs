//! What sites have on shared servers, on real ones.

mod faults;
mod lost_answers;
mod mongodb;
mod mysql;
mod mysql_scripts;
mod program;
mod rabbitmq;
mod swift;

use ocim_adapters::provisioning::Provisioning;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::provisioning::{Item, Service};
use ocim_domain::resources::ResourceNames;
use ocim_domain::saga::ErrorCode;

/// The names of a site whose main database is called so.
fn names(database: &str) -> ResourceNames {
    ResourceNames {
        database: database.to_owned(),
        forum_database: format!("{database}_forum"),
        container: database.to_owned(),
        bucket: String::new(),
        iam_user: String::new(),
    }
}

/// Removes all of them, accounts first, and sees them gone.
async fn remove(servers: &dyn Provisioning, service: &Service, items: &[Item]) {
    let mut ids: Vec<_> = items.iter().map(Item::id).collect();
    ids.sort();
    for id in ids {
        servers.remove(service, &id).await.unwrap();
        assert!(!servers.find(service, &id).await.unwrap(), "{id:?}");
        // What is not there is removed already.
        servers.remove(service, &id).await.unwrap();
    }
}

/// That it is refused for good, in a sentence that names these, and none of the secrets.
pub(crate) fn assert_refused<T: std::fmt::Debug>(
    outcome: Result<T, PortError>,
    words: &[&str],
    secrets: &[&str],
) {
    let error = outcome.unwrap_err();
    assert_eq!(error.class, Class::Permanent, "{error:?}");
    assert_eq!(error.code, Some(ErrorCode::SharedServerRefused), "{error:?}");
    assert_says(&error, words, secrets);
}

/// That it may go well another time, and the server is to blame.
fn assert_away<T: std::fmt::Debug>(
    outcome: Result<T, PortError>,
    words: &[&str],
    secrets: &[&str],
) {
    let error = outcome.unwrap_err();
    assert!(matches!(error.class, Class::Transient | Class::Ambiguous), "{error:?}");
    assert_eq!(error.blame, ocim_domain::port_error::Blame::Provider, "{error:?}");
    assert_says(&error, words, secrets);
}

fn assert_says(error: &PortError, words: &[&str], secrets: &[&str]) {
    for word in words {
        assert!(error.message.contains(word), "{word}: {error}");
    }
    for secret in secrets {
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
}
