//! The parts one by one: database, keys, and an adapter for each port.

use super::clouds::{open_local, open_openstack};
use super::error::BootError;
use crate::config::{CloudConfig, Config, GitCredential, MailBackend, NewRelicConfig, Secret};
use crate::data_folder::{DataFolder, SshKey};
use crate::embedded_postgres::EmbeddedPostgres;
use crate::metrics::Metrics;
use crate::migrations::run_migrations;
use crate::nodes::NodeFacts;
use crate::telemetry::Observing;
use crate::telemetry::traces::{Exporter, Tracer};
use deadpool_postgres::Pool;
use ocim_adapters::Ports;
use ocim_adapters::balancer::LoadBalancer;
use ocim_adapters::balancer::haproxy::HaproxyLoadBalancer;
use ocim_adapters::breaker::circuits::Circuits;
use ocim_adapters::breaker::{BreakerLimits, Breakers, Guarded};
use ocim_adapters::cloud::Cloud;
use ocim_adapters::dns::Dns;
use ocim_adapters::dns::gandi::Gandi;
use ocim_adapters::dns::rfc2136::Rfc2136;
use ocim_adapters::mail::Mailer;
use ocim_adapters::mail::smtp::{SmtpConfig, SmtpLogin, SmtpMailer};
use ocim_adapters::mail::unsent::UnsentMailer;
use ocim_adapters::metadata::MetadataStore;
use ocim_adapters::metadata::consul::{Consul, ConsulAccess};
use ocim_adapters::monitoring::Monitoring;
use ocim_adapters::monitoring::new_relic::{NewRelic, NewRelicAccess};
use ocim_adapters::playbooks::Playbooks;
use ocim_adapters::playbooks::ansible::{
    AnsibleConfig, AnsiblePlaybooks, GitLogin, end_orphaned_tools,
};
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_adapters::shell::Shell;
use ocim_adapters::shell::ssh::SshShell;
use ocim_adapters::simulated::routes::Routed;
use ocim_adapters::simulated::{Nature, SimulatedRegion};
use ocim_adapters::sites::http::HttpSiteProbe;
use ocim_adapters::system::SystemClock;
use ocim_domain::port_error::PortError;
use ocim_domain::system::Ids;
use ocim_engine::database::DatabaseAddress;
use ocim_engine::store::sealed::{PostgresKeys, SealedStore};
use ocim_engine::store::{self, Engine, EventStore};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Connections for projections, logs, commands and background work; the event store has two of its own, and
/// each worker that answers HTTP some.
const POOL_SIZE: usize = 16;

/// The database to use: the one of `DATABASE_URL`, or our own, started now.
pub(super) async fn open_database(
    config: &Config,
    folder: &DataFolder,
) -> Result<(Option<EmbeddedPostgres>, DatabaseAddress), BootError> {
    if let Some(url) = &config.database_url {
        let database = DatabaseAddress::parse(url.expose()).map_err(BootError::DatabaseUrl)?;
        return Ok((None, database));
    }
    let postgres = EmbeddedPostgres::start(folder).await.map_err(BootError::Postgres)?;
    match DatabaseAddress::local(postgres.config()) {
        Ok(database) => Ok((Some(postgres), database)),
        Err(error) => {
            postgres.stop().await;
            Err(BootError::DatabaseUrl(error))
        }
    }
}

/// Connects to the database, without looking at its schema.
pub(super) fn connect_pool(database: &DatabaseAddress) -> Result<Pool, BootError> {
    database.pool(POOL_SIZE).map_err(|error| BootError::Database(error.into()))
}

/// Brings the schema up to date, and connects.
pub(super) async fn migrate(database: &DatabaseAddress) -> Result<Pool, BootError> {
    let (mut client, connection) =
        database.connect().await.map_err(|error| BootError::Database(error.into()))?;
    let connection = tokio::spawn(connection);
    let migrated = run_migrations(&mut client).await;
    drop(client);
    connection.abort();
    for name in migrated.map_err(BootError::Migration)? {
        tracing::info!(name, "migrated");
    }
    connect_pool(database)
}

/// The engine that keeps the events: that of `EVENT_STORE_URL`, or the database.
pub(super) async fn open_store(
    config: &Config,
    database: &DatabaseAddress,
    pool: &Pool,
) -> Result<Arc<dyn Engine>, BootError> {
    let url = config.event_store_url.as_ref().map(Secret::expose);
    let opened = store::open_store(url, database, pool).await.map_err(BootError::Store)?;
    tracing::info!(engine = opened.describe(), "the event store is open");
    Ok(opened)
}

/// The store that shows protected values open, and keeps them sealed.
pub(super) async fn seal(
    store: Arc<dyn EventStore>,
    pool: &Pool,
    secret_key: &Secret,
    ids: Arc<dyn Ids>,
) -> Result<Arc<SealedStore>, BootError> {
    let secret = secret_key.expose().as_bytes();
    let keys = PostgresKeys::open(pool.clone(), secret, Arc::clone(&ids))
        .await
        .map_err(BootError::Keys)?;
    Ok(Arc::new(SealedStore::new(store, Arc::new(keys), ids)))
}

/// Metrics, and traces where a collector is configured.
pub(super) fn observe(config: &Config) -> Result<(Observing, Option<Exporter>), BootError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| BootError::Observing(error);
    let metrics = Arc::new(Metrics::new().map_err(|error| failed(error.into()))?);
    let metrics_public = config.metrics_public;
    let Some(endpoint) = &config.otlp_endpoint else {
        return Ok((Observing { metrics, tracer: Tracer::default(), metrics_public }, None));
    };
    let started = Tracer::start(endpoint, Arc::clone(&metrics));
    let (tracer, exporter) = started.map_err(|error| failed(error.into()))?;
    Ok((Observing { metrics, tracer, metrics_public }, Some(exporter)))
}

/// The same ports, but calls that concern simulated regions go there.
fn beside(ports: Ports, regions: &[Arc<SimulatedRegion>]) -> Ports {
    Ports {
        clouds: ports.clouds,
        shell: Arc::new(Routed::new(regions.to_vec(), ports.shell)),
        playbooks: Arc::new(Routed::new(regions.to_vec(), ports.playbooks)),
        load_balancer: Arc::new(Routed::new(regions.to_vec(), ports.load_balancer)),
        monitoring: ports
            .monitoring
            .or_else(|| regions.first().map(|region| Arc::clone(region) as _)),
        metadata: ports.metadata,
        provisioning: Arc::new(Routed::new(regions.to_vec(), ports.provisioning)),
        mailer: ports.mailer,
        dns: ports.dns.or_else(|| regions.first().map(|region| Arc::clone(region) as _)),
        site_probe: Arc::new(Routed::new(regions.to_vec(), ports.site_probe)),
    }
}

/// What other nodes on the database must know of this one.
pub(super) fn describe_node(
    config: &Config,
    folder: &DataFolder,
    key: &SshKey,
    ids: &dyn Ids,
) -> Result<NodeFacts, BootError> {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let root = std::fs::canonicalize(folder.root()).unwrap_or_else(|_| folder.root().to_owned());
    Ok(NodeFacts {
        node: folder.node_id(ids).map_err(BootError::Folder)?,
        host: host.to_string_lossy().into_owned(),
        folder: root.display().to_string(),
        ssh_key: key.fingerprint(),
        playbooks: folder.playbooks_id(ids).map_err(BootError::Folder)?,
        own_regions: own_regions(config),
    })
}

/// The regions whose machines live on this computer, or in this process.
fn own_regions(config: &Config) -> Vec<String> {
    let own = config.clouds.iter().filter(|(_, cloud)| cloud.is_own());
    own.map(|(region, _)| region.clone()).collect()
}

/// The adapters that the configuration asks for, and the circuits before them.
pub(super) async fn open_ports(
    config: &Config,
    folder: &DataFolder,
    key: &SshKey,
) -> Result<(Ports, Arc<dyn Circuits>), BootError> {
    let breakers = Breakers::new(Arc::new(SystemClock), BreakerLimits::default());
    let mut clouds: BTreeMap<String, Arc<dyn Cloud>> = BTreeMap::new();
    let mut simulated = vec![];
    for (region, cloud) in &config.clouds {
        let opened: Arc<dyn Cloud> = match cloud {
            CloudConfig::Simulated { seed, faults, speed, .. } => {
                let nature = Nature { seed: *seed, faults: *faults, speed: *speed };
                let cloud = SimulatedRegion::new(nature, Arc::new(SystemClock)).named(region);
                let cloud = Arc::new(cloud);
                simulated.push(Arc::clone(&cloud));
                clouds.insert(region.clone(), cloud);
                continue;
            }
            CloudConfig::Local { .. } => Arc::new(open_local(config, folder, key, region).await?),
            CloudConfig::Openstack(at) => {
                let cloud = open_openstack(config, region, at, &key.public);
                Arc::new(cloud.map_err(BootError::Port)?)
            }
        };
        let guarded = Guarded::<dyn Cloud>::new(opened, &breakers, format!("region {region}"));
        clouds.insert(region.clone(), Arc::new(guarded));
    }
    let shell: Arc<dyn Shell> =
        Arc::new(SshShell::new(key.private.clone(), folder.root().join("ssh")));
    let ansible = AnsibleConfig {
        folder: folder.playbooks(),
        private_key: key.private.clone(),
        python: config.ansible_python_path.clone(),
        wheels_dir: config.wheels_dir.clone(),
        git_logins: git_logins(config),
        environment: config.tool_environment.clone(),
    };
    end_orphaned_tools(&ansible.folder).await.map_err(BootError::Port)?;
    let playbooks: Arc<dyn Playbooks> = Arc::new(AnsiblePlaybooks::new(ansible));
    let balancer: Arc<dyn LoadBalancer> =
        Arc::new(HaproxyLoadBalancer::new(Arc::clone(&playbooks), Arc::clone(&shell)));
    let provisioning: Arc<dyn Provisioning> =
        Arc::new(SharedServers::new(config.shared_servers_ca_file.clone()));
    let ports = Ports {
        clouds,
        shell,
        playbooks: Arc::new(Guarded::per_call(playbooks, &breakers)),
        load_balancer: Arc::new(Guarded::per_call(balancer, &breakers)),
        dns: open_dns(config, &breakers)?,
        monitoring: open_monitoring(config, &breakers)?,
        metadata: open_metadata(config, &breakers)?,
        provisioning: Arc::new(Guarded::per_call(provisioning, &breakers)),
        mailer: Arc::new(Guarded::new(open_mailer(config), &breakers, "mail server")),
        site_probe: Arc::new(HttpSiteProbe::new().map_err(BootError::Port)?),
    };
    let ports = if simulated.is_empty() { ports } else { beside(ports, &simulated) };
    Ok((ports, Arc::new(breakers)))
}

/// Who watches sites, where a key is configured.
fn open_monitoring(
    config: &Config,
    breakers: &Breakers,
) -> Result<Option<Arc<dyn Monitoring>>, BootError> {
    let Some(key) = &config.new_relic.key else { return Ok(None) };
    let NewRelicConfig { url, ca_file, .. } = config.new_relic.clone();
    let access = NewRelicAccess { url, key: key.expose().to_owned(), ca_file };
    let service = NewRelic::new(&access).map_err(BootError::Port)?;
    let guarded = Guarded::<dyn Monitoring>::new(Arc::new(service), breakers, "New Relic");
    Ok(Some(Arc::new(guarded)))
}

/// A DNS service, and what it is called as a provider.
pub(crate) type NamedDns = (Arc<dyn Dns>, &'static str);

/// Who writes the sites' names into the DNS, where a service is configured.
pub(crate) fn dns_service(config: &Config) -> Result<Option<NamedDns>, PortError> {
    if let Some(access) = config.dns.server_access() {
        let server = Rfc2136::new(&access, Arc::new(SystemClock))?;
        return Ok(Some((Arc::new(server), "DNS server")));
    }
    let Some(access) = config.dns.gandi_access() else { return Ok(None) };
    Ok(Some((Arc::new(Gandi::new(&access)?), "Gandi")))
}

fn open_dns(config: &Config, breakers: &Breakers) -> Result<Option<Arc<dyn Dns>>, BootError> {
    let opened = dns_service(config).map_err(BootError::Port)?;
    Ok(opened.map(|(service, provider)| {
        Arc::new(Guarded::<dyn Dns>::new(service, breakers, provider)) as _
    }))
}

/// Where others read what sites are, where that is wanted.
fn open_metadata(
    config: &Config,
    breakers: &Breakers,
) -> Result<Option<Arc<dyn MetadataStore>>, BootError> {
    let consul = &config.consul;
    if !consul.enabled {
        return Ok(None);
    }
    let access = ConsulAccess {
        url: consul.url(),
        token: consul.token.as_ref().map(|token| token.expose().to_owned()),
        ca_file: consul.ca_file.clone(),
        verify: consul.verify,
        prefix: consul.own_prefix(),
    };
    let service = Consul::new(&access).map_err(BootError::Port)?;
    let guarded = Guarded::<dyn MetadataStore>::new(Arc::new(service), breakers, "Consul");
    Ok(Some(Arc::new(guarded)))
}

/// The mail server, if one is configured.
fn open_mailer(config: &Config) -> Arc<dyn Mailer> {
    let mail = &config.mail;
    if mail.backend == MailBackend::Unsent {
        return Arc::new(UnsentMailer);
    }
    let password = mail.host_password.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
    let login = SmtpLogin { user: mail.host_user.clone(), password };
    Arc::new(SmtpMailer::new(SmtpConfig {
        host: mail.host.clone(),
        port: mail.port,
        starttls: mail.use_tls,
        ca_file: mail.ca_file.clone(),
        login: Some(login).filter(|login| !login.user.is_empty()),
    }))
}

/// As whom git reads the repositories of each host.
fn git_logins(config: &Config) -> Vec<GitLogin> {
    let login = |(host, credential): (&String, &GitCredential)| GitLogin {
        host: host.clone(),
        user: credential.user.clone(),
        password: credential.password.expose().to_owned(),
    };
    config.git_credentials.iter().map(login).collect()
}
