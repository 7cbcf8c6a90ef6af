//! `vm1`, `vm2`, … below a site's own domain: they lead to the machines that receive its traffic.

use super::super::machines::load_server;
use super::super::step::{Progress, StepContext, StepError};
use super::super::traffic::instance_of;
use super::dns_name::{DnsName, target_of};
use super::dns_names::{lock_names, remove_known_names, set_names};
use super::removal::entries_of;
use ocim_adapters::dns::{Dns, TakenName, Target};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::ledger::Kind;
use std::sync::Arc;

/// Step of runs that move traffic: has those names follow it. One run at a time writes them, and reads
/// under the lock who is in traffic, so that of several the last one delivers what all recorded.
pub async fn update_machine_names(context: StepContext) -> Result<Progress, StepError> {
    let Some(dns) = context.world.ports.dns.clone() else {
        return Ok(Progress::Skipped("no DNS service is configured".to_owned()));
    };
    let id = instance_of(&context).await?;
    let _one_at_a_time = lock_names(&context, id).await;
    let (instance, _) = context.world.app.load_instance(id).await?;
    let wanted = find_wanted(&context, &dns, id, &instance).await?;
    for TakenName { name, is } in set_names(&context, &wanted).await? {
        context.say(format!("{name} is somebody else's in the DNS, and stays so: {is}")).await;
    }
    let mut known = entries_of(&context, id, Kind::DnsName).await?;
    known.retain(|entry| {
        let is_wanted = wanted.iter().any(|name| name.name() == entry.resource.id.key);
        matches!(target_of(&entry.resource), Target::Address(_)) && !is_wanted
    });
    remove_known_names(&context, id, known).await.end(&context, Kind::DnsName).await
}

/// The names of those in traffic, those first who came first; none of what is out of service.
async fn find_wanted(
    context: &StepContext,
    dns: &Arc<dyn Dns>,
    id: InstanceId,
    instance: &instance::Present,
) -> Result<Vec<DnsName>, StepError> {
    if !instance.shows_page() {
        return Ok(vec![]);
    }
    let mut wanted = vec![];
    for (appserver, name) in instance.active.iter().zip(instance.machine_domains()) {
        let server = context.world.app.load_appserver(*appserver).await?.launched.server;
        let Some(address) = load_server(context, server).await?.address else { continue };
        if !dns.may_point_at(address.ip) {
            continue;
        }
        let app = &context.world.app;
        if !app.reserve_machine_domain(&context.metadata(), id, &name).await? {
            context.say(format!("{name} is another instance's: it does not lead here")).await;
            continue;
        }
        wanted.push(DnsName::of_machine(dns, id, name, address.ip));
    }
    Ok(wanted)
}
