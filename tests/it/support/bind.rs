//! A BIND of the test's own, with the zones of `tests/dns`, and what somebody else does there.

use super::ports::take_port;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What opens the zones to somebody else.
const SOMEBODY: &str = "hmac-sha256:somebody c29tZWJvZHkncy1rZXktb2YtdGhlLXRlc3RzLTAwMDM=";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many ports are tried: others may take one before it does.
const STARTS_MAX: usize = 5;

/// A DNS server. It ends with this value.
pub(crate) struct Bind {
    pub(crate) port: u16,
    server: Child,
    _folder: TempDir,
}

impl Bind {
    /// One that answers.
    pub(crate) fn start() -> Self {
        (0..STARTS_MAX).find_map(|_| Self::try_start()).expect("a named that starts")
    }

    fn try_start() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("ocim-bind").tempdir().unwrap();
        let port = take_port();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dns");
        for file in fs::read_dir(files).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            let place = folder.path().display().to_string();
            let text = text.replace("@FOLDER@", &place).replace("@PORT@", &port.to_string());
            fs::write(folder.path().join(file.file_name()), text).unwrap();
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let server = Command::new("named")
            .args(["-4", "-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("named, of the Debian package bind9: scripts/setup.sh --tests installs it");
        let mut bind = Self { port, server, _folder: folder };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if bind.server.try_wait().unwrap().is_some() {
                return None;
            }
            if bind.try_serial("example.test").is_some() {
                return Some(bind);
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        None
    }

    /// Where it is.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a name has of that type, as `dig` prints it.
    pub(crate) fn dig(&self, name: &str, rtype: &str) -> Vec<String> {
        let dig = Command::new("dig")
            .args(["@127.0.0.1", "-p", &self.port.to_string(), "+noall", "+answer", "+norecurse"])
            .args(["+tries=1", "+time=2", name, rtype])
            .output()
            .expect("dig, of the Debian package bind9-dnsutils");
        let text = String::from_utf8(dig.stdout).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with(';'));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// Whether there is such a name, which nothing else stands for.
    pub(crate) fn has(&self, name: &str) -> bool {
        let prerequisite = format!("prereq nxdomain {name}");
        match self.update(&[&prerequisite]) {
            Ok(()) => false,
            Err(said) if said.contains("YXDOMAIN") => true,
            Err(said) => panic!("{name}: {said}"),
        }
    }

    /// How often a zone was changed.
    pub(crate) fn serial(&self, zone: &str) -> u32 {
        self.try_serial(zone).expect("a serial")
    }

    fn try_serial(&self, zone: &str) -> Option<u32> {
        let line = self.dig(zone, "SOA").pop()?;
        line.split(' ').nth(6)?.parse().ok()
    }

    /// Somebody else does this there, by `nsupdate`.
    pub(crate) fn somebody(&self, orders: &[&str]) {
        self.update(orders).unwrap_or_else(|said| panic!("{orders:?}: {said}"));
    }

    /// Fails with what `nsupdate` says.
    fn update(&self, orders: &[&str]) -> Result<(), String> {
        let script = std::iter::once(format!("server 127.0.0.1 {}", self.port))
            .chain([format!("key {SOMEBODY}")])
            .chain(orders.iter().map(|order| (*order).to_owned()))
            .chain(["send".to_owned()]);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), script.map(|line| line + "\n").collect::<String>()).unwrap();
        let nsupdate = Command::new("nsupdate")
            .arg("-v")
            .arg(file.path())
            .output()
            .expect("nsupdate, of the Debian package bind9-dnsutils");
        let said = String::from_utf8_lossy(&nsupdate.stderr);
        if nsupdate.status.success() { Ok(()) } else { Err(said.into_owned()) }
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
