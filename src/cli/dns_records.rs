//! `ocim instance records`: what the names of a site need in the DNS.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::Output;
use ocim_api_spec::{DnsRecord, DnsRecordState, DnsRecordType, DnsRecords, ReferenceKind};

/// Lists the records; fails if some are looked up and are not set.
///
/// # Errors
/// [`Kind::NeedsYou`] then; what the server says.
pub(super) async fn list_records(
    instance: &str,
    check: bool,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, instance).await?;
    let path = format!("/instances/{id}/dns_records");
    let listed: DnsRecords = client.get_patiently(&path, &[("check", check.to_string())]).await?;
    if output.json {
        output.record(&listed)?;
    } else {
        let by = |it: &DnsRecord| if it.is_managed { "Ocim" } else { "you" }.to_owned();
        output.table(
            &listed.records,
            &[
                ("NAME", &|it| it.name.clone()),
                ("TYPE", &|it| type_of(it).to_owned()),
                ("VALUE", &|it| it.value.clone()),
                ("SET BY", &by),
                ("NOW", &|it| it.state.map(state_of).unwrap_or_default().to_owned()),
                ("FOUND", &|it| it.found.clone().unwrap_or_default()),
            ],
        )?;
        listed.note.iter().try_for_each(|note| output.line(note))?;
        let address = listed.balancer_address.iter();
        address
            .map(|ip| format!("a name that can't be a CNAME leads to {ip}"))
            .try_for_each(|line| output.line(line))?;
    }
    let is_wrong = |it: &&DnsRecord| it.state.is_some_and(|state| state != DnsRecordState::Set);
    match listed.records.iter().filter(is_wrong).count() {
        0 => Ok(()),
        1 => Err(CliError::new(Kind::NeedsYou, "1 record is not set")),
        count => Err(CliError::new(Kind::NeedsYou, format!("{count} records are not set"))),
    }
}

fn type_of(record: &DnsRecord) -> &'static str {
    match record.record_type {
        DnsRecordType::Cname => "CNAME",
        DnsRecordType::A => "A",
        DnsRecordType::Aaaa => "AAAA",
    }
}

fn state_of(state: DnsRecordState) -> &'static str {
    match state {
        DnsRecordState::Set => "set",
        DnsRecordState::Missing => "missing",
        DnsRecordState::Elsewhere => "elsewhere",
        DnsRecordState::Unknown => "unknown",
    }
}
