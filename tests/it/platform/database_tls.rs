//! TLS to a PostgreSQL of somebody's own, by each `sslmode`, against a real server.

use crate::support::postgres::TlsServer;
use ocim_domain::error_chain::chain;
use ocim_domain::event::Position;
use ocim_engine::database::DatabaseAddress;
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::{Engine, EventStore};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;

/// An authority of our own, another one that has signed nothing, and a server that has a
/// certificate of the first for the name `localhost`.
struct Lab {
    server: TlsServer,
    ours: PathBuf,
    other: PathBuf,
    _folder: TempDir,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new(vec![]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

impl Lab {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (authority, stranger) = (authority("ours"), authority("another"));
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap();
        let (ours, other) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
        std::fs::write(&ours, authority.pem()).unwrap();
        std::fs::write(&other, stranger.pem()).unwrap();
        let server = TlsServer::start(&certificate.pem(), &key.serialize_pem());
        Self { server, ours, other, _folder: folder }
    }

    /// Whether a connection by this mode is encrypted; else what is said.
    async fn connect(
        &self,
        host: &str,
        mode: &str,
        roots: Option<&PathBuf>,
    ) -> Result<bool, String> {
        let roots = roots.map(|path| format!("&sslrootcert={}", path.display()));
        let parameters = format!("sslmode={mode}{}", roots.unwrap_or_default());
        let url = self.server.url(host, &parameters);
        let address = DatabaseAddress::parse(&url).map_err(|error| chain(&error))?;
        let (client, connection) = address.connect().await.map_err(|error| chain(&error))?;
        tokio::spawn(connection);
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        Ok(client.query_one(sql, &[]).await.unwrap().get(0))
    }
}

#[tokio::test]
async fn each_sslmode_asks_of_the_server_what_it_says() {
    let lab = Lab::start();
    let (ours, other) = (Some(&lab.ours), Some(&lab.other));
    // The certificate is for `localhost` alone.
    let (name, address) = ("localhost", "127.0.0.1");
    for (host, mode, roots, encrypted) in [
        (address, "disable", None, false),
        (address, "prefer", None, true),
        (address, "prefer", other, true),
        (address, "require", None, true),
        (address, "require", ours, true),
        (address, "verify-ca", ours, true),
        (name, "verify-full", ours, true),
    ] {
        let is_encrypted = lab.connect(host, mode, roots).await;
        assert_eq!(is_encrypted, Ok(encrypted), "{mode} at {host} by {roots:?}");
    }
    for (host, mode, roots, told) in [
        (name, "require", other, "UnknownIssuer"),
        (name, "verify-ca", other, "UnknownIssuer"),
        (name, "verify-full", other, "UnknownIssuer"),
        (address, "verify-full", ours, "not valid for name"),
        // Nobody that this computer trusts has signed it.
        (name, "verify-full", None, "UnknownIssuer"),
    ] {
        let error = lab.connect(host, mode, roots).await.unwrap_err();
        let is_told = error.contains(told) || error.contains("no certificates of authorities");
        assert!(is_told, "{mode} at {host} by {roots:?}: {error}");
    }
}

#[tokio::test]
async fn the_event_store_and_the_pool_work_by_tls() {
    let lab = Lab::start();
    let parameters = format!("sslmode=verify-full&sslrootcert={}", lab.ours.display());
    let address = DatabaseAddress::parse(&lab.server.url("localhost", &parameters)).unwrap();
    let (mut client, connection) = address.connect().await.unwrap();
    tokio::spawn(connection);
    ocim::migrations::run_migrations(&mut client).await.unwrap();
    let pool = deadpool_postgres::Pool::builder(address.manager()).max_size(4).build().unwrap();
    let store = PostgresStore::connect(address, pool).await.unwrap();
    assert_eq!(store.head().await.unwrap(), Position::START);
    let open = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) \
                where a.usename = 'ocim' and a.client_addr is not null and not s.ssl";
    let unencrypted: i64 = client.query_one(open, &[]).await.unwrap().get(0);
    assert_eq!(unencrypted, 0);
    store.shutdown().await;
}
