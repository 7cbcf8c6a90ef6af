//! Credentials of OpenStack: from `clouds.yaml`, from the original's variables, or from those of OpenStack's own
//! programs.

use super::Secret;
use super::reader::Reader;
use ocim_adapters::cloud::openstack::{DEFAULT_DOMAIN, Login, OpenStackAccess, Project};
use ocim_domain::configuration::yaml::parse_mapping;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// A region of an OpenStack.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenstackRegion {
    /// Launches at a time; at least 1. `10`.
    pub launches_max: Option<NonZeroU32>,
    /// Which cloud of `clouds.yaml` it is in. None: the environment has its credentials.
    pub cloud: Option<String>,
    /// How Keystone's catalog calls it. Its name in `OCIM_CLOUDS`.
    pub region: Option<String>,
    /// The network that its machines are put on, by name or id. None: Nova chooses.
    pub network: Option<String>,
    /// The network that floating addresses come from, by name or id. None: machines get none.
    pub floating_pool: Option<String>,
    /// Whether the SSH host keys are believed that a machine shows first, where its console shows none. `false`.
    #[serde(default)]
    pub trust_first_host_key: bool,
    /// Where it is, and as whom it is asked; none where the configuration is refused.
    #[serde(skip)]
    pub access: Option<OpenStackAccess>,
}

impl OpenstackRegion {
    /// One of which nothing is known but where it is.
    pub(super) fn of(access: OpenStackAccess) -> Self {
        Self {
            launches_max: None,
            cloud: None,
            region: access.region.clone(),
            network: None,
            floating_pool: None,
            trust_first_host_key: false,
            access: Some(access),
        }
    }
}

/// What says who we are to an OpenStack. Regions that have no `cloud` take it from `OPENSTACK_AUTH_URL` and its
/// sisters where that is set, else from these.
#[derive(Debug, Default)]
struct Credentials {
    /// `OS_AUTH_URL`: Keystone's URL. None.
    auth_url: Option<String>,
    /// `OS_USERNAME`: a user's name. None.
    username: Option<String>,
    /// `OS_PASSWORD`: their password. None.
    password: Option<Secret>,
    /// `OS_USER_DOMAIN_NAME`: the name of their domain. `Default`, as `OS_USER_DOMAIN_ID`'s value `default`
    /// means; domains are known by no other id.
    user_domain: Option<String>,
    /// `OS_PROJECT_NAME`: the name of the project. `OS_TENANT_NAME`'s value.
    project_name: Option<String>,
    /// `OS_PROJECT_ID`: the id of the project, in place of its name. None.
    project_id: Option<String>,
    /// `OS_PROJECT_DOMAIN_NAME`: the name of the project's domain. `Default`, as
    /// `OS_PROJECT_DOMAIN_ID`'s value `default` means.
    project_domain: Option<String>,
    /// `OS_APPLICATION_CREDENTIAL_ID`: an application credential, in place of a user with a project. None.
    application_credential: Option<String>,
    /// `OS_APPLICATION_CREDENTIAL_SECRET`: its secret. None.
    secret: Option<Secret>,
    /// `OS_INTERFACE`: which URLs of the catalog are used: `public`, `internal` or `admin`. `public`.
    interface: Option<String>,
    /// `OS_CACERT`: certificates (PEM) that are believed beside those that the computer believes, absolute. None.
    ca_file: Option<String>,
    /// What is said of the region, if anything is.
    region: Option<String>,
    /// Whether nobody looks whether a service is the one that it says it is.
    is_blind: bool,
}

/// Where a region's credentials are, which are asked for by the first words of an error.
pub(super) fn find_access(
    r: &mut Reader<'_>,
    name: &str,
    region: &OpenstackRegion,
) -> Option<OpenStackAccess> {
    let (variable, found) = match region.cloud.as_deref().or(r.optional("OS_CLOUD")) {
        Some(cloud) => ("OCIM_CLOUDS", read_clouds_file(r, cloud)),
        None if r.optional("OPENSTACK_AUTH_URL").is_some() => {
            ("OPENSTACK_AUTH_URL", Ok(of_original(r)))
        }
        None if r.optional("OS_AUTH_URL").is_some() => ("OS_AUTH_URL", Ok(of_environment(r))),
        None => {
            let rule = "has no credentials: name its `cloud` of clouds.yaml, or set OS_AUTH_URL or \
                        OPENSTACK_AUTH_URL with its sisters";
            ("OCIM_CLOUDS", Err(rule.to_owned()))
        }
    };
    let wanted = region.region.clone();
    let access = found.and_then(|credentials| {
        let told = credentials.region.clone();
        let access = credentials.access()?;
        Ok(OpenStackAccess { region: wanted.or(told).or_else(|| Some(name.to_owned())), ..access })
    });
    access.map_err(|rule| r.refuse(variable, format!("(region {name}) {rule}"))).ok()
}

/// What an environment of the original says. Whoever says a part of it is told what is missing: machines are
/// not to be made on this computer for want of one variable.
pub(super) fn read_original(r: &mut Reader<'_>) -> Option<OpenStackAccess> {
    let region = r.optional("OPENSTACK_REGION")?.to_owned();
    let credentials = of_original(r);
    let Credentials { auth_url, username, project_name, password, .. } = &credentials;
    let says_nothing =
        password.is_none() && [auth_url, username, project_name].into_iter().all(Option::is_none);
    if says_nothing {
        return None;
    }
    let access = credentials.access().map_err(|rule| {
        let rule = format!(
            "{rule}: where OPENSTACK_REGION is set without OCIM_CLOUDS, OPENSTACK_AUTH_URL, OPENSTACK_USER, \
             OPENSTACK_PASSWORD and OPENSTACK_TENANT all are, or none"
        );
        r.refuse("OPENSTACK_AUTH_URL", rule);
    });
    Some(OpenStackAccess { region: Some(region), ..access.ok()? })
}

/// The original's user and project are of the domain that there always is.
fn of_original(r: &mut Reader<'_>) -> Credentials {
    let mut text = |name| r.optional(name).map(str::to_owned);
    Credentials {
        auth_url: text("OPENSTACK_AUTH_URL"),
        username: text("OPENSTACK_USER"),
        project_name: text("OPENSTACK_TENANT"),
        password: r.secret("OPENSTACK_PASSWORD"),
        ..Credentials::default()
    }
}

fn of_environment(r: &mut Reader<'_>) -> Credentials {
    let mut text = |name| r.optional(name).map(str::to_owned);
    Credentials {
        auth_url: text("OS_AUTH_URL"),
        username: text("OS_USERNAME"),
        user_domain: text("OS_USER_DOMAIN_NAME").or_else(|| text("OS_USER_DOMAIN_ID")),
        project_name: text("OS_PROJECT_NAME").or_else(|| text("OS_TENANT_NAME")),
        project_id: text("OS_PROJECT_ID"),
        project_domain: text("OS_PROJECT_DOMAIN_NAME").or_else(|| text("OS_PROJECT_DOMAIN_ID")),
        application_credential: text("OS_APPLICATION_CREDENTIAL_ID"),
        interface: text("OS_INTERFACE"),
        ca_file: text("OS_CACERT"),
        // That of the region's own name in OCIM_CLOUDS counts: there may be several.
        region: None,
        is_blind: false,
        password: r.secret("OS_PASSWORD"),
        secret: r.secret("OS_APPLICATION_CREDENTIAL_SECRET"),
    }
}

impl Credentials {
    /// What a cloud of `clouds.yaml` says.
    fn of_cloud(cloud: &Map<String, Value>) -> Self {
        let auth = cloud.get("auth");
        let of = |place: Option<&Value>, name: &str| {
            Some(place?.get(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty())
        };
        let text = |name| of(auth, name);
        let own = |name: &str| of(Some(&Value::Object(cloud.clone())), name);
        Self {
            auth_url: text("auth_url"),
            username: text("username"),
            password: text("password").map(Secret::new),
            user_domain: text("user_domain_name").or_else(|| text("user_domain_id")),
            project_name: text("project_name").or_else(|| text("tenant_name")),
            project_id: text("project_id"),
            project_domain: text("project_domain_name").or_else(|| text("project_domain_id")),
            application_credential: text("application_credential_id"),
            secret: text("application_credential_secret").map(Secret::new),
            interface: own("interface"),
            ca_file: own("cacert"),
            region: own("region_name"),
            is_blind: cloud.get("verify") == Some(&Value::Bool(false)),
        }
    }

    /// Where that leads, and as whom; what is missing, as a rule.
    fn access(self) -> Result<OpenStackAccess, String> {
        let need = |value: Option<String>, what: &str| value.ok_or(format!("needs {what}"));
        let exposed = |secret: Option<Secret>| secret.map(|secret| secret.expose().to_owned());
        let auth_url = need(self.auth_url, "Keystone's URL")?;
        let is_url = auth_url.starts_with("http://") || auth_url.starts_with("https://");
        if !is_url || auth_url.contains('@') {
            return Err("needs an http or https URL without a user for Keystone".to_owned());
        }
        let interface = self.interface.unwrap_or_else(|| "public".to_owned());
        if !["public", "internal", "admin"].contains(&interface.trim_end_matches("URL")) {
            return Err("takes an interface public, internal or admin".to_owned());
        }
        let ca_file = self.ca_file.map(PathBuf::from);
        if ca_file.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err("takes certificates (cacert) by an absolute path".to_owned());
        }
        let login = match self.application_credential {
            Some(id) => {
                let secret = need(exposed(self.secret), "the application credential's secret")?;
                Login::ApplicationCredential { id, secret }
            }
            None => Login::Password {
                user: need(self.username, "a user's name, or an application credential's id")?,
                password: need(exposed(self.password), "the user's password")?,
                user_domain: name_domain(self.user_domain),
                project: match self.project_id {
                    Some(id) => Project::Id(id),
                    None => {
                        let name = need(self.project_name, "a project's name or id")?;
                        Project::Name(name, name_domain(self.project_domain))
                    }
                },
            },
        };
        let (region, verify) = (self.region, !self.is_blind);
        Ok(OpenStackAccess { auth_url, login, region, interface, ca_file, verify })
    }
}

/// The name of a domain that may be told by its id; there is one that has both at every Keystone.
fn name_domain(told: Option<String>) -> String {
    let (name, id) = DEFAULT_DOMAIN;
    told.filter(|told| told != id).unwrap_or_else(|| name.to_owned())
}

/// What `clouds.yaml` says of a cloud, with what `secure.yaml` beside it adds.
fn read_clouds_file(r: &mut Reader<'_>, cloud: &str) -> Result<Credentials, String> {
    let file = find_clouds_file(r)?;
    let mut clouds = read_yaml(&file)?;
    let secure = file.with_file_name("secure.yaml");
    if secure.exists() {
        merge(&mut clouds, read_yaml(&secure)?);
    }
    let shown = file.display();
    let found = clouds.get("clouds").and_then(|clouds| clouds.get(cloud)?.as_object());
    let found = found.ok_or_else(|| format!("names a `cloud` that {shown} does not have"))?;
    if found.contains_key("profile") {
        return Err(format!(
            "names a `cloud` with a `profile`, which is not read: put its auth_url into {shown}"
        ));
    }
    Ok(Credentials::of_cloud(found))
}

/// `OS_CLIENT_CONFIG_FILE`: where `clouds.yaml` is. In the working directory, `~/.config/openstack` or
/// `/etc/openstack`.
///
/// `OS_CLOUD`: the cloud in it of all regions that name none. None.
fn find_clouds_file(r: &mut Reader<'_>) -> Result<PathBuf, String> {
    if let Some(file) = r.path("OS_CLIENT_CONFIG_FILE") {
        return Ok(file);
    }
    let config = r.path("XDG_CONFIG_HOME");
    let config = config.or_else(|| Some(r.path("HOME")?.join(".config")));
    let folders = [Some(PathBuf::new()), config.map(|it| it.join("openstack"))];
    let folders = folders.into_iter().flatten().chain([PathBuf::from("/etc/openstack")]);
    let mut files = folders.map(|folder| folder.join("clouds.yaml"));
    files.find(|file| file.is_file()).ok_or_else(|| {
        "names a `cloud`, and there is no clouds.yaml: say where by OS_CLIENT_CONFIG_FILE"
            .to_owned()
    })
}

fn read_yaml(file: &Path) -> Result<Map<String, Value>, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("needs {shown}: {error}"))?;
    // The place is safe to tell, the text is not.
    parse_mapping(&text)
        .map_err(|error| format!("needs {shown}, which has an error in line {}", error.line))
}

/// Lays one tree over another.
fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (name, value) in above {
        match (below.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => drop(below.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn find(pairs: &[(&str, &str)], cloud: Option<&str>) -> Result<OpenStackAccess, String> {
        let variables: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut r = Reader::new(&variables);
        let cloud = cloud.map(|cloud| format!("\"cloud\": \"{cloud}\""));
        let region = format!("{{{}}}", cloud.unwrap_or_default());
        let region: OpenstackRegion = serde_json::from_str(&region).unwrap();
        let access = find_access(&mut r, "north", &region);
        access.ok_or_else(|| r.finish().remove(0).to_string())
    }

    fn password(user: &str, domain: &str, project: Project) -> Login {
        let (user, user_domain) = (user.to_owned(), domain.to_owned());
        Login::Password { user, password: "hunter2".to_owned(), user_domain, project }
    }

    const URL: &str = "https://cloud.example.com:5000/v3";

    #[test]
    fn the_environment_of_openstacks_own_programs_is_read() {
        let user = [("OS_AUTH_URL", URL), ("OS_USERNAME", "u"), ("OS_PASSWORD", "hunter2")];
        let with = |more: &[(&'static str, &'static str)]| {
            let mut pairs = user.to_vec();
            pairs.extend(more);
            find(&pairs, None)
        };
        let found = with(&[("OS_TENANT_NAME", "p"), ("OS_USER_DOMAIN_ID", "default")]).unwrap();
        let project = Project::Name("p".to_owned(), "Default".to_owned());
        assert_eq!(found.login, password("u", "Default", project));
        assert_eq!(found.region.as_deref(), Some("north"));
        let found = with(&[("OS_PROJECT_ID", "1"), ("OS_USER_DOMAIN_NAME", "d")]).unwrap();
        assert_eq!(found.login, password("u", "d", Project::Id("1".to_owned())));
        let found = find(
            &[
                ("OS_AUTH_URL", URL),
                ("OS_APPLICATION_CREDENTIAL_ID", "a"),
                ("OS_APPLICATION_CREDENTIAL_SECRET", "hunter2"),
                ("OS_INTERFACE", "internal"),
                ("OS_CACERT", "/etc/ca.pem"),
            ],
            None,
        )
        .unwrap();
        let (id, secret) = ("a".to_owned(), "hunter2".to_owned());
        assert_eq!(found.login, Login::ApplicationCredential { id, secret });
        assert_eq!(found.interface, "internal");
        assert_eq!(found.ca_file, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn the_originals_variables_come_before_those_of_other_programs() {
        let found = find(
            &[
                ("OS_AUTH_URL", "https://elsewhere.example.com"),
                ("OPENSTACK_AUTH_URL", URL),
                ("OPENSTACK_USER", "u"),
                ("OPENSTACK_PASSWORD", "hunter2"),
                ("OPENSTACK_TENANT", "t"),
            ],
            None,
        )
        .unwrap();
        let project = Project::Name("t".to_owned(), "Default".to_owned());
        assert_eq!(
            (found.auth_url.as_str(), found.login),
            (URL, password("u", "Default", project))
        );
    }

    #[test]
    fn clouds_yaml_is_read_with_what_is_kept_apart() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("clouds.yaml");
        let clouds = "clouds:\n  ovh:\n    auth: {auth_url: 'https://a.example.com', username: u, \
                      project_name: p}\n    region_name: BHS1\n    verify: false\n  other:\n    \
                      profile: ovh\n";
        std::fs::write(&file, clouds).unwrap();
        std::fs::write(
            folder.path().join("secure.yaml"),
            "clouds: {ovh: {auth: {password: hunter2}}}\n",
        )
        .unwrap();
        let place = [("OS_CLIENT_CONFIG_FILE", file.to_str().unwrap())];
        let found = find(&place, Some("ovh")).unwrap();
        let project = Project::Name("p".to_owned(), "Default".to_owned());
        assert_eq!(found.login, password("u", "Default", project));
        assert_eq!((found.region.as_deref(), found.verify), (Some("BHS1"), false));
        assert_eq!(find(&[place[0], ("OS_CLOUD", "ovh")], None).unwrap().login, found.login);
        let told = find(&place, Some("third")).unwrap_err();
        assert!(told.starts_with("OCIM_CLOUDS (region north) names a `cloud` that"), "{told}");
        assert!(find(&place, Some("other")).unwrap_err().contains("`profile`"));
        std::fs::write(&file, "clouds: {ovh: {auth: hunter2\n").unwrap();
        let told = find(&place, Some("ovh")).unwrap_err();
        assert!(told.contains("error in line") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn what_is_missing_is_told_by_where_it_belongs() {
        let told = |pairs: &[(&str, &str)]| find(pairs, None).unwrap_err();
        assert!(told(&[]).starts_with("OCIM_CLOUDS (region north) has no credentials"));
        let url = ("OS_AUTH_URL", URL);
        assert_eq!(
            told(&[url, ("OS_USERNAME", "u")]),
            "OS_AUTH_URL (region north) needs the user's password"
        );
        let of_user = told(&[("OS_AUTH_URL", "https://u:hunter2@cloud.example.com")]);
        assert!(of_user.contains("without a user") && !of_user.contains("hunter2"), "{of_user}");
        assert!(told(&[url, ("OS_INTERFACE", "outer")]).contains("takes an interface"));
    }
}
