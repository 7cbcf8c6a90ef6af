//! Zones of a DNS server that takes dynamic updates (RFC 2136), which are signed with a key (TSIG).
//!
//! What changes in a zone at a time is one message: all of it is done or nothing. Each message says what
//! must hold for it to be done, so that a name that somebody else has, or takes meanwhile, stays as it is.
//! What names lead to is asked in the same way, by messages that change nothing: the server compares what
//! the zone really has, where an answer to a query may come from a wildcard.

mod exchange;

use super::{Dns, Lead, NameToSet, OwnName, TakenName, Target, wire_name, zone_of};
use crate::cloud::is_simulated;
use async_trait::async_trait;
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, Rtype, ToName, UnknownRecordData};
use domain::rdata::{A, Aaaa, Cname};
use exchange::{Connection, Entry, Server, Update, WireName};
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::system::Clock;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What it is called in messages, before the host.
const SERVER: &str = "the DNS server";
/// The algorithms of keys, the usual one first.
pub const ALGORITHMS: [&str; 4] = ["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha1"];

/// Whether that can be where a server is: a host, with a port or without.
#[must_use]
pub fn is_server(text: &str) -> bool {
    exchange::read_address(text).is_some()
}

/// Whether that can be a key, in base64.
#[must_use]
pub fn is_key(secret: &str) -> bool {
    exchange::read_secret(secret).is_some()
}

/// Which server has the zones, and by which key it knows us.
#[derive(Clone)]
pub struct Rfc2136Access {
    /// Its host, with a port or without.
    pub server: String,
    /// The zones that names are written into.
    pub zones: Vec<String>,
    /// The key's name.
    pub key_name: String,
    /// One of [`ALGORITHMS`].
    pub algorithm: String,
    /// The key itself, in base64.
    pub secret: String,
}

impl std::fmt::Debug for Rfc2136Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rfc2136Access").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The server.
#[derive(Debug)]
pub struct Rfc2136 {
    server: Server,
    zones: Vec<String>,
}

impl Rfc2136 {
    /// The server, which is not asked yet.
    ///
    /// # Errors
    /// Permanent, with the setting, when something of the access can't be.
    pub fn new(access: &Rfc2136Access, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let zones = access.zones.iter().map(|zone| wire_name(zone)).collect();
        Ok(Self { server: Server::new(access, clock)?, zones })
    }

    /// What of each zone is asked for, by the zone.
    fn by_zone<'a, T>(
        &self,
        wanted: &'a [T],
        name: impl Fn(&T) -> &str,
    ) -> Result<BTreeMap<&str, Vec<&'a T>>, PortError> {
        let mut by_zone: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
        for one in wanted {
            by_zone.entry(zone_of(&self.zones, name(one))?).or_default().push(one);
        }
        Ok(by_zone)
    }

    /// Sets names of one zone; gives those that are somebody else's.
    async fn set_in_zone(
        &self,
        connection: &mut Connection<'_>,
        zone: &str,
        names: &[&NameToSet],
    ) -> Result<Vec<TakenName>, PortError> {
        // As they are by all that we know.
        let known: Vec<_> = names.iter().map(|name| (*name, name.formerly.first())).collect();
        if self.write(connection, zone, &known).await? {
            return Ok(vec![]);
        }
        // Some are not as we know them: each is looked at.
        let (mut seen, mut taken) = (vec![], vec![]);
        for name in names {
            let targets = std::iter::once(&name.target).chain(&name.formerly).cloned().collect();
            let own = OwnName { name: name.name.clone(), targets };
            match self.look(connection, zone, &own).await? {
                Lead::Nowhere => seen.push((*name, None)),
                Lead::Ours(target) => seen.push((*name, Some(target))),
                Lead::Foreign(is) => taken.push(TakenName { name: name.name.clone(), is }),
            }
        }
        let seen: Vec<_> = seen.iter().map(|(name, is)| (*name, is.as_ref())).collect();
        if seen.is_empty() || self.write(connection, zone, &seen).await? {
            return Ok(taken);
        }
        let place = self.server.place();
        let message = format!("{place}: somebody else changes {zone} at the same time");
        Err(PortError::transient(message).blamed_on(Blame::Caller))
    }

    /// Writes names of one zone that lead there now, or nowhere; false, and nothing is written, if they
    /// do not.
    async fn write(
        &self,
        connection: &mut Connection<'_>,
        zone: &str,
        names: &[(&NameToSet, Option<&Target>)],
    ) -> Result<bool, PortError> {
        let (mut prerequisites, mut changes) = (vec![], vec![]);
        for (NameToSet { name, target, formerly, ttl_seconds }, is) in names {
            let name = self.wire(name)?;
            prerequisites.push(match is {
                Some(is) => self.record(&name, Class::IN, 0, is)?,
                None => not_in_use(&name)?,
            });
            for former in formerly.iter().filter(|former| !former.is_same(target)) {
                changes.push(self.record(&name, Class::NONE, 0, former)?);
            }
            changes.push(self.record(&name, Class::IN, *ttl_seconds, target)?);
        }
        let update = Update { zone: self.wire(zone)?, prerequisites, changes };
        self.holds(connection, zone, &update).await
    }

    /// Where a name of that zone leads.
    async fn look(
        &self,
        connection: &mut Connection<'_>,
        zone: &str,
        own: &OwnName,
    ) -> Result<Lead, PortError> {
        let name = self.wire(&own.name)?;
        let mut asks = Update { zone: self.wire(zone)?, prerequisites: vec![], changes: vec![] };
        for target in &own.targets {
            asks.prerequisites = vec![self.record(&name, Class::IN, 0, target)?];
            if self.holds(connection, zone, &asks).await? {
                return Ok(Lead::Ours(target.clone()));
            }
        }
        asks.prerequisites = vec![not_in_use(&name)?];
        if self.holds(connection, zone, &asks).await? {
            return Ok(Lead::Nowhere);
        }
        Ok(Lead::Foreign(describe(connection, &name).await?))
    }

    /// Whether what must hold for an update holds; then it is done.
    async fn holds(
        &self,
        connection: &mut Connection<'_>,
        zone: &str,
        update: &Update,
    ) -> Result<bool, PortError> {
        let place = self.server.place();
        let refused =
            |why: String| PortError::permanent(ErrorCode::DnsRefused, format!("{place} {why}"));
        let rcode = connection.update(update).await?;
        Err(match rcode {
            Rcode::NOERROR => return Ok(true),
            Rcode::NXDOMAIN | Rcode::YXDOMAIN | Rcode::YXRRSET | Rcode::NXRRSET => {
                return Ok(false);
            }
            Rcode::REFUSED => refused(format!(
                "does not let the key of OCIM_DNS_KEY_NAME change {zone} (REFUSED)"
            )),
            Rcode::NOTAUTH | Rcode::NOTZONE => refused(format!(
                "does not have the zone {zone} ({rcode}): see OCIM_DNS_SERVER and OCIM_DNS_ZONES"
            )),
            Rcode::NOTIMP => refused("takes no updates (NOTIMP)".to_owned()),
            Rcode::FORMERR => refused("does not understand the update (FORMERR)".to_owned()),
            rcode => PortError::transient(format!("{place} answers {rcode} for {zone}")),
        })
    }

    fn wire(&self, name: &str) -> Result<WireName, PortError> {
        wire_name(name).parse().map_err(|_| {
            let text = format!("{name} can't be a name in the DNS");
            PortError::permanent(ErrorCode::DnsRefused, text)
        })
    }

    /// The record by which a name leads there.
    fn record(
        &self,
        name: &WireName,
        class: Class,
        ttl: u32,
        target: &Target,
    ) -> Result<Entry, PortError> {
        let (rtype, data) = match target {
            Target::Name(target) => (Rtype::CNAME, self.wire(target)?.as_slice().to_vec()),
            Target::Address(IpAddr::V4(ip)) => (Rtype::A, ip.octets().to_vec()),
            Target::Address(IpAddr::V6(ip)) => (Rtype::AAAA, ip.octets().to_vec()),
        };
        entry(name, class, ttl, rtype, data)
    }
}

/// What must hold for a name that nobody has.
fn not_in_use(name: &WireName) -> Result<Entry, PortError> {
    entry(name, Class::NONE, 0, Rtype::ANY, vec![])
}

fn entry(
    name: &WireName,
    class: Class,
    ttl: u32,
    rtype: Rtype,
    data: Vec<u8>,
) -> Result<Entry, PortError> {
    let data = UnknownRecordData::from_octets(rtype, data)
        .map_err(|error| PortError::permanent(ErrorCode::Defect, error.to_string()))?;
    Ok(Entry { name: name.clone(), class, ttl, data })
}

/// What a name is to whoever asks for it, as people read it.
async fn describe(connection: &mut Connection<'_>, name: &WireName) -> Result<String, PortError> {
    for rtype in [Rtype::A, Rtype::AAAA] {
        let answer = connection.query(name, rtype).await?;
        if let Some(told) = read_record(&answer, name) {
            return Ok(told);
        }
    }
    Ok("records of other types".to_owned())
}

/// The first record of a name in an answer.
fn read_record(answer: &Message<Vec<u8>>, name: &WireName) -> Option<String> {
    let records = || answer.answer().ok().into_iter().flatten().filter_map(Result::ok);
    records().filter(|record| record.owner().name_eq(name)).find_map(|record| {
        if let Ok(Some(alias)) = record.to_record::<Cname<_>>() {
            return Some(format!("CNAME {}", alias.data().cname()));
        }
        if let Ok(Some(address)) = record.to_record::<A>() {
            return Some(format!("A {}", address.data().addr()));
        }
        let address = record.to_record::<Aaaa>().ok()??;
        Some(format!("AAAA {}", address.data().addr()))
    })
}

#[async_trait]
impl Dns for Rfc2136 {
    fn may_point_at(&self, address: IpAddr) -> bool {
        !is_simulated(address)
    }

    async fn set_names(&self, names: &[NameToSet]) -> Result<Vec<TakenName>, PortError> {
        let mut taken = vec![];
        let by_zone = self.by_zone(names, |name| &name.name)?;
        if by_zone.is_empty() {
            return Ok(taken);
        }
        let mut connection = self.server.connect().await?;
        for (zone, names) in by_zone {
            taken.extend(self.set_in_zone(&mut connection, zone, &names).await?);
        }
        Ok(taken)
    }

    async fn find_name(&self, name: &OwnName) -> Result<Lead, PortError> {
        let zone = zone_of(&self.zones, &name.name)?;
        self.look(&mut self.server.connect().await?, zone, name).await
    }

    async fn find_names(&self, names: &[OwnName]) -> Result<Vec<Lead>, PortError> {
        let mut connection = self.server.connect().await?;
        let mut leads = Vec::with_capacity(names.len());
        for own in names {
            let zone = zone_of(&self.zones, &own.name)?;
            leads.push(self.look(&mut connection, zone, own).await?);
        }
        Ok(leads)
    }

    async fn remove_names(&self, names: &[OwnName]) -> Result<(), PortError> {
        let by_zone = self.by_zone(names, |name| &name.name)?;
        if by_zone.is_empty() {
            return Ok(());
        }
        let mut connection = self.server.connect().await?;
        for (zone, names) in by_zone {
            let mut changes = vec![];
            for own in names {
                let name = self.wire(&own.name)?;
                // Of these records those go that are there; all others stay.
                for target in &own.targets {
                    changes.push(self.record(&name, Class::NONE, 0, target)?);
                }
            }
            let update = Update { zone: self.wire(zone)?, prerequisites: vec![], changes };
            self.holds(&mut connection, zone, &update).await?;
        }
        Ok(())
    }

    async fn list_zones(&self) -> Result<Vec<String>, PortError> {
        let mut connection = self.server.connect().await?;
        for zone in &self.zones {
            let name = self.wire(zone)?;
            let is_there = vec![entry(&name, Class::ANY, 0, Rtype::ANY, vec![])?];
            let update = Update { zone: name, prerequisites: is_there, changes: vec![] };
            self.holds(&mut connection, zone, &update).await?;
        }
        Ok(self.zones.clone())
    }
}
