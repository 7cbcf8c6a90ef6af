//! Where a cluster lives, and as whom it runs: PostgreSQL refuses root, and needs a short socket path.

use super::PostgresError;
use crate::data_folder::{self, DataFolderError};
use nix::unistd::{Gid, Uid, User};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Where clusters go whose data folder our unprivileged user can't reach (root only).
const ELSEWHERE: &str = "/var/lib/ocim-postgres";
/// Longest path of a socket: Linux takes 107 bytes.
const SOCKET_BYTES_MAX: usize = 100;
/// The socket's name, which PostgreSQL makes of the port.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// The user that PostgreSQL runs as when we are root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

/// Folders of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Ours: `pg_hba.conf`, `pg_ident.conf`, `postgres.log` and the folders below.
    pub(super) home: PathBuf,
    /// The server's data, the account's alone.
    pub(super) cluster: PathBuf,
    /// Its socket, the account's alone; outside of `home` where that path is too long.
    pub(super) sockets: PathBuf,
    /// As whom the server runs; `None`: as ourselves.
    pub(super) account: Option<Account>,
}

impl Place {
    /// The folders of the cluster of the data folder `root`, whether they exist or not.
    pub(super) fn find(root: &Path) -> Result<Self, PostgresError> {
        let account = choose_account()?;
        let link = root.join("postgres");
        let home = match (fs::read_link(&link), &account) {
            (Ok(elsewhere), _) => elsewhere,
            (Err(_), Some(account)) if !is_reachable(root, account) => {
                Path::new(ELSEWHERE).join(short_name(root))
            }
            (Err(_), _) => link,
        };
        let sockets = choose_sockets(&home, account.is_some());
        Ok(Self { cluster: home.join("cluster"), sockets, account, home })
    }

    /// Makes the folders that are missing.
    pub(super) fn make(&self, root: &Path) -> Result<(), PostgresError> {
        let folder_mode = if self.account.is_some() { 0o711 } else { 0o700 };
        if !self.home.starts_with(root) {
            data_folder::make_folder(Path::new(ELSEWHERE), folder_mode)?;
            let link = root.join("postgres");
            if fs::read_link(&link).is_err() {
                symlink(&self.home, &link).map_err(data_folder::failed("create", &link))?;
            }
        }
        data_folder::make_folder(&self.home, folder_mode)?;
        self.make_private(&self.sockets)
    }

    /// Makes a folder that the account alone may enter.
    pub(super) fn make_private(&self, path: &Path) -> Result<(), PostgresError> {
        // Someone may have put a link or a folder of theirs at a path below `/tmp`.
        let ours = [Some(Uid::effective()), self.account.as_ref().map(|account| account.uid)];
        if let Ok(found) = fs::symlink_metadata(path)
            && !(found.is_dir() && ours.contains(&Some(Uid::from_raw(found.uid()))))
        {
            let advice = "somebody else made it; remove it";
            return Err(DataFolderError::Damaged { path: path.to_owned(), advice }.into());
        }
        data_folder::make_folder(path, 0o700)?;
        if let Some(account) = &self.account {
            nix::unistd::chown(path, Some(account.uid), Some(account.gid))
                .map_err(|error| data_folder::failed("own", path)(error.into()))?;
        }
        Ok(())
    }

    /// The files by which PostgreSQL keeps a second server from this cluster and this socket.
    pub(super) fn lock_files(&self) -> [PathBuf; 2] {
        let socket = self.sockets.join(format!("{SOCKET_NAME}.lock"));
        [self.cluster.join("postmaster.pid"), socket]
    }

    /// Removes the socket folder where it lies outside of the data folder.
    pub(super) fn remove_sockets(&self) {
        if !self.sockets.starts_with(&self.home) {
            // Best effort: an empty folder that the next start uses again.
            let _ = fs::remove_dir_all(&self.sockets);
        }
    }
}

fn choose_account() -> Result<Option<Account>, PostgresError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok()?);
    match found {
        Some(user) => Ok(Some(Account { uid: user.uid, gid: user.gid })),
        None => Err(PostgresError::NoAccount),
    }
}

/// Whether the account may pass through the folder and all above it.
fn is_reachable(path: &Path, account: &Account) -> bool {
    path.ancestors().all(|folder| {
        let Ok(found) = fs::metadata(folder) else { return false };
        let bit = if found.uid() == account.uid.as_raw() {
            0o100
        } else if found.gid() == account.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        found.mode() & bit != 0
    })
}

fn choose_sockets(home: &Path, is_root: bool) -> PathBuf {
    let near = home.join("socket");
    if near.join(SOCKET_NAME).as_os_str().len() <= SOCKET_BYTES_MAX {
        return near;
    }
    let parent = if is_root { "/run" } else { "/tmp" };
    Path::new(parent).join(format!("ocim-{}", short_name(home)))
}

/// A name for a path: the same each time, 16 characters.
fn short_name(path: &Path) -> String {
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn long_paths_get_a_short_socket() {
        let long = PathBuf::from(format!("/home/{}", "long/".repeat(30)));
        for is_root in [true, false] {
            let sockets = choose_sockets(&long, is_root);
            assert!(sockets.join(SOCKET_NAME).as_os_str().len() <= SOCKET_BYTES_MAX, "{sockets:?}");
            assert_eq!(sockets, choose_sockets(&long, is_root), "the same at each start");
        }
        assert_eq!(choose_sockets(Path::new("/d"), true), Path::new("/d/socket"));
    }

    #[test]
    fn a_folder_behind_a_closed_one_is_out_of_reach() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("its mode");
        let stranger = Account { uid: Uid::from_raw(54_321), gid: Gid::from_raw(54_321) };
        let owner = Account { uid: Uid::effective(), gid: Gid::effective() };
        assert!(is_reachable(Path::new("/"), &stranger));
        assert!(!is_reachable(folder.path(), &stranger), "it is 0700");
        assert!(is_reachable(folder.path(), &owner));
    }
}
