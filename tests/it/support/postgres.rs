//! A private PostgreSQL: one cluster for the test process, a new database for each test.

use ocim_engine::database::DatabaseAddress;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config, NoTls};

/// The user and group `nobody`, whom PostgreSQL obeys where the tests run as root.
const NOBODY: u32 = 65_534;
/// What runs the server, and ends it when its standard input closes: with this process, however
/// that ends.
const WATCHED_SERVER: &str = r#"
    trap '' PIPE # Nobody may be there any more to hear that it is ready.
    "$1/initdb" -D "$2/data" -U ocim -A trust -E UTF8 --locale=C --no-sync >"$2/initdb.log" 2>&1 ||
        { cat "$2/initdb.log"; rm -rf "$2"; exit 1; }
    # In the file, so that a benchmark can switch it on again.
    echo "fsync = off" >>"$2/data/postgresql.conf"
    # Its workers would commit beside what tests count.
    echo "autovacuum = off" >>"$2/data/postgresql.conf"
    printf '%s\n' "$3" >>"$2/data/postgresql.conf"
    "$1/postgres" -D "$2/data" -k "$2" -c max_connections=300 >"$2/server.log" 2>&1 &
    server=$!
    until "$1/pg_isready" -q -h "$2" || ! kill -0 $server; do sleep 0.05; done
    echo ready
    cat >/dev/null
    kill -QUIT $server
    wait $server
    rm -rf "$2"
"#;

struct Cluster {
    folder: PathBuf,
    /// Its standard input stays open for as long as the server shall run.
    _server: Child,
}

/// The server of this test process.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let folder = new_folder();
        let server = start_server(&folder, 5432, "listen_addresses = ''");
        Cluster { folder, _server: server }
    })
}

/// Short, since the socket's path may have at most 107 bytes.
fn new_folder() -> PathBuf {
    tempfile::Builder::new().prefix("ocim-pg-").tempdir_in("/tmp").unwrap().keep()
}

/// Makes a cluster in the folder and starts its server, with these lines in its configuration.
fn start_server(folder: &Path, port: u16, settings: &str) -> Child {
    let programs = find_programs();
    let mut server = Command::new("sh");
    let arguments = [OsString::from("-c"), WATCHED_SERVER.into(), "sh".into()];
    server.args(arguments).arg(&programs).arg(folder).arg(settings);
    server.env("PGPORT", port.to_string()).current_dir("/").process_group(0);
    give_to_server(folder);
    if is_root() {
        server.uid(NOBODY).gid(NOBODY);
    }
    server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    if line != "ready\n" {
        output.read_to_string(&mut line).unwrap();
        panic!("PostgreSQL does not start: {line}");
    }
    server
}

/// Makes a file or folder the server's own, where that has another user.
fn give_to_server(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A server of one test's own, which speaks TLS on a port of the host.
#[derive(Debug)]
pub(crate) struct TlsServer {
    /// The port.
    pub(crate) port: u16,
    /// Its standard input stays open for as long as the server shall run.
    _server: Child,
}

impl TlsServer {
    /// Shows this certificate, both in PEM.
    pub(crate) fn start(certificate: &str, key: &str) -> Self {
        let folder = new_folder();
        for (name, text) in [("tls.crt", certificate), ("tls.key", key)] {
            let path = folder.join(name);
            let mut file = OpenOptions::new();
            let mut file = file.write(true).create_new(true).mode(0o600).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            give_to_server(&path);
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'",
            file("tls.crt"),
            file("tls.key"),
        );
        Self { port, _server: start_server(&folder, port, &settings) }
    }

    /// A value of `DATABASE_URL`, with these parameters.
    pub(crate) fn url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://ocim@{host}:{}/postgres?{parameters}", self.port)
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The newest installed server's programs; without one the test fails.
fn find_programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, programs)| programs.join("initdb").exists())
        .collect();
    installed.sort();
    let on_path = || {
        let found = Command::new("sh").args(["-c", "command -v initdb"]).output().unwrap();
        let initdb = String::from_utf8(found.stdout).unwrap();
        let initdb = std::fs::canonicalize(initdb.trim()).ok()?;
        initdb.parent().map(Path::to_owned)
    };
    let newest = installed.pop().map(|(_, programs)| programs).or_else(on_path);
    newest.expect("PostgreSQL's server programs (initdb, postgres) are not installed")
}

/// A database of its own for one test.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// A database with all migrations, made from a template that was migrated once.
    pub(crate) async fn migrated() -> Self {
        static TEMPLATE: OnceCell<Database> = OnceCell::const_new();
        let migrate = || async {
            let template = Self::empty().await;
            let mut client = template.client().await;
            ocim::migrations::run_migrations(&mut client).await.unwrap();
            // The server refuses to copy a database that somebody is connected to.
            drop(client);
            template
        };
        let template = TEMPLATE.get_or_init(migrate).await;
        Self::create(&format!("template {}", template.name)).await
    }

    /// A database without anything in it.
    pub(crate) async fn empty() -> Self {
        Self::create("").await
    }

    async fn create(options: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let maintenance = Self { name: "postgres".to_owned() }.client().await;
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        let sql = format!("create database {name} {options}");
        while let Err(error) = maintenance.batch_execute(&sql).await {
            // The template's last connection may not be quite gone.
            let in_use = tokio_postgres::error::SqlState::OBJECT_IN_USE;
            assert_eq!(error.code(), Some(&in_use), "{error:?}");
            assert!(tokio::time::Instant::now() < deadline, "{error:?}");
        }
        Self { name }
    }

    /// How to reach it.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(&cluster().folder).user("ocim").dbname(&self.name);
        config
    }

    /// The same, as the product wants it.
    pub(crate) fn address(&self) -> DatabaseAddress {
        DatabaseAddress::local(self.config()).unwrap()
    }

    /// The same as a value of `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        let folder = cluster().folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://ocim@{folder}/{}", self.name)
    }

    /// A pool of a few connections.
    pub(crate) fn pool(&self) -> deadpool_postgres::Pool {
        let manager = deadpool_postgres::Manager::new(self.config(), NoTls);
        deadpool_postgres::Pool::builder(manager).max_size(8).build().unwrap()
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = self.config().connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Where the server's socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        cluster().folder.join(".s.PGSQL.5432")
    }
}
