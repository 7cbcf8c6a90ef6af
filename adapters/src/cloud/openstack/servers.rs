//! Servers at Nova: made once for each key, found by their metadata, rebooted, stopped, deleted.

use super::OpenStackCloud;
use super::api::{Call, Service};
use super::host_keys;
use super::machine::{KEY, OWNER, REGION, SSH_PORT, Server};
use super::offers::{find_flavor, find_image};
use super::pages::list_all;
use crate::cloud::{MachineSpec, Power};
use crate::hosts::Hosts as _;
use crate::hosts::finder::HostFinder;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use osauth::ApiVersion;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Microversions up to the one from which networks must be named: Nova chooses where we don't.
const VERSIONS: [ApiVersion; 2] = [ApiVersion(2, 1), ApiVersion(2, 36)];
/// Pause between two looks at a server that stops.
const STOP_PAUSE: Duration = Duration::from_secs(2);
/// A deletion, or a reboot, that takes longer than this is asked for with more force.
const PATIENCE: Duration = Duration::from_secs(60);
const REBOOT_PATIENCE: Duration = Duration::from_secs(180);
/// Lines of a console that are asked for, and how much of them is kept, in bytes.
const CONSOLE_LINES: u32 = 1000;
const CONSOLE_BYTES_MAX: usize = 64 << 10;
/// A longer name is cut: Nova takes so many characters.
const NAME_CHARACTERS_MAX: usize = 255;

#[derive(Deserialize)]
struct One {
    server: Server,
}

#[derive(Deserialize)]
struct Made {
    server: MadeServer,
}

#[derive(Deserialize)]
struct MadeServer {
    id: String,
}

#[derive(Deserialize)]
struct Console {
    output: String,
}

impl OpenStackCloud {
    /// The server with that id, and by how much it has been in its state; `None` where there is none.
    async fn read_with_age(&self, id: &str) -> Result<Option<(Server, Duration)>, PortError> {
        let call = Call::get(Service::Compute, &["servers", id]).with_versions(&VERSIONS);
        let Some(answer) = self.api.find(call).await? else { return Ok(None) };
        let server = answer.read::<One>()?.server;
        let age = answer.date().zip(server.updated).map(|(now, since)| now - since);
        let age = age.and_then(|age| age.to_std().ok()).unwrap_or_default();
        Ok(Some((server, age)).filter(|(server, _)| !server.is_gone()))
    }

    pub(super) async fn read_server(&self, id: &str) -> Result<Option<Server>, PortError> {
        // What can be no id would be another path.
        if !is_id(id) {
            return Ok(None);
        }
        Ok(self.read_with_age(id).await?.map(|(server, _)| server))
    }

    /// Our servers in the region.
    pub(super) async fn list_servers(&self) -> Result<Vec<Server>, PortError> {
        let call = Call::get(Service::Compute, &["servers", "detail"]).with_versions(&VERSIONS);
        let all = list_all(&self.api, call, "servers").await?;
        let read = |server: Value| {
            serde_json::from_value::<Server>(server).map_err(|error| {
                PortError::transient(format!("Nova lists what is no server: {error}"))
            })
        };
        let all: Vec<Server> = all.into_iter().map(read).collect::<Result<_, _>>()?;
        let (owner, region) = (&self.config.owner, &self.config.region);
        let is_ours = |server: &Server| server.bears_mark(owner, region) && !server.is_gone();
        Ok(all.into_iter().filter(is_ours).collect())
    }

    /// The first one that was made with that key.
    pub(super) async fn find_server(&self, key: Uuid) -> Result<Option<Server>, PortError> {
        let all = self.list_servers().await?.into_iter();
        let with_key = all.filter(|server| server.key() == Some(key));
        Ok(with_key.min_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id))))
    }

    /// Asks for a server, and tells its id.
    pub(super) async fn order_server(&self, spec: &MachineSpec) -> Result<String, PortError> {
        let flavor = find_flavor(&self.api, &spec.flavor).await?;
        let image = find_image(&self.api, &spec.image).await?;
        self.ensure_key_pair(&spec.keyname).await?;
        let name: String = spec.name.chars().take(NAME_CHARACTERS_MAX).collect();
        let groups: Vec<Value> =
            spec.security_groups.iter().map(|name| json!({ "name": name })).collect();
        let mut server = json!({
            "name": name,
            "flavorRef": flavor.id,
            "imageRef": image.id,
            "metadata": {
                KEY: spec.key.to_string(),
                REGION: self.config.region,
                OWNER: self.config.owner,
            },
            "user_data": self.user_data(),
        });
        if let Some(members) = server.as_object_mut() {
            if !spec.keyname.is_empty() {
                members.insert("key_name".to_owned(), json!(spec.keyname));
            }
            if !groups.is_empty() {
                members.insert("security_groups".to_owned(), Value::Array(groups));
            }
            if let Some(network) = self.find_network().await? {
                members.insert("networks".to_owned(), json!([{ "uuid": network }]));
            }
        }
        let call = Call::post(Service::Compute, &["servers"], json!({ "server": server }));
        let made = self.api.fetch(call.with_versions(&VERSIONS)).await;
        let answer = made.map_err(|error| explain_order(error, spec))?;
        Ok(answer.read::<Made>()?.server.id)
    }

    /// What cloud-init does at the first boot: it lets the manager in, whatever key pair is named.
    fn user_data(&self) -> String {
        let key = json!([self.config.authorized_key]);
        let text = format!("#cloud-config\n{}\n", json!({ "ssh_authorized_keys": key }));
        BASE64_STANDARD.encode(text)
    }

    /// Has Nova do something with a server; false where there is none any more.
    async fn act(&self, id: &str, action: Value) -> Result<bool, PortError> {
        let call = Call::post(Service::Compute, &["servers", id, "action"], action);
        Ok(self.api.find(call.with_versions(&VERSIONS)).await?.is_some())
    }

    /// Restarts it in an orderly way; by force, where such a restart does not come to its end.
    pub(super) async fn reboot_server(&self, id: &str) -> Result<(), PortError> {
        let vanished = || {
            PortError::permanent(ErrorCode::MachineVanished, format!("there is no machine {id}"))
        };
        if !is_id(id) {
            return Err(vanished());
        }
        let (server, age) = self.read_with_age(id).await?.ok_or_else(vanished)?;
        let action = match (server.power(), server.status.as_str()) {
            (Power::Error, _) => {
                let fault = server.describe(&self.reached).fault.unwrap_or_default();
                let message = format!("machine {id} has failed: {fault}");
                return Err(PortError::permanent(ErrorCode::MachineFailed, message));
            }
            (_, "REBOOT" | "HARD_REBOOT") if age < REBOOT_PATIENCE => return Ok(()),
            (_, "REBOOT" | "HARD_REBOOT") => json!({"reboot": {"type": "HARD"}}),
            (Power::Shutoff, _) => json!({ "os-start": null }),
            _ => json!({"reboot": {"type": "SOFT"}}),
        };
        self.act(id, action).await?.then_some(()).ok_or_else(vanished)
    }

    /// Stops it in an orderly way, then deletes it; by force, where a deletion does not come to its end.
    pub(super) async fn delete_server(&self, id: &str) -> Result<(), PortError> {
        if !is_id(id) {
            return Ok(());
        }
        let Some((server, age)) = self.read_with_age(id).await? else {
            // Nova takes the server alone.
            return self.release_floating_address(id).await;
        };
        if server.is_deleting() {
            return match age < PATIENCE && server.status != "SOFT_DELETED" {
                true => Ok(()),
                false => self.force_delete(id).await,
            };
        }
        self.stop_server(id, server).await?;
        self.release_floating_address(id).await?;
        let call = Call::delete(Service::Compute, &["servers", id]).with_versions(&VERSIONS);
        match self.api.find(call).await {
            Ok(_) => Ok(()),
            Err(error) if error.class == Class::Conflict => {
                tracing::warn!(server = id, %error, "a server can't be deleted: by force");
                self.force_delete(id).await
            }
            Err(error) => Err(error),
        }
    }

    async fn force_delete(&self, id: &str) -> Result<(), PortError> {
        self.act(id, json!({ "forceDelete": null })).await.map(|_| ())
    }

    /// Waits until it is off, for so long; what does not stop is deleted all the same (core §2.1).
    async fn stop_server(&self, id: &str, server: Server) -> Result<(), PortError> {
        let timeout = self.config.shutdown_timeout;
        if timeout.is_zero() || server.power() != Power::Active {
            return Ok(());
        }
        let begun = Instant::now();
        match self.act(id, json!({ "os-stop": null })).await {
            // Something else goes on with it, a stop perhaps.
            Err(error) if error.class != Class::Conflict => return Err(error),
            Ok(false) => return Ok(()),
            _ => {}
        }
        while begun.elapsed() < timeout {
            match self.read_with_age(id).await? {
                Some((server, _)) if server.power() == Power::Active => sleep(STOP_PAUSE).await,
                _ => return Ok(()),
            }
        }
        tracing::warn!(server = id, "a server did not stop in time: it is deleted all the same");
        Ok(())
    }

    /// The end of what it printed.
    pub(super) async fn read_console_of(&self, id: &str) -> Result<String, PortError> {
        let body = json!({"os-getConsoleOutput": {"length": CONSOLE_LINES}});
        let call = Call::question(Service::Compute, &["servers", id, "action"], body);
        let answer = self.api.find(call.with_versions(&VERSIONS)).await?;
        let answer = answer.ok_or_else(|| {
            PortError::permanent(ErrorCode::MachineVanished, format!("there is no machine {id}"))
        })?;
        Ok(keep_end(answer.read::<Console>()?.output))
    }

    /// Has a server that is up keep the host keys that its console shows. Without them it is not of use
    /// yet, which fails nobody: who waits for it asks again.
    pub(super) async fn pin_host_keys(&self, mut server: Server) -> Server {
        if server.power() != Power::Active || !host_keys::pinned(&server.metadata).is_empty() {
            return server;
        }
        match self.keep_host_keys(&server).await {
            Ok(kept) => server.metadata.extend(kept),
            Err(error) => {
                tracing::debug!(server = server.id, %error, "its host keys can't be seen yet");
            }
        }
        server
    }

    /// What the server's metadata has of its host keys from now on.
    async fn keep_host_keys(&self, server: &Server) -> Result<BTreeMap<String, String>, PortError> {
        let console = match self.read_console_of(&server.id).await {
            Ok(console) => console,
            // Some clouds show none.
            Err(_) if self.config.trust_first_host_key => String::new(),
            Err(error) => return Err(error),
        };
        let mut shown = host_keys::read_console(&console);
        if let Some(ip) = server.ip(&self.reached)
            && shown.is_empty()
            && self.config.trust_first_host_key
        {
            shown = HostFinder.read_host_keys(ip, SSH_PORT).await?;
        }
        let kept = host_keys::to_metadata(&shown);
        if !kept.is_empty() {
            let body = json!({ "metadata": kept });
            let call = Call::post(Service::Compute, &["servers", &server.id, "metadata"], body);
            self.api.fetch(call.with_versions(&VERSIONS)).await?;
        }
        Ok(kept.into_iter().map(|(name, key)| (name.to_owned(), key.to_owned())).collect())
    }
}

/// What may be a server's id.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// What it means that a server could not be asked for.
fn explain_order(error: PortError, spec: &MachineSpec) -> PortError {
    let has = |text: &str| error.message.contains(text);
    if has("Multiple possible networks") {
        let advice = "the region's `network` in OCIM_CLOUDS must name one";
        let message = format!("{}: {advice}", error.message);
        return PortError::permanent(ErrorCode::CloudRefused, message);
    }
    if has(&StatusCode::BAD_REQUEST.to_string()) && (has("Flavor") || has("image")) {
        let (flavor, image) = (&spec.flavor, &spec.image);
        let message = format!("{} (flavor {flavor}, image {image})", error.message);
        return PortError::permanent(ErrorCode::MachineNotOffered, message);
    }
    error
}

/// The end of a text, which begins with a whole character.
fn keep_end(mut text: String) -> String {
    let mut start = text.len().saturating_sub(CONSOLE_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.split_off(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_console_the_end_is_kept() {
        let text = format!("ü{}", "x".repeat(CONSOLE_BYTES_MAX - 1));
        assert_eq!(keep_end(text), "x".repeat(CONSOLE_BYTES_MAX - 1));
        assert_eq!(keep_end("short".to_owned()), "short");
    }

    #[test]
    fn an_id_leads_to_no_other_path() {
        assert!(is_id("5f1e0e0c-0000-4000-8000-000000000001"));
        for id in ["", "detail/x", "..", "a?b", "a b"] {
            assert!(!is_id(id), "{id}");
        }
    }
}
