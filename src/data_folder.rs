//! The data folder: all that Ocim keeps outside of its database, and a lock against a second server.
//!
//! | name | holds | made by |
//! |---|---|---|
//! | `lock` | the server's lock, and its process id | [`DataFolder::open`] |
//! | `server.json` | where the running server answers | [`DataFolder::write_server`] |
//! | `layout` | what the folder looks like inside, a number | [`DataFolder::open`] |
//! | `secret_key` | the key that wraps all others, unless `SECRET_KEY` is given | [`DataFolder::secret_key`] |
//! | `head.json` | where the log of events ended when it was last looked at | [`HeadFile`] |
//! | `node_id` | who this node is among those on one database | [`DataFolder::node_id`] |
//! | `ssh/` | the manager's SSH key pair | [`DataFolder::ensure_ssh_key`] |
//! | `postgres/` | the database cluster, its socket and log (or a link to where they are) | `embedded_postgres` |
//! | `cloud/` | machines of `local` clouds | `ocim_adapters::cloud::local` |
//! | `playbooks/` | runs, git mirrors, virtual environments | `ocim_adapters::playbooks::ansible` |
//! | `playbooks/folder_id` | which folder of playbook runs this is | [`DataFolder::playbooks_id`] |
//!
//! The folder is 0700 and so is each below it. Under root it is 0711, because PostgreSQL refuses
//! to run as root and its user must pass through.

mod head;

pub use head::HeadFile;
pub use ocim_adapters::program::ProgramError;

use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ocim_adapters::program::Program;
use ocim_domain::system::Ids;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// What the folder looks like inside. A folder of another layout is refused.
const LAYOUT: &str = "1";
/// How often a lock is tried: whoever asks whether a server runs holds it for an instant.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
const SSH_KEYGEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the data folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another server has it.
    #[error("the data folder {} is in use by process {pid}", root.display())]
    Locked {
        /// The folder.
        root: PathBuf,
        /// Who has it; `?` where that is not known.
        pid: String,
    },
    /// A file or folder can't be made, read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// `create`, `read`, …
        action: &'static str,
        /// What it was about.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what we wrote.
    #[error("{} is damaged: {advice}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The folder is used for something else.
    #[error("{} is not empty and no data folder of Ocim: name another one", root.display())]
    NotOurs {
        /// The folder.
        root: PathBuf,
    },
    /// Another Ocim made it, whose files this one does not understand.
    #[error(
        "the data folder {} is of {}, this Ocim understands layout {LAYOUT} alone: name a new data \
         folder, or run the Ocim that made this one",
        root.display(), tell_layout(found.as_deref())
    )]
    OtherLayout {
        /// The folder.
        root: PathBuf,
        /// What its `layout` says; none where there is no such file.
        found: Option<String>,
    },
    /// There is a database, but the key it was written with is gone.
    #[error("{} is gone, but the database needs it: put it back, or set SECRET_KEY", path.display())]
    KeyLost {
        /// Where it should be.
        path: PathBuf,
    },
    /// Machines were made with an SSH key pair that is gone.
    #[error(
        "{} is gone, but the machines made so far open to it alone: put it back from a backup \
         (mode 0600). If there is none, make another pair there (`ssh-keygen -t ed25519 -N '' -f \
         {}`), and launch and activate each site anew: the old machines stay out of reach",
        path.display(), path.display()
    )]
    SshKeyLost {
        /// The private half.
        path: PathBuf,
    },
    /// The SSH key pair can't be made.
    #[error("could not make the SSH key pair")]
    Program(#[source] ProgramError),
}

/// Where the running server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Where its API listens.
    pub address: SocketAddr,
    /// Its process id.
    pub pid: u32,
}

/// The manager's SSH key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// File with the private key.
    pub private: PathBuf,
    /// The public key, one line: `ssh-ed25519 AAAA… ocim`.
    pub public: String,
}

impl SshKey {
    /// The key's fingerprint, as `ssh-keygen -l` shows it; of a key that is none, of its text.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let blob = self.public.split(' ').nth(1).unwrap_or_default();
        let bytes = STANDARD.decode(blob).unwrap_or_else(|_| blob.as_bytes().to_vec());
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(bytes)))
    }
}

/// A data folder that is ours until this value is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    /// Whether there was a database when we came.
    had_database: bool,
    /// Whether a node had worked here before we came.
    had_node: bool,
    // Held, never read: the lock goes when the file is closed.
    _lock: File,
}

impl DataFolder {
    /// Makes what is missing of the folder and locks it.
    ///
    /// # Errors
    /// [`DataFolderError::Locked`] when a server has it; [`DataFolderError::NotOurs`] when other
    /// things lie in it; [`DataFolderError::Io`] when it can't be made or written to.
    pub fn open(root: &Path) -> Result<Self, DataFolderError> {
        // Its mode is about to be changed: that must not happen to somebody's home or to `/tmp`.
        let is_used = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if is_used && !root.join("lock").exists() {
            return Err(DataFolderError::NotOurs { root: root.to_owned() });
        }
        let is_root = nix::unistd::geteuid().is_root();
        make_folder(root, if is_root { 0o711 } else { 0o700 })?;
        let root = root.canonicalize().map_err(failed("find", root))?;
        let lock = lock_folder(&root)?;
        check_layout(&root)?;
        for name in ["ssh", "cloud", "playbooks"] {
            make_folder(&root.join(name), 0o700)?;
        }
        let had_database = root.join("postgres").exists();
        // The id is drawn after the pair was made, and machines are made after that.
        let had_node = root.join("node_id").exists();
        Ok(Self { root, had_database, had_node, _lock: lock })
    }

    /// The folder itself, absolute and without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the cluster lives: a folder, or a link to one. Made by `embedded_postgres`.
    #[must_use]
    pub fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// For machines of `local` clouds.
    #[must_use]
    pub fn cloud(&self) -> PathBuf {
        self.root.join("cloud")
    }

    /// For runs of playbooks, git mirrors and virtual environments.
    #[must_use]
    pub fn playbooks(&self) -> PathBuf {
        self.root.join("playbooks")
    }

    /// The key that wraps all others: `given`, or the one in the folder, made at the first start.
    /// To be called before PostgreSQL is started: a kill in between would count as a lost key.
    ///
    /// # Errors
    /// [`DataFolderError::KeyLost`] when there is a database already and no key.
    pub fn secret_key(
        &self,
        given: Option<&Secret>,
        ids: &dyn Ids,
    ) -> Result<Secret, DataFolderError> {
        if let Some(key) = Self::find_secret_key(&self.root, given)? {
            return Ok(key);
        }
        let path = self.root.join("secret_key");
        if self.had_database {
            return Err(DataFolderError::KeyLost { path });
        }
        let mut bytes = [0; 48];
        ids.fill_random(&mut bytes);
        let key = STANDARD.encode(bytes);
        write_file(&path, key.as_bytes())?;
        Ok(Secret::new(key))
    }

    /// The key in the folder `root`, or the given one; nothing is made where there is none.
    ///
    /// # Errors
    /// [`DataFolderError::Damaged`] when what is there is no key.
    pub fn find_secret_key(
        root: &Path,
        given: Option<&Secret>,
    ) -> Result<Option<Secret>, DataFolderError> {
        if let Some(key) = given {
            return Ok(Some(key.clone()));
        }
        let path = root.join("secret_key");
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().len() >= 16 => Ok(Some(Secret::new(text.trim()))),
            Ok(_) => {
                let advice = "put the right one back, or set SECRET_KEY";
                Err(DataFolderError::Damaged { path, advice })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Who this node is among those on one database; drawn once. The folder's lock sees to it that
    /// nobody else is alive with it.
    ///
    /// # Errors
    /// [`DataFolderError::Damaged`] when the file is not what we wrote.
    pub fn node_id(&self, ids: &dyn Ids) -> Result<Uuid, DataFolderError> {
        ensure_id(self.root.join("node_id"), ids)
    }

    /// Which folder of playbook runs this is: nodes that share it find each other's plays.
    ///
    /// # Errors
    /// [`DataFolderError::Damaged`] when the file is not what we wrote.
    pub fn playbooks_id(&self, ids: &dyn Ids) -> Result<Uuid, DataFolderError> {
        ensure_id(self.playbooks().join("folder_id"), ids)
    }

    /// Tells commands on this machine where the server answers.
    ///
    /// # Errors
    /// [`DataFolderError::Io`].
    pub fn write_server(&self, address: SocketAddr) -> Result<(), DataFolderError> {
        let path = self.root.join("server.json");
        let record = ServerRecord { address, pid: std::process::id() };
        let text = serde_json::to_vec(&record).map_err(|e| failed("write", &path)(e.into()))?;
        write_file(&path, &text)
    }

    /// The server that runs on the folder `root`, if one does.
    ///
    /// # Errors
    /// [`DataFolderError::Io`] when the folder is not ours to read.
    pub fn find_server(root: &Path) -> Result<Option<ServerRecord>, DataFolderError> {
        let lock = match File::open(root.join("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &root.join("lock"))(error)),
        };
        // A record without a locked folder was left behind by a server that was killed.
        match lock.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed("lock", root)(error)),
        }
        let path = root.join("server.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| {
                let advice = "restart the server, which writes it anew";
                DataFolderError::Damaged { path, advice }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The manager's SSH key pair, made at the first start. Of the two files the private half alone
    /// counts; the public one is for people, and written anew where it is missing.
    ///
    /// # Errors
    /// [`DataFolderError::SshKeyLost`] when it is gone, but a node has worked here with it;
    /// [`DataFolderError::Damaged`] when it is no key, or not the one of the public half;
    /// [`DataFolderError::Program`] when `ssh-keygen` is missing or fails.
    pub async fn ensure_ssh_key(&self) -> Result<SshKey, DataFolderError> {
        let private = self.root.join("ssh/id_ed25519");
        let public = self.root.join("ssh/id_ed25519.pub");
        let length = fs::metadata(&private).map_or(0, |found| found.len());
        if length == 0 && self.had_node {
            return Err(DataFolderError::SshKeyLost { path: private });
        }
        if length == 0 {
            // Made aside and moved, the private half last: a crash leaves a whole pair or none.
            let draft = self.root.join("ssh/draft");
            let draft_public = self.root.join("ssh/draft.pub");
            for stale in [&draft, &draft_public] {
                remove_if_there(stale)?;
            }
            let mut command = Program::new("ssh-keygen").of_package("openssh-client");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "ocim", "-f"]).arg(&draft);
            command.run(SSH_KEYGEN_TIMEOUT).await.map_err(DataFolderError::Program)?;
            fs::rename(&draft_public, &public).map_err(failed("create", &public))?;
            fs::rename(&draft, &private).map_err(failed("create", &private))?;
        }
        let key = read_public_half(&private).await?;
        match fs::read_to_string(&public) {
            Ok(text) if key_itself(&text) == key_itself(&key) => {}
            Ok(_) => {
                let advice = "it is not the key of id_ed25519.pub beside it; put the right one \
                              back, or remove id_ed25519.pub if this is the right one";
                return Err(DataFolderError::Damaged { path: private, advice });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_file(&public, format!("{key}\n").as_bytes())?;
            }
            Err(error) => return Err(failed("read", &public)(error)),
        }
        Ok(SshKey { private, public: key })
    }

    /// Removes the folder and all that is in it, wherever its cluster lives. PostgreSQL and the
    /// machines must have been stopped before.
    ///
    /// # Errors
    /// [`DataFolderError::Io`] at the first file that can't be removed.
    pub fn remove(self) -> Result<(), DataFolderError> {
        if let Ok(elsewhere) = fs::read_link(self.postgres()) {
            remove_tree(&elsewhere)?;
        }
        remove_tree(&self.root)
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // Best effort: the lock tells whether the record counts.
        let _ = fs::remove_file(self.root.join("server.json"));
    }
}

/// `ssh-ed25519 AAAA… comment` of a private key that has no passphrase.
async fn read_public_half(private: &Path) -> Result<String, DataFolderError> {
    let mut command = Program::new("ssh-keygen").of_package("openssh-client");
    command.args(["-y", "-P", "", "-f"]).arg(private);
    match command.run(SSH_KEYGEN_TIMEOUT).await {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(ProgramError::Failed { complaint, .. }) => {
            tracing::warn!(file = %private.display(), complaint, "ssh-keygen can't read the key");
            let advice = "put the right key back, without a passphrase and with mode 0600";
            Err(DataFolderError::Damaged { path: private.to_owned(), advice })
        }
        Err(error) => Err(DataFolderError::Program(error)),
    }
}

/// Kind and key of a public key's line, without its comment.
fn key_itself(line: &str) -> Vec<&str> {
    line.split_whitespace().take(2).collect()
}

/// Writes down what layout a new folder has; refuses that of another one.
fn check_layout(root: &Path) -> Result<(), DataFolderError> {
    let path = root.join("layout");
    let found = match fs::read_to_string(&path) {
        Ok(text) if text.trim() == LAYOUT => return Ok(()),
        Ok(text) => Some(text.trim().chars().take(20).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", &path)(error)),
    };
    // A crash at the very first start may have left no more than the lock and a draft.
    let entries = fs::read_dir(root).map_err(failed("read", root))?.flatten();
    let is_new =
        |entry: fs::DirEntry| ["lock", "layout.draft"].iter().any(|it| entry.file_name() == *it);
    if found.is_some() || !entries.into_iter().all(is_new) {
        return Err(DataFolderError::OtherLayout { root: root.to_owned(), found });
    }
    write_file(&path, format!("{LAYOUT}\n").as_bytes())
}

fn tell_layout(found: Option<&str>) -> String {
    found.map_or_else(|| "an earlier layout".to_owned(), |found| format!("layout {found}"))
}

/// Turns an I/O error into ours.
pub(crate) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> DataFolderError {
    let path = path.to_owned();
    move |source| DataFolderError::Io { action, path, source }
}

/// Makes a folder (and its parents) or takes the one there, and gives it `mode`.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), DataFolderError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create", path)(error));
        }
        _ => {}
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("own", path))
}

/// The id in a file, drawn once.
fn ensure_id(path: PathBuf, ids: &dyn Ids) -> Result<Uuid, DataFolderError> {
    match fs::read_to_string(&path) {
        Ok(text) => Uuid::try_parse(text.trim()).map_err(|_| DataFolderError::Damaged {
            path,
            advice: "remove it, and a new one is drawn at the next start",
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = ids.new_id();
            write_file(&path, id.to_string().as_bytes())?;
            Ok(id)
        }
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Writes a file of mode 0600 that is there whole or not at all.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), DataFolderError> {
    let draft = path.with_extension("draft");
    remove_if_there(&draft)?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(failed("write", path))
}

fn remove_if_there(path: &Path) -> Result<(), DataFolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_tree(path: &Path) -> Result<(), DataFolderError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn lock_folder(root: &Path) -> Result<File, DataFolderError> {
    let path = root.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("create", &path))?;
    for attempt in 1.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let pid = if known { pid.trim().to_owned() } else { "?".to_owned() };
                return Err(DataFolderError::Locked { root: root.to_owned(), pid });
            }
        }
    }
    // Between open and lock somebody may have removed the folder: then the lock is of no use.
    let same = match (file.metadata(), fs::metadata(&path)) {
        (Ok(locked), Ok(there)) => locked.ino() == there.ino() && locked.dev() == there.dev(),
        _ => false,
    };
    if !same {
        let gone = io::Error::new(io::ErrorKind::NotFound, "it was removed meanwhile: try again");
        return Err(failed("lock", &path)(gone));
    }
    let mut note_pid = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note_pid().map_err(failed("write", &path))?;
    Ok(file)
}
