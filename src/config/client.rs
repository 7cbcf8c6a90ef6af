//! What the command line reads from the environment to find a server.

use super::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the environment says which server to ask.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// `OCIM_SERVER`: URL of the server to ask. None: the one of `ocim login`, else this machine's.
    pub server: Option<String>,
    /// `OCIM_TOKEN`: the token for it. None: the one that `ocim login` saved.
    pub token: Option<Secret>,
    /// The folder of saved servers: `$XDG_CONFIG_HOME/ocim`, or `~/.config/ocim`; none without a
    /// home.
    pub folder: Option<PathBuf>,
}

impl ClientConfig {
    /// What these variables say.
    #[must_use]
    pub fn load(variables: &BTreeMap<String, String>) -> Self {
        let read = |name: &str| {
            let value = variables.get(name)?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let absolute = |text: String| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
        let home = || Some(read("HOME").and_then(absolute)?.join(".config"));
        let folder = read("XDG_CONFIG_HOME").and_then(absolute).or_else(home);
        Self {
            server: read("OCIM_SERVER"),
            token: read("OCIM_TOKEN").map(Secret::new),
            folder: folder.map(|folder| folder.join("ocim")),
        }
    }
}
