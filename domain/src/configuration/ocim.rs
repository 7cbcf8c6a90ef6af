//! What only a running launch knows, for playbooks that were made for Ocim: merged last of all.

use super::Variables;
use crate::ids::{AppserverId, InstanceId};
use serde_json::json;
use std::net::IpAddr;

/// An Appserver and the address its site is to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OcimFacts {
    /// Whose site it is.
    pub instance: InstanceId,
    /// The Appserver.
    pub appserver: AppserverId,
    /// Its number, from 1.
    pub number: u32,
    /// Where its balancer will look for the site.
    pub http_address: IpAddr,
    /// See `http_address`.
    pub http_port: u16,
}

/// The variables that begin with `OCIM_`. Nobody can override them.
#[must_use]
pub fn ocim_layer(facts: &OcimFacts) -> Variables {
    [
        ("OCIM_APPSERVER_ID", json!(facts.appserver)),
        ("OCIM_APPSERVER_NUMBER", json!(facts.number)),
        ("OCIM_HTTP_ADDRESS", json!(facts.http_address)),
        ("OCIM_HTTP_PORT", json!(facts.http_port)),
        ("OCIM_INSTANCE_ID", json!(facts.instance)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
