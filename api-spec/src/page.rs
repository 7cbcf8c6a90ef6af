//! Lists in pages.

use crate::texts::Prose;
use crate::{
    Appserver, BulkItem, BulkOperation, CleanUpPlan, Incident, Instance, LoadBalancer, Mail,
    MongodbServer, MysqlServer, RabbitmqServer, RecordedEvent, Resource, Run, Server, TimelineItem,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What the page holds, newest first.
    pub items: Vec<T>,
    /// Pass it as `after` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Prose>)]
    pub next: Option<String>,
}

/// What lists are of.
///
/// Their pages are written here and not where they are answered: what a program does most is compiled for
/// speed (`profile.demo`), and this crate costs that little.
pub trait Listed: Serialize + Sized {
    /// The page in JSON.
    ///
    /// # Errors
    /// When an item has no form in JSON.
    fn write_page(page: &Page<Self>) -> serde_json::Result<Vec<u8>>;
}

/// Room that an item is given at first, in bytes.
const ITEM_BYTES: usize = 1024;

macro_rules! listed {
    ($($item:ty),* $(,)?) => {
        $(impl Listed for $item {
            fn write_page(page: &Page<Self>) -> serde_json::Result<Vec<u8>> {
                let mut written = Vec::with_capacity((page.items.len() + 1) * ITEM_BYTES);
                serde_json::to_writer(&mut written, page)?;
                Ok(written)
            }
        })*
    };
}

listed! {
    Appserver,
    BulkItem,
    BulkOperation,
    CleanUpPlan,
    Incident,
    Instance,
    LoadBalancer,
    Mail,
    MongodbServer,
    MysqlServer,
    RabbitmqServer,
    RecordedEvent,
    Resource,
    Run,
    Server,
    TimelineItem,
}
