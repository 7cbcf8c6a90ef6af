//! Where an OpenStack is, and as whom it is asked.

use osauth::common::IdOrName;
use osauth::identity::{ApplicationCredential, Password};
use osauth::{InterfaceType, Session};
use reqwest::Client;
use std::path::PathBuf;
use std::str::FromStr;

/// The domain that Keystone has from the start, by its name and by its id.
pub const DEFAULT_DOMAIN: (&str, &str) = ("Default", "default");

/// As whom Keystone is asked for tokens (version 3 of its API).
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user, who works in one project.
    Password {
        /// Their name.
        user: String,
        /// Their password.
        password: String,
        /// The name of their domain.
        user_domain: String,
        /// The project.
        project: Project,
    },
    /// What a user made for programs: it belongs to one project, and can be revoked.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: String,
    },
}

/// A project, by its id, or by its name and its domain's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Project {
    /// The id.
    Id(String),
    /// The name, and the name of its domain.
    Name(String, String),
}

/// Where an OpenStack is.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenStackAccess {
    /// Keystone's URL, with or without `/v3`.
    pub auth_url: String,
    /// As whom it is asked.
    pub login: Login,
    /// The region, as Keystone's catalog calls it; none where there is one alone.
    pub region: Option<String>,
    /// Which URLs of the catalog are used: `public`, `internal` or `admin`.
    pub interface: String,
    /// A file of certificates (PEM) that are believed beside those that the computer believes.
    pub ca_file: Option<PathBuf>,
    /// Whether to see that each service is the one that it says it is.
    pub verify: bool,
}

impl std::fmt::Debug for OpenStackAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { auth_url, region, interface, .. } = self;
        f.debug_struct("OpenStackAccess")
            .field("auth_url", auth_url)
            .field("region", region)
            .field("interface", interface)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Login::Password",
            Self::ApplicationCredential { .. } => "Login::ApplicationCredential",
        })
    }
}

impl OpenStackAccess {
    /// What nobody is to learn: the password, or the application credential's secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        match &self.login {
            Login::Password { password, .. } => password,
            Login::ApplicationCredential { secret, .. } => secret,
        }
    }

    /// Gets a token, and the catalog of services with it.
    pub(super) async fn log_in(&self, client: Client) -> Result<Session, osauth::Error> {
        let url = self.keystone_url();
        let session = match &self.login {
            Login::Password { user, password, user_domain, project } => {
                let (project, domain) = match project {
                    Project::Id(id) => (IdOrName::from_id(id), None),
                    Project::Name(name, domain) => {
                        (IdOrName::from_name(name), Some(IdOrName::from_name(domain)))
                    }
                };
                let login = Password::new(url, user, password, user_domain)?;
                Session::new_with_client(client, login.with_project_scope(project, domain)).await?
            }
            Login::ApplicationCredential { id, secret } => {
                let login = ApplicationCredential::new(url, id, secret)?;
                Session::new_with_client(client, login).await?
            }
        };
        let session = session.with_endpoint_interface(InterfaceType::from_str(&self.interface)?);
        Ok(match &self.region {
            Some(region) => session.with_region(region),
            None => session,
        })
    }

    /// Keystone's URL without a version: environments from before version 3 name version 2.
    pub(super) fn keystone_url(&self) -> &str {
        let url = self.auth_url.trim_end_matches('/');
        url.strip_suffix("/v2.0").unwrap_or(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_keystone_is_ours_to_choose() {
        let access = |url: &str| OpenStackAccess {
            auth_url: url.to_owned(),
            login: Login::ApplicationCredential { id: "i".to_owned(), secret: "s3cret".to_owned() },
            region: None,
            interface: "public".to_owned(),
            ca_file: None,
            verify: true,
        };
        for url in ["https://a/identity", "https://a/identity/", "https://a/identity/v2.0/"] {
            assert_eq!(access(url).keystone_url(), "https://a/identity");
        }
        assert_eq!(access("https://a:5000/v3/").keystone_url(), "https://a:5000/v3");
        let shown = format!("{:?} {:?}", access("https://a"), access("https://a").login);
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(access("https://a").secret(), "s3cret");
    }
}
