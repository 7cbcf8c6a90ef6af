//! Virtual machines as their clouds report them.

use crate::change::{NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::ServerId;
use ocim_domain::server::{Event, Power, Status};
use serde_json::json;

table! {
    /// Virtual machines.
    SERVERS, columns = "servers", key [id],
    indexes [Index::on("appserver"), Index::on("status, id")]
    {
        /// `serv_…`.
        id: String,
        /// `apps_…`.
        appserver: String,
        /// Region.
        region: String,
        /// Its name in the cloud.
        name: String,
        /// `pending`, `building`, ….
        status: String,
        /// The cloud's id.
        machine: Option<String>,
        /// Public address.
        public_ip: Option<String>,
        /// Where sshd listens.
        ssh_port: Option<i32>,
        /// Where the web server listens.
        http_port: Option<i32>,
        /// Whom to log in as.
        ssh_user: Option<String>,
        /// Its SSH host keys, once it was ready.
        host_keys: Option<Vec<String>>,
        /// Why it failed or is out of sight.
        reason: Option<String>,
        /// `building`, `active`, `shutoff` or `error`, as its cloud last said.
        power: Option<String>,
        /// When it was asked for.
        created_at: DateTime<Utc>,
        /// When it last changed.
        updated_at: DateTime<Utc>,
    }
}

/// The read model of servers.
pub const PROJECTOR: Projector = Projector {
    name: "servers",
    version: 1,
    categories: &[ServerId::CATEGORY],
    tables: &[SERVERS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let key = columns! { id: ServerId(recorded.stream.id()) };
    let at = recorded.recorded_at;
    let mut set = match event {
        Event::Requested(requested) => {
            let set = columns! {
                appserver: requested.appserver,
                region: requested.region,
                name: requested.name,
                status: Status::Pending,
                created_at: at,
                updated_at: at,
            };
            return Ok(vec![RowChange::put(SERVERS.name, key, set)]);
        }
        Event::BuildingStarted {} => {
            columns! { status: Status::Building, power: Power::Building }
        }
        Event::MachineRecorded { machine } => columns! { machine: machine },
        Event::BuildFailed { reason } => columns! { status: Status::Failed, reason: reason },
        Event::BootingStarted { address: None, .. } => {
            columns! { status: Status::Booting, power: Power::Active, reason: NULL }
        }
        Event::BootingStarted { address: Some(address), .. } => columns! {
            status: Status::Booting,
            power: Power::Active,
            reason: NULL,
            public_ip: address.ip,
            ssh_port: address.ssh_port,
            http_port: address.http_port,
            ssh_user: address.ssh_user,
        },
        Event::BecameReady { host_keys, .. } => {
            columns! { status: Status::Ready, host_keys: host_keys }
        }
        Event::SightLost { reason } => columns! { status: Status::Unknown, reason: reason },
        Event::FoundBuilding {} => {
            columns! { status: Status::Building, power: Power::Building, reason: NULL }
        }
        Event::Terminated {} => columns! { status: Status::Terminated, power: NULL },
        Event::Vanished { .. } => columns! {
            status: Status::Vanished,
            power: NULL,
            reason: "its cloud says that it does not exist",
        },
        Event::CameBack { after } => {
            columns! { status: Status::Booting, power: after, reason: NULL }
        }
        // The fault, if there was one, is over.
        Event::PowerChanged { before: Some(Power::Error), after } => {
            columns! { power: after, reason: NULL }
        }
        Event::PowerChanged { after, .. } => columns! { power: after },
        Event::ErrorSeen { fault, .. } => columns! { power: Power::Error, reason: fault },
    };
    set.insert("updated_at", json!(at));
    Ok(vec![RowChange::update(SERVERS.name, key, set)])
}
