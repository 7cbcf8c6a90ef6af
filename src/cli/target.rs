//! Whom a command asks: the server that is named, the one that was logged in to, or this machine's.

use super::client::{Client, Place};
use super::error::{CliError, Kind};
use super::saved_servers::SavedServers;
use crate::config::{ClientConfig, Config, ConfigError, Secret};
use std::path::PathBuf;

/// What the command line says of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TargetArgs {
    /// The server's data folder; else `OCIM_DATA_DIR`
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,
    /// Ask the server at this URL; else `OCIM_SERVER`, else the one of `ocim login`, else this
    /// machine's
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// File with the token for it; else `OCIM_TOKEN`, else the one that `ocim login` saved
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Whom a command asks, and the configuration of this machine.
#[derive(Debug)]
pub(super) struct Target {
    args: TargetArgs,
    environment: ClientConfig,
}

impl Target {
    /// What the command line and the environment say.
    pub(super) fn new(args: TargetArgs) -> Self {
        Self { args, environment: ClientConfig::from_environment() }
    }

    /// The folder of saved servers.
    pub(super) fn environment(&self) -> &ClientConfig {
        &self.environment
    }

    /// This machine's configuration, with the data folder that the command line names.
    ///
    /// # Errors
    /// Every variable that breaks a rule.
    pub(super) fn configured(&self) -> Result<Config, Vec<ConfigError>> {
        let config = Config::from_environment()?;
        let data_dir = self.args.data_dir.clone().unwrap_or_else(|| config.data_dir.clone());
        Ok(Config { data_dir, ..config })
    }

    /// The same, for a command that can't do without.
    ///
    /// # Errors
    /// [`Kind::Usage`] with every variable that breaks a rule.
    pub(super) fn config(&self) -> Result<Config, CliError> {
        self.configured().map_err(|errors| {
            let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
            CliError::new(Kind::Usage, all.join("; "))
        })
    }

    /// The configuration for a command that works on this machine's data folder alone.
    ///
    /// # Errors
    /// [`Kind::Usage`] where another server is named, which such a command can't ask.
    pub(super) fn local(&self, command: &str) -> Result<Config, CliError> {
        self.refuse_remote(command)?;
        self.config()
    }

    /// Refuses where another server is named.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub(super) fn refuse_remote(&self, command: &str) -> Result<(), CliError> {
        let Some(url) = self.remote_url()? else { return Ok(()) };
        let message = format!(
            "`ocim {command}` works on the data folder of this machine, and can't ask {url}: run it \
             where that server runs, or name a folder with --data-dir"
        );
        Err(CliError::new(Kind::Usage, message))
    }

    /// The URL of the server to ask, where it is not found through a data folder.
    fn remote_url(&self) -> Result<Option<String>, CliError> {
        let named = match (&self.args.server, &self.args.data_dir) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(_)) => return Ok(None),
            (None, None) => self.environment.server.clone(),
        };
        Ok(named
            .map_or_else(|| Ok(self.saved()?.current), |url| Ok::<_, CliError>(Some(url)))?
            .map(|url| tidy_url(&url)))
    }

    fn saved(&self) -> Result<SavedServers, CliError> {
        SavedServers::read(self.environment.folder.as_deref())
    }

    /// The token for a server, if one is given or saved.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(super) fn find_token(&self, url: &str) -> Result<Option<Secret>, CliError> {
        if let Some(file) = &self.args.token_file {
            let token = std::fs::read_to_string(file).map_err(|error| {
                let message = format!("can't read the token in {}: {error}", file.display());
                CliError::new(Kind::Unauthorized, message)
            })?;
            return Ok(Some(Secret::new(token.trim())));
        }
        if let Some(token) = &self.environment.token {
            return Ok(Some(token.clone()));
        }
        Ok(self.saved()?.tokens.get(&tidy_url(url)).map(Secret::new))
    }

    /// A way to the server.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when none runs here, [`Kind::Unauthorized`] without a token.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        let Some(url) = self.remote_url()? else {
            let root = match &self.args.data_dir {
                Some(root) => root.clone(),
                None => self.config()?.data_dir,
            };
            return Client::find(&Place::Folder(root));
        };
        let token = self.find_token(&url)?.ok_or_else(|| {
            let message = format!(
                "there is no token for {url}: log in with `ocim login {url}`, or give --token-file"
            );
            CliError::new(Kind::Unauthorized, message)
        })?;
        Client::find(&Place::Address { url, token })
    }
}

/// A URL as it is kept and compared: without a slash at its end.
#[must_use]
pub(super) fn tidy_url(url: &str) -> String {
    url.trim().trim_end_matches('/').to_owned()
}
