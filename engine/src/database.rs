//! How the database is reached: where it is, and TLS as `sslmode` says.

mod query;
mod tls;

pub(crate) use query::query;

use deadpool_postgres::{BuildError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection that nobody drives yet, with or without TLS.
pub type DatabaseConnection =
    Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Why `DATABASE_URL` can't be used. None of the texts shows the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It is no URL of a database.
    #[error("DATABASE_URL is not of the form postgres://user:password@host/database")]
    Malformed,
    /// There is no such `sslmode`.
    #[error(
        "DATABASE_URL has sslmode={given}: it takes disable, prefer, require, verify-ca or verify-full"
    )]
    Mode {
        /// What it says.
        given: String,
    },
    /// The file with the authorities' certificates can't be used.
    #[error("the file {} that sslrootcert in DATABASE_URL names can't be used", path.display())]
    RootCertificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This computer trusts nobody.
    #[error(
        "this computer has no certificates of authorities: install the Debian package \
         ca-certificates, or name a file by sslrootcert in DATABASE_URL"
    )]
    NoAuthorities,
    /// The TLS library refuses.
    #[error("TLS to the database can't be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where a database is, and how connections to it are kept from others.
#[derive(Clone)]
pub struct DatabaseAddress {
    config: Config,
    tls: MakeRustlsConnect,
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration shows no password.
        formatter.debug_tuple("DatabaseAddress").field(&self.config).finish()
    }
}

/// Pause between two looks whether the server is there, and the longest that it answers none.
const KEEPALIVE: Duration = Duration::from_secs(10);
const UNANSWERED_MAX: Duration = Duration::from_secs(15);
/// Longest wait for a connection of a pool.
const POOL_WAIT: Duration = Duration::from_secs(5);

/// How far the server is trusted: libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    fn as_config(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

impl DatabaseAddress {
    /// Reads a value of `DATABASE_URL`: `postgres://user:password@host/database`, with the parameters
    /// `sslmode` and `sslrootcert` as libpq has them. Without `sslmode` it is `prefer`; `require`
    /// with `sslrootcert` is `verify-ca`; who verifies without `sslrootcert`, or with
    /// `sslrootcert=system`, trusts the authorities that this computer trusts.
    ///
    /// # Errors
    /// [`DatabaseUrlError`].
    pub fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        let (config, mode, roots) = read_url(url)?;
        Ok(Self { config, tls: tls::connector(mode, roots.as_deref())? })
    }

    /// A database on this computer, reached without TLS.
    ///
    /// # Errors
    /// [`DatabaseUrlError::Tls`].
    pub fn local(mut config: Config) -> Result<Self, DatabaseUrlError> {
        config.ssl_mode(SslMode::Disable);
        Ok(Self { config, tls: tls::connector(Mode::Disable, None)? })
    }

    /// The same, with other settings of the connection.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.config);
        changed
    }

    /// Connects; the connection works as long as it is polled.
    ///
    /// # Errors
    /// When the server can't be reached or refuses, or is not who it should be.
    pub async fn connect(&self) -> Result<(Client, DatabaseConnection), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// A pool of so many connections, which makes none before it is asked. A connection is driven by the
    /// thread that asked for it first: who asks from there waits for no other.
    ///
    /// # Errors
    /// When there can be no such pool.
    pub fn pool(&self, size: usize) -> Result<Pool, BuildError> {
        // What does not answer is given up, and not passed on to the next who asks.
        let database = self.with(|config| {
            config
                .keepalives_idle(KEEPALIVE)
                .keepalives_interval(KEEPALIVE)
                .tcp_user_timeout(UNANSWERED_MAX);
        });
        Pool::builder(database.manager())
            .max_size(size)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(POOL_WAIT))
            .runtime(Runtime::Tokio1)
            .build()
    }

    /// Makes connections for a pool.
    #[must_use]
    pub fn manager(&self) -> Manager {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Manager::from_config(self.config.clone(), self.tls.clone(), recycling)
    }
}

/// Looks whether a value of `DATABASE_URL` can be understood, and touches nothing.
///
/// # Errors
/// [`DatabaseUrlError`].
pub fn check_url(url: &str) -> Result<(), DatabaseUrlError> {
    read_url(url).map(|_| ())
}

/// The connection's settings, how far the server is trusted, and the file of `sslrootcert`.
fn read_url(url: &str) -> Result<(Config, Mode, Option<String>), DatabaseUrlError> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(DatabaseUrlError::Malformed);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots) = (Mode::Prefer, None);
    let mut others = form_urlencoded::Serializer::new(String::new());
    // The library knows neither the verifying modes nor the file.
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "sslmode" => {
                let given = value.chars().take(20).collect();
                mode = Mode::parse(&value).ok_or(DatabaseUrlError::Mode { given })?;
            }
            "sslrootcert" => roots = Some(value.into_owned()),
            _ => drop(others.append_pair(&name, &value)),
        }
    }
    let text = format!("{base}?{}", others.finish());
    let mut config: Config = text.parse().map_err(|_| DatabaseUrlError::Malformed)?;
    if mode == Mode::Require && roots.is_some() {
        mode = Mode::VerifyCa;
    }
    config.ssl_mode(mode.as_config());
    Ok((config, mode, roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "postgres://ocim:hunter2@db.example.com:5433/sites";

    fn mode_of(query: &str) -> Mode {
        read_url(&format!("{BASE}{query}")).unwrap().1
    }

    #[test]
    fn each_mode_is_what_libpq_makes_of_it() {
        assert_eq!(mode_of(""), Mode::Prefer);
        assert_eq!(mode_of("?"), Mode::Prefer);
        assert_eq!(mode_of("?sslmode=disable"), Mode::Disable);
        assert_eq!(mode_of("?sslmode=require"), Mode::Require);
        assert_eq!(mode_of("?sslmode=require&sslrootcert=system"), Mode::VerifyCa);
        assert_eq!(mode_of("?sslrootcert=%2Fca.pem&sslmode=verify-full"), Mode::VerifyFull);
        let (config, mode, roots) =
            read_url(&format!("{BASE}?sslmode=verify-ca&sslrootcert=%2Fca.pem&connect_timeout=3"))
                .unwrap();
        assert_eq!((mode, roots.as_deref()), (Mode::VerifyCa, Some("/ca.pem")));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_connect_timeout().map(std::time::Duration::as_secs), Some(3));
        assert_eq!((config.get_dbname(), config.get_ports()), (Some("sites"), &[5433][..]));
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        let wrong = [
            (format!("{BASE}?sslmode=sometimes"), "sslmode=sometimes: it takes disable, prefer"),
            (format!("{BASE}?colour=red"), "not of the form"),
            ("mysql://ocim:hunter2@db/sites".to_owned(), "not of the form"),
            (format!("{BASE}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"), "/nowhere/ca.pem"),
        ];
        for (url, told) in wrong {
            let error = DatabaseAddress::parse(&url).unwrap_err();
            let text = ocim_domain::error_chain::chain(&error);
            assert!(text.contains(told) && !text.contains("hunter2"), "{text}");
        }
        assert!(!format!("{:?}", DatabaseAddress::parse(BASE).unwrap()).contains("hunter2"));
    }
}
