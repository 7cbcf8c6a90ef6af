//! A private OpenStack (`tests/private_openstack`): one for the test process, started by the first test that needs it.
//!
//! Tests that break it have it to themselves meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How long its start may take: with nothing kept from an earlier one, and a busy computer.
const START_MAX: Duration = Duration::from_secs(420);

static STACK: OnceCell<PrivateOpenStack> = OnceCell::const_new();
static USE: RwLock<()> = RwLock::const_new(());

/// The stack, which runs for as long as this process.
pub(crate) struct PrivateOpenStack {
    folder: PathBuf,
    /// Its standard input stays open for as long as the stack shall run.
    _keeper: Child,
}

/// The stack, as others use it too.
pub(crate) struct Shared(&'static PrivateOpenStack, #[expect(unused)] RwLockReadGuard<'static, ()>);

/// The stack, for one test alone.
pub(crate) struct Exclusive(
    &'static PrivateOpenStack,
    #[expect(unused)] RwLockWriteGuard<'static, ()>,
);

impl std::ops::Deref for Shared {
    type Target = PrivateOpenStack;

    fn deref(&self) -> &PrivateOpenStack {
        self.0
    }
}

impl std::ops::Deref for Exclusive {
    type Target = PrivateOpenStack;

    fn deref(&self) -> &PrivateOpenStack {
        self.0
    }
}

/// The stack beside other tests: nothing of it may be stopped.
pub(crate) async fn use_stack() -> Shared {
    let turn = USE.read().await;
    Shared(stack().await, turn)
}

/// The stack to oneself: what is stopped must run again at the end.
pub(crate) async fn own_stack() -> Exclusive {
    let turn = USE.write().await;
    Exclusive(stack().await, turn)
}

async fn stack() -> &'static PrivateOpenStack {
    STACK.get_or_init(PrivateOpenStack::start).await
}

impl PrivateOpenStack {
    async fn start() -> Self {
        let missing = "OpenStack's packages are missing: scripts/setup.sh --tests installs them";
        assert!(Path::new("/usr/bin/nova-manage").exists(), "{missing}");
        assert!(nix::unistd::geteuid().is_root(), "the servers of a private OpenStack need root");
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/private_openstack");
        // Short, since sockets' paths may have at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("ocim-os-").tempdir_in("/tmp").unwrap().keep();
        let mut command = Command::new(scripts.join("keep.sh"));
        command.arg(&folder).env("PRIVATE_OPENSTACK_HOOK", "vm.sh").stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(cache) = cache_folder() {
            command.env("PRIVATE_OPENSTACK_CACHE", cache);
        }
        let mut keeper = command.spawn().unwrap();
        let begun = Instant::now();
        while !folder.join("ready").exists() {
            let log = || fs::read_to_string(folder.with_extension("log")).unwrap_or_default();
            let ended = keeper.try_wait().unwrap();
            assert!(ended.is_none(), "the private OpenStack did not start:\n{}", log());
            assert!(begun.elapsed() < START_MAX, "OpenStack is not up yet:\n{}", log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Self { folder, _keeper: keeper }
    }

    /// An ordinary user's variables, `OS_…`.
    pub(crate) fn user(&self) -> BTreeMap<String, String> {
        read_variables(&self.folder.join("openrc"))
    }

    /// The administrator's.
    pub(crate) fn administrator(&self) -> BTreeMap<String, String> {
        read_variables(&self.folder.join("adminrc"))
    }

    /// Stops, kills, starts, pauses or resumes a service, e.g. `nova-api`.
    pub(crate) fn service(&self, verb: &str, name: &str) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/private_openstack");
        let mut command = Command::new(scripts.join("svc.sh"));
        let status = command.arg(&self.folder).args([verb, name]).stdin(Stdio::null()).status();
        assert!(status.unwrap().success(), "{verb} {name}");
    }

    /// Steers the servers that come from now on, by what `private_openstack_virt.py` knows; `None` ends that.
    pub(crate) fn steer(&self, name: &str, text: Option<&str>) {
        let file = self.folder.join("control").join(name);
        match text {
            Some(text) => fs::write(file, text).unwrap(),
            None => drop(fs::remove_file(file)),
        }
    }

    /// Does something as OpenStack's own client does it, and gives what it prints.
    pub(crate) fn client(&self, variables: &BTreeMap<String, String>, script: &str) -> String {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", &format!("import openstack\ncloud = openstack.connect()\n{script}")]);
        command.env_clear().envs(variables).env("PATH", "/usr/bin:/bin").env("no_proxy", "*");
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// Where what takes long at the first start is kept.
#[expect(clippy::disallowed_methods, reason = "the scripts say where things are kept")]
fn cache_folder() -> Option<PathBuf> {
    std::env::var_os("OCIM_CACHE_DIR").map(|cache| PathBuf::from(cache).join("private_openstack"))
}

/// Reads lines of `export NAME=value NAME=value`.
fn read_variables(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
