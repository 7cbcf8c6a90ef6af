//! `ocim appserver ssh|exec`: a login on an appserver's machine, its host key checked.

use super::client::Client;
use super::error::{CliError, Kind};
use ocim_adapters::cloud::{Address, is_simulated};
use ocim_adapters::shell::ssh::Login;
use ocim_api_spec::{AppserverDetail, ReferenceKind, Server};

/// Logs in, for a shell or for one command; ends as that ends.
///
/// # Errors
/// [`Kind::Refused`] where there is no machine to log in to, or its host key is not known yet;
/// [`Kind::Unavailable`] where the key lies on another computer.
pub(super) async fn log_in(
    appserver: &str,
    command: &[String],
    client: &Client,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Appserver, appserver).await?;
    let detail: AppserverDetail = client.get(&format!("/appservers/{id}")).await?;
    let name = &detail.appserver.name;
    let refuse = |why: String| CliError::new(Kind::Refused, why);
    let Some(server) = &detail.appserver.server else {
        return Err(refuse(format!(
            "{name} has no machine yet: it is {}",
            detail.appserver.status_name
        )));
    };
    let server: Server = client.get(&format!("/servers/{server}")).await?;
    let address = address_of(&server).ok_or_else(|| {
        refuse(format!("the machine of {name} has no address: it is {}", server.status_name))
    })?;
    if is_simulated(address.ip) {
        return Err(refuse(format!("the machine of {name} is simulated: nobody can log in there")));
    }
    if server.host_keys.is_empty() {
        let message = format!("the host key of {name}'s machine is not known yet: it still boots");
        return Err(refuse(message));
    }
    let Some(folder) = client.folder() else {
        let message = format!(
            "the key to {}@{} port {} lies with the server: log in there, and run \
             `ocim appserver ssh {id}`",
            address.ssh_user, address.ip, address.ssh_port
        );
        return Err(CliError::new(Kind::Unavailable, message));
    };
    let failed = |error: std::io::Error| {
        CliError::new(Kind::Failed, format!("can't run the `ssh` client: {error}"))
    };
    let login = Login::prepare(&folder.join("ssh"), &address, &server.host_keys).map_err(failed)?;
    let status = login.run(command).map_err(failed)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(CliError::ended(u8::try_from(code).unwrap_or(Kind::Failed as u8))),
        None => Err(CliError::new(Kind::Failed, "the login was killed")),
    }
}

fn address_of(server: &Server) -> Option<Address> {
    Some(Address {
        ip: server.public_ip.as_ref()?.parse().ok()?,
        ssh_port: server.ssh_port?.try_into().ok()?,
        http_port: server.http_port?.try_into().ok()?,
        ssh_user: server.ssh_user.clone()?,
        may_become_root: false,
    })
}
