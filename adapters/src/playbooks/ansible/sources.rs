//! Where playbooks come from: this binary, or cached mirrors of git repositories.

use super::{AnsibleConfig, git};
use crate::file_work::work_aside;
use crate::playbooks::Source;
use include_dir::{Dir, DirEntry, include_dir};
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use std::path::{Component, Path, PathBuf};

static BUNDLED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../playbooks");

/// Puts a fresh copy of the source into the folder `into`, which does not exist yet; the commit that
/// it is, where it is of a git repository. The play that comes after a look fetches nothing anew.
pub(super) async fn fetch_source(
    config: &AnsibleConfig,
    source: &Source,
    into: &Path,
    is_look: bool,
) -> Result<Option<String>, PortError> {
    match source {
        Source::Bundled(name) => {
            let (name, into) = (name.clone(), into.to_owned());
            work_aside("unpack a playbook", move || unpack_bundled(&name, &into)).await?;
            Ok(None)
        }
        Source::Git { repository, version } => {
            git::checkout(config, repository, version, into, is_look).await.map(Some)
        }
    }
}

/// A file of the source in `folder`, which it names with a relative path.
pub(super) fn find_file(folder: &Path, name: &str) -> Result<PathBuf, PortError> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let path = folder.join(name);
    if inside && path.is_file() {
        return Ok(path);
    }
    Err(PortError::permanent(
        ErrorCode::PlaybookNotFound,
        format!("the source has no file {name:?}"),
    ))
}

fn not_bundled(name: &str) -> PortError {
    let text = format!("no bundled playbook is called {name}");
    PortError::permanent(ErrorCode::PlaybookNotFound, text)
}

fn unpack_bundled(name: &str, into: &Path) -> Result<(), PortError> {
    let folder = BUNDLED.get_dir(name).ok_or_else(|| not_bundled(name))?;
    unpack(folder, folder.path(), into).map_err(|error| {
        let text = format!("{name} cannot be unpacked: {error}");
        PortError::transient(text).blamed_on(Blame::Other)
    })
}

fn unpack(folder: &Dir<'_>, above: &Path, into: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(into)?;
    for entry in folder.entries() {
        let path = into.join(entry.path().strip_prefix(above).unwrap_or(entry.path()));
        match entry {
            DirEntry::Dir(inner) => unpack(inner, inner.path(), &path)?,
            DirEntry::File(file) => std::fs::write(path, file.contents())?,
        }
    }
    Ok(())
}

/// Removes `user:password@` from the addresses in a text.
pub(super) fn hide_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', ' ', '\'', '"', '\n']).unwrap_or(part.len());
        let start = part[..authority].rfind('@').map_or(0, |at| at + 1);
        hidden.push_str("://");
        hidden.push_str(&part[start..]);
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_playbooks_are_complete() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("source");
        unpack_bundled("demo_site", &into).unwrap();
        for file in [
            "requirements.txt",
            "playbooks/openedx_native.yml",
            "playbooks/roles/demo_site/files/server.py",
        ] {
            assert!(into.join(file).is_file(), "{file}");
        }
        assert!(unpack_bundled("no_such", &folder.path().join("other")).is_err());
    }

    #[test]
    fn sources_have_no_files_outside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("beside"), "").unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir(&source).unwrap();
        for name in ["../beside", "/etc/passwd", "", "missing.yml"] {
            assert!(find_file(&source, name).is_err(), "{name}");
        }
    }

    #[test]
    fn both_bundled_sets_share_one_environment() {
        let read = |name: &str| BUNDLED.get_file(name).map(include_dir::File::contents);
        assert!(read("demo_site/requirements.txt").is_some());
        assert_eq!(
            read("demo_site/requirements.txt"),
            read("load_balancer/requirements.txt"),
            "the demo would make two virtual environments"
        );
    }

    #[test]
    fn credentials_in_addresses_are_hidden() {
        assert_eq!(
            hide_credentials("fatal: unable to access 'https://me:se@cret@host/x.git/': no"),
            "fatal: unable to access 'https://host/x.git/': no"
        );
        assert_eq!(hide_credentials("git@host:x is not there"), "git@host:x is not there");
    }
}
