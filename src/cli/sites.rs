//! Where a site is, and its test login, as people are told; `ocim instance open`.

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use ocim_api_spec::{AppserverDetail, InstanceDetail, ReferenceKind, Site};
use std::process::{Command, Stdio};

/// Says where an appserver's site is, and how to look at it without the balancer.
///
/// # Errors
/// What the server says.
pub(super) async fn tell_site(
    appserver: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    if output.json {
        return Ok(());
    }
    let detail: AppserverDetail = client.get(&format!("/appservers/{appserver}")).await?;
    let Some(site) = &detail.site else { return Ok(()) };
    if detail.appserver.is_active {
        tell_addresses(site, output)?;
    } else {
        output.line(format!("it gets no traffic yet: `ocim appserver activate {appserver}`"))?;
    }
    if let Some(url) = &site.machine_url {
        let host = site.lms_url.split('/').nth(2).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        output.line(format!("machine: {url} (with `Host: {host}` and the test login)"))?;
    }
    tell_login(site, output)
}

fn tell_addresses(site: &Site, output: &mut Output) -> Result<(), CliError> {
    output.line(format!("site:    {}", site.lms_url))?;
    output.line(format!("studio:  {}", site.studio_url))
}

fn tell_login(site: &Site, output: &mut Output) -> Result<(), CliError> {
    output.line(format!("login:   {} {}", site.user, site.password))
}

/// Opens a site in this computer's browser, if there is one; says where it is in any case.
///
/// # Errors
/// What the server says.
pub(super) async fn open_site(
    instance: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, instance).await?;
    let detail: InstanceDetail = client.get(&format!("/instances/{id}")).await?;
    if output.json {
        return output.document(&detail.site);
    }
    tell_addresses(&detail.site, output)?;
    tell_login(&detail.site, output)?;
    if detail.instance.active_appservers.is_empty() {
        return output.line("nothing serves it yet: launch an appserver with --activate");
    }
    if !output.is_terminal() {
        return Ok(());
    }
    let mut opener = Command::new("xdg-open");
    opener.arg(&detail.site.lms_url).stdin(Stdio::null()).stdout(Stdio::null());
    // Without a desktop, one has read the address.
    let _ = opener.stderr(Stdio::null()).status();
    Ok(())
}
