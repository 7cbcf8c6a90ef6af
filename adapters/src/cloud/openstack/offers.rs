//! What a region offers: flavors of Nova, images of Glance, each as it tells of them.

use super::api::{Api, Call, Service};
use super::pages::list_all;
use crate::cloud::selector::select;
use ocim_domain::port_error::PortError;
use osauth::ApiVersion;
use serde_json::Value;

/// The oldest microversion does; the newer ones tell more of a flavor: a description, and what is special.
const VERSIONS: [ApiVersion; 3] = [ApiVersion(2, 1), ApiVersion(2, 55), ApiVersion(2, 61)];

/// What a selector means.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) id: String,
    /// All that the service tells of it.
    pub(super) told: Value,
}

/// The flavor that a selector means.
pub(super) async fn find_flavor(api: &Api, selector: &Value) -> Result<Offer, PortError> {
    let call = Call::get(Service::Compute, &["flavors", "detail"]).with_versions(&VERSIONS);
    choose("flavor", selector, list_all(api, call, "flavors").await?)
}

/// The image that a selector means, of those that machines can be made from.
pub(super) async fn find_image(api: &Api, selector: &Value) -> Result<Offer, PortError> {
    let call = Call::get(Service::Image, &["images"]).with_query("status", "active");
    choose("image", selector, list_all(api, call, "images").await?)
}

fn choose(noun: &str, selector: &Value, mut offers: Vec<Value>) -> Result<Offer, PortError> {
    let told = offers.swap_remove(select(noun, selector, &offers)?);
    let id = told.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Offer { id, told })
}
