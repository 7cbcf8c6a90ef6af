//! A past: sites that were launched and taken away again, and what that left in streams that all share.

use crate::projections::history::{Site, Step};
use futures_util::future::join_all;
use ocim_adapters::system::SystemIds;
use ocim_domain::appserver;
use ocim_domain::event::{DomainEvent, Metadata, NewEvent, StreamId};
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::incident;
use ocim_domain::instance::{Hold, Maintenance};
use ocim_domain::inventory::{self, inventory_id};
use ocim_domain::load_balancer;
use ocim_domain::mail::{self, About};
use ocim_domain::region::{self, region_id};
use ocim_domain::system::Ids;
use ocim_domain::{instance, server};
use ocim_engine::store::{EventStore, Expected};
use serde_json::json;
use std::collections::BTreeMap;

/// Sites whose streams go into the store together.
const TOGETHER: u128 = 200;

/// Records the lives of so many sites that about `events` events come of it, which used this balancer
/// and this region. Nothing of it is open afterwards.
pub(crate) async fn record_past(
    store: &dyn EventStore,
    events: usize,
    balancer: LoadBalancerId,
    region: &str,
) {
    let (mut recorded, mut number) = (0, 1);
    while recorded < events {
        let mut streams: BTreeMap<StreamId, Vec<NewEvent>> = BTreeMap::new();
        for _ in 0..TOGETHER.min((events - recorded).div_ceil(30) as u128) {
            let site = Site::new(number);
            for (stream, kind, mut data) in live(&site, balancer, region) {
                if kind == "server.requested" {
                    data["region"] = json!(region);
                }
                let meta = Metadata::by("token:bygone");
                let event = NewEvent { id: SystemIds.new_id(), kind, schema: 1, data, meta };
                streams.entry(stream).or_default().push(with_schema(event));
            }
            number += 1;
        }
        recorded += streams.values().map(Vec::len).sum::<usize>();
        join_all(streams.into_iter().map(|(stream, events)| append(store, stream, events))).await;
    }
}

/// The newest schema of the kind, which is what the payload has.
fn with_schema(event: NewEvent) -> NewEvent {
    let kinds = ocim_domain::saga::Event::KINDS.iter().find(|(kind, _)| *kind == event.kind);
    NewEvent { schema: kinds.map_or(1, |(_, schema)| *schema), ..event }
}

async fn append(store: &dyn EventStore, stream: StreamId, events: Vec<NewEvent>) {
    let known = store.read_stream(&stream, 0).await.unwrap();
    let expected = known.last().map_or(Expected::NoStream, |last| Expected::Exact(last.version));
    store.append(&stream, expected, events).await.unwrap();
}

fn step<E: DomainEvent>(stream: StreamId, event: &E) -> Step {
    let (kind, _, data) = event.encode().unwrap();
    (stream, kind, data)
}

/// A site's life from its creation to the end of its machine.
fn live(site: &Site, balancer: LoadBalancerId, region: &str) -> Vec<Step> {
    let fragment = format!("ocim-{}-main", site.instance);
    let applied = |digest: Option<&str>| {
        let (fragment, digest) = (fragment.clone(), digest.map(str::to_owned));
        let event = load_balancer::Event::FragmentApplied { fragment, digest };
        step(balancer.stream(), &event)
    };
    let slot = |event: region::Event| step(region_id(region).stream(), &event);
    let seen = |event: inventory::Event| step(inventory_id(region).stream(), &event);
    let (run, at) = (site.run, "2026-11-22T13:00:00Z".parse().unwrap());
    // The balancer is there already.
    let mut steps: Vec<_> = site.creation().into_iter().skip(1).collect();
    steps.extend([
        slot(region::Event::RunQueued { run, bulk_max: None }),
        slot(region::Event::RunAdmitted { run }),
        slot(region::Event::RunLeft { run }),
    ]);
    for _ in 0..2 {
        let (name, error) = (region.to_owned(), "away".to_owned());
        steps.push(seen(inventory::Event::SightLost { region: name.clone(), error }));
        steps.push(seen(inventory::Event::SightRegained { region: name }));
    }
    steps.extend(site.launch());
    steps.extend([
        applied(Some("0a")),
        applied(Some("0b")),
        applied(None),
        step(site.server.stream(), &server::Event::Terminated {}),
        step(site.appserver.stream(), &appserver::Event::Deactivated { at }),
        step(
            site.appserver.stream(),
            &appserver::Event::Terminated { status: appserver::Status::Terminated, at },
        ),
        step(
            site.instance.stream(),
            &instance::Event::TrafficAssigned {
                active: vec![],
                added: vec![],
                removed: vec![site.appserver],
                names: ocim_domain::names::RoutedNames::default(),
            },
        ),
    ]);
    steps.extend(around(site, region));
    steps
}

/// What was recorded of it beside: a hold and a maintenance that are over, a mail that was delivered, a
/// pause that has ended.
fn around(site: &Site, region: &str) -> Vec<Step> {
    use instance::Event as I;
    let of_site = |event: I| step(site.instance.stream(), &event);
    let at = "2026-11-22T13:00:00Z".parse().unwrap();
    let page = Maintenance { message: "Works".to_owned(), until: at };
    let (holder, reason) = ("token:bygone".to_owned(), "works".to_owned());
    let hold = Hold { holder: holder.clone(), reason: reason.clone(), until: at };
    let about = About::LaunchFailed {
        instance: site.instance,
        appserver: site.appserver,
        launch: site.run,
    };
    let mail = |event: mail::Event| step(about.mail_id().stream(), &event);
    let subject = incident::Subject::Region(region.to_owned());
    let paused = incident::incident_id(incident::Kind::Pause, &subject).stream();
    let began = incident::Event::Began {
        number: 1,
        trouble: incident::Kind::Pause,
        subject,
        reason,
        until: None,
    };
    vec![
        of_site(I::Held(hold)),
        of_site(I::HoldReleased { holder, reason: None }),
        of_site(I::MaintenanceRequested { run: site.run, page: Some(page.clone()) }),
        of_site(I::MaintenanceChanged { run: site.run, page: Some(page) }),
        of_site(I::MaintenanceRequested { run: site.run, page: None }),
        of_site(I::MaintenanceChanged { run: site.run, page: None }),
        mail(mail::Event::Requested { about, run: site.run, recipients: 1 }),
        mail(mail::Event::Delivered { refused: 0 }),
        step(paused.clone(), &began),
        step(paused, &incident::Event::Ended { number: 1 }),
    ]
}
