//! Zones at Gandi, by version 5 of its LiveDNS API (<https://api.gandi.net/docs/livedns/>).
//!
//! A change is a request for each set of records; the service has no conditional ones. A set is read before
//! it is changed, and one that is new is made by a request that fails where there is one, so that what
//! somebody else has stays as it is.

use super::{Dns, Lead, NameToSet, OwnName, TakenName, Target, wire_name, zone_of};
use crate::cloud::is_simulated;
use crate::http_service::{HttpService, Service};
use async_trait::async_trait;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// Where the API is.
pub const DEFAULT_URL: &str = "https://api.gandi.net/v5/livedns";

/// Domains on a page, and the most pages that are read.
const PAGE: usize = 100;
const PAGES_MAX: usize = 1000;
/// The longest that all pages may take.
const LISTING_TIMEOUT: Duration = Duration::from_secs(60);
/// The shortest time that the service has resolvers keep a record, in seconds.
const TTL_SECONDS_MIN: u32 = 300;
/// How much of what a name is somewhere else is told.
const TOLD_CHARACTERS_MAX: usize = 200;
/// What stands for the zone itself among its names.
const APEX: &str = "@";

/// As whom Gandi is asked.
#[derive(Clone)]
pub enum GandiKey {
    /// A personal access token.
    Token(String),
    /// A key of the kind that Gandi has had before, which still opens it.
    ApiKey(String),
}

impl std::fmt::Debug for GandiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::ApiKey(_) => "ApiKey(…)",
        })
    }
}

/// Where Gandi is, and as whom it is asked.
#[derive(Clone)]
pub struct GandiAccess {
    /// The API's URL.
    pub url: String,
    /// As whom it is asked.
    pub key: GandiKey,
    /// A file of certificates (PEM) that are believed beside those that the computer believes.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for GandiAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GandiAccess").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The service.
#[derive(Debug)]
pub struct Gandi {
    service: HttpService,
    /// The account's domains, once they were asked for.
    zones: Mutex<Vec<String>>,
}

/// A domain of the account.
#[derive(Deserialize)]
struct Domain {
    fqdn: String,
}

/// The records that a name has of one type.
#[derive(Debug, Deserialize)]
struct RecordSet {
    rrset_type: String,
    #[serde(default)]
    rrset_ttl: u32,
    rrset_values: Vec<String>,
}

/// What the service says is wrong: either of two forms.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
}

/// A name by its place at the service.
struct Place<'a> {
    zone: &'a str,
    /// Within the zone.
    label: String,
}

impl Gandi {
    /// The service, which is not asked yet.
    ///
    /// # Errors
    /// Permanent when something of the access can't be, or the certificates can't be read.
    pub fn new(access: &GandiAccess) -> Result<Self, PortError> {
        let (setting, header) = match &access.key {
            GandiKey::Token(token) => ("OCIM_GANDI_TOKEN", format!("Bearer {token}")),
            GandiKey::ApiKey(key) => ("GANDI_API_KEY", format!("Apikey {key}")),
        };
        let service = Service {
            refused: ErrorCode::DnsRefused,
            url: "OCIM_GANDI_URL",
            key: setting,
            key_header: "authorization",
            ca_file: "OCIM_GANDI_CA_FILE",
        };
        let ca_file = access.ca_file.as_deref();
        let service = HttpService::new(service, &access.url, Some(&header), ca_file, true)?;
        Ok(Self { service, zones: Mutex::default() })
    }

    /// What an answer means that is no success, with what the service says of it.
    fn refuse(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> PortError {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let faults = refusal.errors.iter().map(|it| format!("{}: {}", it.name, it.description));
        let said: Vec<String> = refusal.message.into_iter().chain(faults).collect();
        match said.is_empty() {
            true => self.service.describe(status, headers, body),
            false => self.service.describe(status, headers, said.join("; ").as_bytes()),
        }
    }

    /// Refuses what says that there is none of a name, unless that is so: where it is not the service that
    /// says so, or the whole domain has left the account.
    async fn check_absence(&self, of: &Place<'_>, body: &[u8]) -> Result<(), PortError> {
        self.check_speaker(body)?;
        let path = ["domains", of.zone];
        let (status, headers, body) = self.service.ask(Method::GET, &path, &[], None).await?;
        match status {
            StatusCode::NOT_FOUND => {
                self.check_speaker(&body)?;
                self.zones.lock().await.clear();
                let text = format!("{} is no domain of the account at Gandi any more", of.zone);
                Err(PortError::permanent(ErrorCode::DnsZoneMissing, text))
            }
            status if status.is_success() => Ok(()),
            status => Err(self.refuse(status, &headers, &body)),
        }
    }

    /// Refuses what says that there is none, and is not the service.
    fn check_speaker(&self, body: &[u8]) -> Result<(), PortError> {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        if refusal.code == Some(StatusCode::NOT_FOUND.as_u16()) {
            return Ok(());
        }
        let place = self.service.place();
        let text = format!("who answers at {place} is not Gandi's API: see OCIM_GANDI_URL");
        Err(PortError::transient(text))
    }

    /// Asks for all domains of the account.
    async fn read_zones(&self) -> Result<Vec<String>, PortError> {
        let listed = tokio::time::timeout(LISTING_TIMEOUT, self.read_pages()).await;
        listed.unwrap_or_else(|_| {
            let (place, seconds) = (self.service.place(), LISTING_TIMEOUT.as_secs());
            let text = format!("Gandi ({place}) has not listed all domains in {seconds} seconds");
            Err(PortError::transient(text))
        })
    }

    async fn read_pages(&self) -> Result<Vec<String>, PortError> {
        let mut zones = vec![];
        for page in 1..=PAGES_MAX {
            let query = [("page", page.to_string()), ("per_page", PAGE.to_string())];
            let (status, headers, body) =
                self.service.ask(Method::GET, &["domains"], &query, None).await?;
            if !status.is_success() {
                return Err(self.refuse(status, &headers, &body));
            }
            let domains: Vec<Domain> = self.service.read(&body)?;
            let is_last = domains.is_empty() || !has_next(&headers);
            zones.extend(domains.iter().map(|domain| wire_name(&domain.fqdn)));
            if is_last {
                break;
            }
        }
        Ok(zones)
    }

    /// The domains that these names are in; those of the account are asked for where one is in none that
    /// is known.
    async fn zones_for<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Vec<String>, PortError> {
        let mut zones = self.zones.lock().await.clone();
        if names.clone().any(|name| zone_of(&zones, name).is_err()) {
            zones = self.list_zones().await?;
        }
        for name in names {
            zone_of(&zones, name)?;
        }
        Ok(zones)
    }

    /// The records that a name has.
    async fn read_name(&self, place: &Place<'_>) -> Result<Vec<RecordSet>, PortError> {
        let (status, headers, body) =
            self.service.ask(Method::GET, &place.path(), &[], None).await?;
        match status {
            StatusCode::NOT_FOUND => self.check_absence(place, &body).await.map(|()| vec![]),
            status if status.is_success() => self.service.read(&body),
            status => Err(self.refuse(status, &headers, &body)),
        }
    }

    /// Gives a name that record, by either request; false where it can't be, as there is one.
    async fn write(
        &self,
        method: Method,
        place: &Place<'_>,
        wanted: &NameToSet,
    ) -> Result<bool, PortError> {
        let value = match &wanted.target {
            Target::Name(target) => format!("{}.", wire_name(target)),
            Target::Address(ip) => ip.to_string(),
        };
        let body = json!({ "rrset_values": [value], "rrset_ttl": ttl_of(wanted) });
        let path = place.path_of(wanted.target.record_type());
        let (status, headers, body) = self.service.ask(method, &path, &[], Some(body)).await?;
        match status {
            StatusCode::CONFLICT => Ok(false),
            status if status.is_success() => Ok(true),
            status => {
                if status == StatusCode::NOT_FOUND {
                    // The domain may have left the account.
                    self.zones.lock().await.clear();
                }
                Err(self.refuse(status, &headers, &body))
            }
        }
    }

    async fn delete(&self, place: &Place<'_>, target: &Target) -> Result<(), PortError> {
        let path = place.path_of(target.record_type());
        let (status, headers, body) = self.service.ask(Method::DELETE, &path, &[], None).await?;
        match status {
            StatusCode::NOT_FOUND => self.check_absence(place, &body).await,
            status if status.is_success() => Ok(()),
            status => Err(self.refuse(status, &headers, &body)),
        }
    }

    /// Sets one name; gives what it is where it is somebody else's.
    async fn set_name(
        &self,
        place: &Place<'_>,
        wanted: &NameToSet,
    ) -> Result<Option<String>, PortError> {
        let targets: Vec<_> =
            std::iter::once(&wanted.target).chain(&wanted.formerly).cloned().collect();
        let sets = self.read_name(place).await?;
        let former = match judge(&sets, place.zone, &targets) {
            Lead::Foreign(is) => return Ok(Some(is)),
            Lead::Ours(former) => Some(former),
            Lead::Nowhere => None,
        };
        let is_type = |set: &&RecordSet| set.rrset_type == wanted.target.record_type();
        let is_written = match &former {
            Some(former) if former.is_same(&wanted.target) => {
                let is_kept_so_long = |set: &RecordSet| set.rrset_ttl == ttl_of(wanted);
                sets.iter().find(is_type).is_some_and(is_kept_so_long)
                    || self.write(Method::PUT, place, wanted).await?
            }
            Some(former) if former.record_type() == wanted.target.record_type() => {
                self.write(Method::PUT, place, wanted).await?
            }
            Some(former) => {
                self.delete(place, former).await?;
                self.write(Method::POST, place, wanted).await?
            }
            None => self.write(Method::POST, place, wanted).await?,
        };
        if is_written {
            return Ok(None);
        }
        // Somebody was there first.
        match judge(&self.read_name(place).await?, place.zone, &targets) {
            Lead::Ours(target) if target.is_same(&wanted.target) => Ok(None),
            Lead::Foreign(is) => Ok(Some(is)),
            Lead::Ours(_) | Lead::Nowhere => {
                let place = self.service.place();
                let text = format!("{place}: somebody else changes {} meanwhile", wanted.name);
                Err(PortError::transient(text).blamed_on(Blame::Caller))
            }
        }
    }
}

impl<'a> Place<'a> {
    fn new(zones: &'a [String], name: &str) -> Result<Self, PortError> {
        let zone = zone_of(zones, name)?;
        let name = wire_name(name);
        let label = name.strip_suffix(zone).unwrap_or(&name).trim_end_matches('.');
        Ok(Self { zone, label: if label.is_empty() { APEX } else { label }.to_owned() })
    }

    fn path(&self) -> [&str; 4] {
        ["domains", self.zone, "records", &self.label]
    }

    fn path_of<'b>(&'b self, record_type: &'b str) -> [&'b str; 5] {
        ["domains", self.zone, "records", &self.label, record_type]
    }
}

fn ttl_of(wanted: &NameToSet) -> u32 {
    wanted.ttl_seconds.max(TTL_SECONDS_MIN)
}

/// Whether there is a page after this one.
fn has_next(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|links| links.split(',')).any(|link| link.contains("rel=\"next\""))
}

/// Where a name leads that has these records, if any.
fn judge(sets: &[RecordSet], zone: &str, ours: &[Target]) -> Lead {
    let Some(first) = sets.first() else { return Lead::Nowhere };
    let is_there = |target: &&Target| sets.iter().any(|set| set.leads_to(zone, target));
    if let Some(target) = ours.iter().find(is_there) {
        return Lead::Ours(target.clone());
    }
    let told = format!("{} {}", first.rrset_type, first.rrset_values.join(", "));
    let told = decode_output(told.as_bytes());
    Lead::Foreign(told.chars().take(TOLD_CHARACTERS_MAX).collect())
}

impl RecordSet {
    /// Whether it leads there alone.
    fn leads_to(&self, zone: &str, target: &Target) -> bool {
        let [value] = self.rrset_values.as_slice() else { return false };
        let is = match target {
            // One without a dot at its end is within the zone.
            Target::Name(_) if !value.ends_with('.') => Target::Name(format!("{value}.{zone}")),
            Target::Name(_) => Target::Name(value.clone()),
            Target::Address(_) => match value.parse() {
                Ok(ip) => Target::Address(ip),
                Err(_) => return false,
            },
        };
        self.rrset_type == target.record_type() && is.is_same(target)
    }
}

#[async_trait]
impl Dns for Gandi {
    fn may_point_at(&self, address: IpAddr) -> bool {
        !is_simulated(address)
    }

    async fn set_names(&self, names: &[NameToSet]) -> Result<Vec<TakenName>, PortError> {
        let zones = self.zones_for(names.iter().map(|it| it.name.as_str())).await?;
        let mut taken = vec![];
        for wanted in names {
            let place = Place::new(&zones, &wanted.name)?;
            if let Some(is) = self.set_name(&place, wanted).await? {
                taken.push(TakenName { name: wanted.name.clone(), is });
            }
        }
        Ok(taken)
    }

    async fn find_name(&self, own: &OwnName) -> Result<Lead, PortError> {
        let leads = self.find_names(std::slice::from_ref(own)).await?;
        Ok(leads.into_iter().next().unwrap_or(Lead::Nowhere))
    }

    async fn find_names(&self, names: &[OwnName]) -> Result<Vec<Lead>, PortError> {
        let zones = self.zones_for(names.iter().map(|it| it.name.as_str())).await?;
        let mut leads = Vec::with_capacity(names.len());
        for own in names {
            let place = Place::new(&zones, &own.name)?;
            leads.push(judge(&self.read_name(&place).await?, place.zone, &own.targets));
        }
        Ok(leads)
    }

    async fn remove_names(&self, names: &[OwnName]) -> Result<(), PortError> {
        let zones = self.zones_for(names.iter().map(|it| it.name.as_str())).await?;
        for own in names {
            let place = Place::new(&zones, &own.name)?;
            let sets = self.read_name(&place).await?;
            if let Lead::Ours(target) = judge(&sets, place.zone, &own.targets) {
                self.delete(&place, &target).await?;
            }
        }
        Ok(())
    }

    async fn list_zones(&self) -> Result<Vec<String>, PortError> {
        let zones = self.read_zones().await?;
        self.zones.lock().await.clone_from(&zones);
        Ok(zones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_its_zone() {
        let zones = ["example.com".to_owned()];
        for (name, label) in [
            ("a.b.example.com", "a.b"),
            ("EXAMPLE.com.", "@"),
            ("bücher.example.com", "xn--bcher-kva"),
        ] {
            assert_eq!(Place::new(&zones, name).unwrap().label, label, "{name}");
        }
    }

    #[test]
    fn a_set_is_ours_where_it_leads_where_we_wrote_and_nowhere_else() {
        let set = |rrset_type: &str, values: &[&str]| RecordSet {
            rrset_type: rrset_type.to_owned(),
            rrset_ttl: 300,
            rrset_values: values.iter().map(|it| (*it).to_owned()).collect(),
        };
        let judge = |sets: &[RecordSet], target: &str| {
            judge(sets, "example.com", &[target.parse().unwrap()])
        };
        let is_ours = |sets: &[RecordSet], target| matches!(judge(sets, target), Lead::Ours(_));
        assert!(is_ours(&[set("CNAME", &["LB.example.com."])], "lb.example.com"));
        assert!(is_ours(&[set("CNAME", &["lb"])], "lb.example.com"));
        assert!(!is_ours(&[set("CNAME", &["lb.example.com"])], "lb.example.com"));
        assert!(is_ours(&[set("TXT", &["\"x\""]), set("A", &["192.0.2.1"])], "192.0.2.1"));
        assert!(!is_ours(&[set("A", &["192.0.2.1", "192.0.2.2"])], "192.0.2.1"));
        assert!(is_ours(&[set("AAAA", &["2001:DB8:0::1"])], "2001:db8::1"));
        assert_eq!(judge(&[], "192.0.2.1"), Lead::Nowhere);
        let foreign = Lead::Foreign("MX 10 a., 20 b.".to_owned());
        assert_eq!(judge(&[set("MX", &["10 a.", "20 b."])], "192.0.2.1"), foreign);
    }
}
