//! The records that the names of a site need in the DNS.

use super::Api;
use super::extract::{Params, read_flag};
use super::instances::{INSTANCE_ID, INSTANCES};
use super::problem::HttpError;
use super::routes::{Access, Answer, Content, Input, Route, Verb, handler};
use crate::dns_records::{Look, SiteRecord};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use ocim_adapters::dns::Target;
use ocim_api_spec::{DnsRecord, DnsRecordState, DnsRecordType, DnsRecords};
use ocim_domain::ids::InstanceId;
use ocim_domain::right::Right;
use serde::Deserialize;
use std::net::IpAddr;
use utoipa::IntoParams;

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(list_dns_records),
    method: Verb::Get,
    path: "/api/v1/instances/{id}/dns_records",
    tag: INSTANCES,
    summary: "Lists the records that the names of a site need in the DNS",
    description: "Those that Ocim writes, and those that somebody has to set: of external domains, and \
        of all where no DNS service is configured. Each is looked up, if that is asked for, by the \
        resolver of the computer that Ocim is on.",
    access: Access::Granted(Right::InstancesRead),
    takes: Input::NOTHING.path(&[INSTANCE_ID]).query::<RecordParams>(),
    answers: &[Answer {
        status: 200,
        description: "The records",
        content: &[Content::json::<DnsRecords>()],
        headers: &[],
        links: &[],
    }],
    refuses: &[],
}];

/// What is asked of the records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecordParams {
    /// Look each of them up.
    #[serde(default, deserialize_with = "read_flag")]
    check: bool,
}

/// Lists the records of a site.
async fn list_dns_records(
    api: Data<Api>,
    id: Path<InstanceId>,
    Params(params): Params<RecordParams>,
) -> Result<HttpResponse, HttpError> {
    let listed = api.records.list_records(*id, params.check).await?;
    Ok(HttpResponse::Ok().json(DnsRecords {
        balancer_address: listed.balancer_address.map(|ip| ip.to_string()),
        records: listed.records.into_iter().map(show_record).collect(),
        note: listed.note,
    }))
}

fn show_record(record: SiteRecord) -> DnsRecord {
    let record_type = match record.target {
        Target::Name(_) => DnsRecordType::Cname,
        Target::Address(IpAddr::V4(_)) => DnsRecordType::A,
        Target::Address(IpAddr::V6(_)) => DnsRecordType::Aaaa,
    };
    let (state, found) = match record.look {
        None => (None, None),
        Some(Look::Set) => (Some(DnsRecordState::Set), None),
        Some(Look::Missing) => (Some(DnsRecordState::Missing), None),
        Some(Look::Elsewhere(found)) => {
            let found: Vec<_> = found.iter().map(IpAddr::to_string).collect();
            (Some(DnsRecordState::Elsewhere), Some(found.join(", ")))
        }
        Some(Look::Unknown(why)) => (Some(DnsRecordState::Unknown), Some(why)),
    };
    let (name, value) = (record.name, record.target.to_string());
    DnsRecord { name, record_type, value, is_managed: record.is_managed, state, found }
}
