//! Steps around an instance's load balancer: choose one, compose its fragment, send it.

use super::machines::load_server;
use super::resource::fragment::SiteFragment;
use super::resource::{Resource, ensure_one, record_absent};
use super::step::{Progress, StepContext, StepError, done};
use super::world::World;
use crate::app::{AppError, link_hosts};
use crate::logs::masking::Masker;
use ocim_adapters::balancer::{BalancerHost, Fragment, https_port};
use ocim_domain::appserver;
use ocim_domain::configuration::secrets::HttpAuth;
use ocim_domain::fragment::{
    FragmentInput, FragmentServer, ProbeInput, TestInput, backend_name, compose_fragment,
    fragment_name, probe_backend_name, probe_host, redirect_backend_name,
};
use ocim_domain::ids::{AppserverId, InstanceId, LoadBalancerId};
use ocim_domain::instance::{self, Maintenance};
use ocim_domain::load_balancer::{self, LoadBalancer, Registration};
use ocim_domain::names::RoutedNames;
use ocim_domain::run_record::InstanceInput;
use ocim_domain::saga::ErrorCode;

/// Ties the instance to a balancer, chosen by the run's key among those that accept backends
/// (core §3.4 step 1). Waits while one is being made.
pub async fn assign_load_balancer(context: StepContext) -> Result<Progress, StepError> {
    let input: InstanceInput = context.input()?;
    let app = &context.world.app;
    let (instance, _) = app.load_instance(input.instance).await?;
    if let Some(known) = instance.load_balancer {
        return done(known);
    }
    let Candidates { is_on_its_way, mut accepting } =
        find_candidates(&context.world, input.instance, &instance.settings.openstack_region)
            .await?;
    if accepting.is_empty() {
        if is_on_its_way {
            return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
        }
        return Err(no_load_balancer());
    }
    let choice = usize::from(context.key.as_bytes()[0]) % accepting.len();
    let load_balancer = accepting.swap_remove(choice);
    match app.assign_balancer(&context.metadata(), input.instance, load_balancer).await {
        // It takes nobody any more: chosen anew.
        Err(AppError::Rejected { .. }) => {
            Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
        }
        Err(error) => Err(error.into()),
        Ok(()) => done(load_balancer),
    }
}

/// The balancers that an instance without one may get.
#[derive(Debug)]
pub struct Candidates {
    /// Whether another one is being made.
    pub is_on_its_way: bool,
    /// Those that take it now.
    pub accepting: Vec<LoadBalancerId>,
}

/// Looks for balancers that take an instance whose machines are in that region.
///
/// # Errors
/// Permanent where the region is not configured; what the store says.
pub async fn find_candidates(
    world: &World,
    instance: InstanceId,
    region: &str,
) -> Result<Candidates, StepError> {
    let app = &world.app;
    let cloud = world.cloud(region)?;
    // Looked at first: once the run that makes one is over, what it made is there.
    let is_on_its_way = app.balancer_attempts().another_follows()
        || app.has_open_run("provision_load_balancer", None).await?;
    let known = app.list_balancers().await?;
    // It may have been let in before a crash.
    let admitted = known.iter().find(|(_, it)| it.clients.contains(&instance));
    let accepting = match admitted {
        Some((id, _)) => vec![*id],
        None => known
            .iter()
            .filter(|(_, it)| it.accepts())
            .filter(|(_, it)| cloud.is_reachable_from(it.registration.address.ip))
            .map(|(id, _)| *id)
            .collect(),
    };
    Ok(Candidates { is_on_its_way, accepting })
}

/// Nobody takes the instance, and nobody will.
#[must_use]
pub fn no_load_balancer() -> StepError {
    StepError::permanent(
        ErrorCode::NoLoadBalancer,
        "no load balancer accepts instances, and none is being made: `ocim run list --definition \
         provision_load_balancer` shows why the last one failed; launch again once there is one",
    )
}

/// An instance with its balancer, and what its fragment is made from.
#[derive(Debug)]
pub struct Site {
    /// The instance's id.
    pub id: InstanceId,
    /// The instance.
    pub instance: instance::Present,
    /// Its balancer's id.
    pub load_balancer: LoadBalancerId,
    /// Its balancer.
    pub registration: Registration,
}

impl Site {
    /// Loads an instance that has a balancer.
    pub async fn load(context: &StepContext, id: InstanceId) -> Result<Option<Self>, StepError> {
        let app = &context.world.app;
        let (instance, _) = app.load_instance(id).await?;
        let Some(load_balancer) = instance.load_balancer else { return Ok(None) };
        let registration = app.load_balancer(load_balancer).await?;
        Ok(Some(Self { id, instance, load_balancer, registration }))
    }

    /// An instance at the balancer of that domain, where it may have a part from earlier.
    pub async fn load_at(
        context: &StepContext,
        id: InstanceId,
        domain: &str,
    ) -> Result<Self, StepError> {
        let app = &context.world.app;
        let (instance, _) = app.load_instance(id).await?;
        let known = app.list_registered_balancers().await?.into_iter();
        let mut there = known.filter(|(_, registration)| registration.domain == domain);
        let (load_balancer, registration) = there.next().ok_or_else(|| {
            let message = format!("the load balancer {domain} is not known any more");
            StepError::permanent(ErrorCode::NoLoadBalancer, message)
        })?;
        Ok(Self { id, instance, load_balancer, registration })
    }

    /// Masks the credentials that stand in the site's fragment.
    #[must_use]
    pub fn masker(&self) -> Masker {
        let master = self.instance.settings.secret_key_b64encoded.open().unwrap_or_default();
        let auth = HttpAuth::derive(master).ok();
        let links = self.instance.test_links.iter();
        let links = links.filter_map(|link| link.secret(&self.instance.settings).ok());
        let auth = auth.into_iter().flat_map(|auth| [auth.token(), auth.user, auth.password]);
        Masker::new(auth.chain(links))
    }

    /// The balancer as its port knows it.
    #[must_use]
    pub fn host(&self) -> BalancerHost {
        balancer_host(&self.registration)
    }

    /// The name of the backend that serves the site.
    #[must_use]
    pub fn backend(&self) -> String {
        backend_name(&self.id.to_string(), &self.registration.fragment_name_postfix)
    }

    /// The name of the backend by which one of its Appservers is proved.
    #[must_use]
    pub fn probe_backend(&self) -> String {
        probe_backend_name(&self.id.to_string(), &self.registration.fragment_name_postfix)
    }

    /// The name of the backend that redirects to the site.
    #[must_use]
    pub fn redirect_backend(&self) -> String {
        redirect_backend_name(&self.id.to_string(), &self.registration.fragment_name_postfix)
    }

    /// The name of the site's fragment.
    #[must_use]
    pub fn fragment(&self) -> String {
        let Registration { fragment_name_prefix: prefix, fragment_name_postfix: postfix, .. } =
            &self.registration;
        fragment_name(prefix, postfix, &self.id.to_string())
    }
}

/// A balancer as its port knows it.
#[must_use]
pub fn balancer_host(registration: &Registration) -> BalancerHost {
    BalancerHost {
        domain: registration.domain.clone(),
        address: registration.address.clone(),
        host_keys: registration.host_keys.clone(),
        also_listens: registration.also_listens,
        https_port: https_port(&registration.address),
    }
}

/// Who stands in a fragment, and under which names.
#[derive(Debug, Clone)]
pub struct Lineup {
    /// By which names visitors reach the site.
    pub names: RoutedNames,
    /// They receive traffic.
    pub serving: Vec<AppserverId>,
    /// They are there, but disabled.
    pub standby: Vec<AppserverId>,
    /// It is reached by its probe host alone, and told that its site is called so.
    pub probed: Option<(AppserverId, String)>,
    /// What visitors get instead of the site.
    pub maintenance: Option<Maintenance>,
}

impl Lineup {
    /// These and nobody else; visitors of a site under maintenance get its page all the same.
    #[must_use]
    pub fn serving(
        instance: &instance::Present,
        names: RoutedNames,
        serving: Vec<AppserverId>,
    ) -> Self {
        let maintenance = instance.maintenance.clone();
        Self { names, serving, standby: vec![], probed: None, maintenance }
    }

    /// Those who serve by the log.
    #[must_use]
    pub fn recorded(instance: &instance::Present) -> Self {
        Self::serving(instance, instance.routed_names(), instance.active.clone())
    }
}

/// The name of an Appserver's line on the balancer.
#[must_use]
pub fn server_line_name(number: u32) -> String {
    format!("appserver-{number}")
}

/// The fragment of a site with that line-up.
pub async fn compose_site_fragment(
    context: &StepContext,
    site: &Site,
    lineup: &Lineup,
) -> Result<Fragment, StepError> {
    let mut servers = Vec::new();
    for (ids, disabled) in [(&lineup.serving, false), (&lineup.standby, true)] {
        for id in ids {
            servers.push(server_line(context, *id, disabled).await?);
        }
    }
    // Newest first, as the original lists them.
    servers.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let probe = match &lineup.probed {
        Some((id, called)) => {
            let (number, server) = server_line(context, *id, false).await?;
            let (host, called) = (probe_host(site.id, number), called.clone());
            Some(ProbeInput { host, site: called, servers: vec![server] })
        }
        None => None,
    };
    let tests = find_tests(context, site, lineup).await?;
    let postfix = &site.registration.fragment_name_postfix;
    let unreadable = |_| {
        StepError::permanent(ErrorCode::UnreadableSecret, "the site's master secret can't be read")
    };
    let names = lineup.names.clone();
    let page = context.world.deployment.preliminary_page_ip.clone();
    let fragment = FragmentInput::new(&site.instance.settings, names, site.id, postfix);
    let input = FragmentInput {
        servers: servers.into_iter().map(|(_, server)| server).collect(),
        preliminary_page_ip: page.filter(|_| site.instance.shows_page()),
        maintenance: lineup.maintenance.clone().filter(|_| site.instance.shows_page()),
        probe,
        tests,
        ..fragment.map_err(unreadable)?
    };
    let text = compose_fragment(&input).map_err(|error| {
        StepError::permanent(ErrorCode::BalancerRefusedConfiguration, error.to_string())
    })?;
    Ok(Fragment { name: site.fragment(), configuration: text.configuration, map: text.map })
}

/// The ways in by test links that lead somewhere now; none to who leaves.
async fn find_tests(
    context: &StepContext,
    site: &Site,
    lineup: &Lineup,
) -> Result<Vec<TestInput>, StepError> {
    if !site.instance.shows_page() {
        return Ok(vec![]);
    }
    let mut tests = vec![];
    for link in site.instance.open_links(context.world.app.journal().now()) {
        let appserver = context.world.app.load_appserver(link.appserver).await?;
        if appserver.is_leaving() {
            continue;
        }
        let own = link_hosts(&site.instance, &appserver.launched.settings);
        let mut hosts = lineup.names.domains.clone();
        hosts.extend(own.into_iter().filter(|host| !lineup.names.domains.contains(host)));
        let (_, server) = server_line(context, link.appserver, false).await?;
        let secret = link.secret(&site.instance.settings).map_err(|_| {
            let message = "the site's master secret can't be read";
            StepError::permanent(ErrorCode::UnreadableSecret, message)
        })?;
        tests.push(TestInput { hosts, secret, until: link.until, server });
    }
    Ok(tests)
}

/// Puts a line-up in force, and records it on the balancer. One change at a time per fragment.
pub async fn apply_lineup(
    context: &StepContext,
    site: &Site,
    lineup: &Lineup,
) -> Result<(), StepError> {
    let lock = context.world.lock(&site.fragment());
    let _one_at_a_time = lock.lock().await;
    apply_lineup_locked(context, site, lineup).await
}

/// Puts those in force who are recorded to serve, whichever run recorded it. Read under the lock,
/// so that of several runs the last one to come here delivers what all of them recorded.
pub async fn apply_recorded_lineup(context: &StepContext, site: &Site) -> Result<(), StepError> {
    let lock = context.world.lock(&site.fragment());
    let _one_at_a_time = lock.lock().await;
    let (instance, _) = context.world.app.load_instance(site.id).await?;
    apply_lineup_locked(context, site, &Lineup::recorded(&instance)).await
}

/// As [`apply_lineup`], for whoever holds the fragment's lock.
pub async fn apply_lineup_locked(
    context: &StepContext,
    site: &Site,
    lineup: &Lineup,
) -> Result<(), StepError> {
    let fragment = compose_site_fragment(context, site, lineup).await?;
    let name = fragment.name.clone();
    let is_empty = fragment.digest().is_none();
    let entry = SiteFragment { site, fragment };
    if is_empty {
        entry.remove(context, &name).await?;
        record_absent(context, &entry).await?;
    } else {
        ensure_one(context, &entry).await?;
    }
    context.say(format!("the balancer serves fragment {name}")).await;
    Ok(context.world.app.release_domains(&context.metadata(), site.id).await?)
}

/// Records that the balancer has the fragment, or has none of its name if it is empty.
pub async fn record_applied(
    context: &StepContext,
    load_balancer: LoadBalancerId,
    fragment: &Fragment,
) -> Result<(), StepError> {
    let (name, digest) = (fragment.name.clone(), fragment.digest());
    let command = load_balancer::Command::RecordApplied { fragment: name, digest };
    let stream = load_balancer.stream();
    let journal = context.world.app.journal();
    let recorded = journal.execute::<LoadBalancer>(&stream, &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}

async fn server_line(
    context: &StepContext,
    id: AppserverId,
    disabled: bool,
) -> Result<(u32, FragmentServer), StepError> {
    let appserver: appserver::Present = context.world.app.load_appserver(id).await?;
    let number = appserver.launched.number;
    let server = load_server(context, appserver.launched.server).await?;
    let address = server.address.ok_or_else(|| {
        StepError::permanent(
            ErrorCode::AddressUnknown,
            format!("AppServer {number} has no public address yet"),
        )
    })?;
    let name = server_line_name(number);
    let cookie = name.clone();
    let (ip, port) = (address.ip, address.http_port);
    Ok((number, FragmentServer { name, ip, port, cookie, disabled }))
}
