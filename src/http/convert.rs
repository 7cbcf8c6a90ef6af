//! Words of the read models as the wire's, and back. Each module of handlers makes wire types of its rows.

use super::problem::{HttpError, internal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A word of a read model as one of the wire's.
pub(super) fn word<T: DeserializeOwned>(text: String) -> Result<T, HttpError> {
    serde_json::from_value(Value::String(text)).map_err(|error| internal(&error))
}

/// A wire's word as the read models have it.
pub(super) fn text_of<T: Serialize>(word: T) -> Option<String> {
    serde_json::to_value(word).ok()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_api_spec as wire;
    use ocim_domain::{appserver, ledger, server};

    #[test]
    fn the_wire_knows_every_status_and_agrees_on_its_meaning() {
        for status in appserver::Status::ALL {
            let text = serde_json::to_value(status).unwrap().as_str().unwrap().to_owned();
            let shown: wire::AppserverStatus = word(text).unwrap();
            assert_eq!(shown.is_steady(), status.is_steady());
            assert_eq!(shown.is_healthy(), status.is_healthy());
        }
        for status in server::Status::ALL {
            let text = serde_json::to_value(status).unwrap().as_str().unwrap().to_owned();
            word::<wire::ServerStatus>(text).unwrap();
        }
    }

    #[test]
    fn the_wire_knows_every_kind_of_resource() {
        for kind in ledger::Kind::ALL {
            let shown: wire::ResourceKind = word(kind.as_str().to_owned())
                .unwrap_or_else(|_| panic!("add `{kind}` to api-spec/src/resource.rs"));
            assert_eq!(shown.word(), kind.as_str());
        }
    }
}
