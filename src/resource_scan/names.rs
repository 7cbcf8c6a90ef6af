//! Names in the DNS that ledgers have, or once had. Nothing in a zone bears a mark of ours: what was
//! written is known from the ledgers, and what leads elsewhere is somebody else's.

use super::{Looked, Scan, ScanAsk, Unanswered, left, missing};
use crate::app::{Holding, Holdings};
use crate::processes::resource::dns_name::DnsName;
use crate::processes::step::StepError;
use crate::processes::world::World;
use ocim_adapters::dns::{Dns, Lead, OwnName};
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::Class;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What it is called, whichever service it is.
pub(super) const PROVIDER: &str = "DNS";
/// Names that are asked for together.
const NAMES_AT_A_TIME: usize = 50;
/// How long names are asked for; the log is read after that.
const LOOKING_TIME: Duration = Duration::from_secs(45);

/// Asks for each name, as long as there is time; how many are left is told.
pub(super) async fn look(world: &World, ask: ScanAsk, before: &Holdings, begun: Instant) -> Looked {
    let is_asked = |holding: &&Holding| {
        let is_owner = ask.instance.is_none_or(|instance| instance == holding.instance);
        holding.resource.id.kind == Kind::DnsName && is_owner
    };
    let all = before.held().chain(before.formers()).map(|(_, holding)| holding);
    let all: Vec<_> = all.filter(is_asked).collect();
    let Some(dns) = &world.ports.dns else { return Ok(Scan::default()) };
    let (mut leads, mut unseen) = (BTreeMap::new(), None);
    for some in all.chunks(NAMES_AT_A_TIME) {
        let names = some.iter().map(|holding| Ok(DnsName::of_former(world, holding)?.own_name()));
        let names: Vec<OwnName> = names.collect::<Result<_, StepError>>()?;
        let asked = timeout_at(begun + LOOKING_TIME, find_names(&**dns, &names)).await;
        let late = |_| vec![Err("there was no time left".to_owned())];
        for (holding, found) in some.iter().zip(asked.unwrap_or_else(late)) {
            match found {
                Ok(lead) => drop(leads.insert(holding.id(), lead)),
                Err(error) => unseen = unseen.or(Some(error)),
            }
        }
    }
    let mut scan = Scan::default();
    if let Some(error) = unseen {
        let error = format!("{} names were not looked at: {error}", all.len() - leads.len());
        scan.unanswered.push(Unanswered { provider: PROVIDER.to_owned(), error });
    }
    let after = world.app.read_holdings().await?;
    for (id, lead) in leads {
        let (held, former) = (after.holder_of(&id), after.former(&id));
        match (held.filter(|it| it.is_present()), former, lead) {
            (Some(holding), _, Lead::Nowhere) => {
                scan.missing.push(missing(holding, PROVIDER, None));
            }
            // It may have been led there after it was looked at.
            (Some(holding), _, Lead::Foreign(is)) if before.holder_of(&id) == Some(holding) => {
                scan.missing.push(missing(holding, PROVIDER, Some(is)));
            }
            (_, Some(holding), Lead::Ours(_)) => scan.orphans.push(left(holding, PROVIDER)),
            _ => {}
        }
    }
    Ok(scan)
}

/// Where names lead. One that is in no zone of ours any more keeps nobody from the others.
async fn find_names(dns: &dyn Dns, names: &[OwnName]) -> Vec<Result<Lead, String>> {
    let error = match dns.find_names(names).await {
        Ok(leads) => return leads.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if error.class != Class::Permanent {
        return vec![Err(error.message)];
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        found.push(dns.find_name(name).await.map_err(|error| error.message));
    }
    found
}
