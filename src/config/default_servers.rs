//! The servers of databases and messages that sites share, by the original's settings (infra §1.2).

use super::reader::Reader;
use ocim_domain::shared_server::url::{ServerUrl, parse_server_url};
use ocim_domain::shared_server::{Address, Mongodb, Mysql, NewServer, Rabbitmq};

const MYSQL_URL: &str = "DEFAULT_INSTANCE_MYSQL_URL";
const MONGO_URL: &str = "DEFAULT_INSTANCE_MONGO_URL";
const SET_NAME: &str = "DEFAULT_MONGO_REPLICA_SET_NAME";
const SET_PRIMARY: &str = "DEFAULT_MONGO_REPLICA_SET_PRIMARY";
const SET_HOSTS: &str = "DEFAULT_MONGO_REPLICA_SET_HOSTS";
const SET_USER: &str = "DEFAULT_MONGO_REPLICA_SET_USER";
const SET_PASSWORD: &str = "DEFAULT_MONGO_REPLICA_SET_PASSWORD";
const SET_PORT: &str = "DEFAULT_MONGO_REPLICA_SET_PORT";
const RABBITMQ_API_URL: &str = "DEFAULT_RABBITMQ_API_URL";
const RABBITMQ_URL: &str = "DEFAULT_INSTANCE_RABBITMQ_URL";

/// The servers that the settings name. Each is registered once; what is registered stands then. They
/// take new sites until a person says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultServers {
    /// The MySQL server:
    ///
    /// `DEFAULT_INSTANCE_MYSQL_URL`: `mysql://user:password@host:3306`, the host at least; nothing in it
    /// is encoded. With `?tls=true` behind it Ocim itself speaks with it by TLS. None.
    pub mysql: Option<NewServer<Mysql>>,
    /// The MongoDB server, one host or a replica set:
    ///
    /// `DEFAULT_INSTANCE_MONGO_URL`: `mongodb://user:password@host:27017`, the host at least, and `?tls=true`
    /// for TLS. None: the replica set counts, if there is one.
    ///
    /// `DEFAULT_MONGO_REPLICA_SET_NAME`: what the replica set calls itself. None.
    ///
    /// `DEFAULT_MONGO_REPLICA_SET_PRIMARY`: the one of its hosts that is written to.
    ///
    /// `DEFAULT_MONGO_REPLICA_SET_HOSTS`: its hosts, parted by commas.
    ///
    /// `DEFAULT_MONGO_REPLICA_SET_USER`: the account that administers it.
    ///
    /// `DEFAULT_MONGO_REPLICA_SET_PASSWORD`: its password; may be blank.
    ///
    /// `DEFAULT_MONGO_REPLICA_SET_PORT`: the port of each host. `27017`.
    pub mongodb: Option<NewServer<Mongodb>>,
    /// The RabbitMQ server:
    ///
    /// `DEFAULT_RABBITMQ_API_URL`: its management API, `https://user:password@host:15671`. None.
    ///
    /// `DEFAULT_INSTANCE_RABBITMQ_URL`: where sites reach it, `amqps://host:5671`.
    pub rabbitmq: Option<NewServer<Rabbitmq>>,
}

impl DefaultServers {
    /// The passwords in them that are not blank, which no log may show.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        let all = [
            self.mysql.as_ref().map(|server| server.password.as_str()),
            self.mongodb.as_ref().map(|server| server.password.as_str()),
            self.rabbitmq.as_ref().map(|server| server.password.as_str()),
        ];
        all.into_iter().flatten().filter(|password| !password.is_empty())
    }
}

pub(super) fn read_default_servers(r: &mut Reader<'_>) -> DefaultServers {
    let mysql = read_mysql(r);
    let set = read_replica_set(r);
    let mongodb = read_mongodb(r).or(set);
    DefaultServers { mysql, mongodb, rabbitmq: read_rabbitmq(r) }
}

fn read_mysql(r: &mut Reader<'_>) -> Option<NewServer<Mysql>> {
    let url = read_url(r, MYSQL_URL, "mysql", Mysql::PORT)?;
    let (tls, port) = (is_tls(&url), url.port.unwrap_or(Mysql::PORT));
    let address = Mysql { host: url.host, port, tls };
    checked(r, named(address, url.username, url.password), |_| MYSQL_URL)
}

fn read_mongodb(r: &mut Reader<'_>) -> Option<NewServer<Mongodb>> {
    let url = read_url(r, MONGO_URL, "mongodb", Mongodb::PORT)?;
    let address = Mongodb {
        tls: is_tls(&url),
        hosts: vec![url.host.clone()],
        primary: url.host,
        port: url.port.unwrap_or(Mongodb::PORT),
        replica_set: None,
    };
    checked(r, named(address, url.username, url.password), |_| MONGO_URL)
}

/// The replica set: all of it, or nothing. Where one host is named, that counts, and nothing is asked
/// of the set.
fn read_replica_set(r: &mut Reader<'_>) -> Option<NewServer<Mongodb>> {
    let is_hidden = r.optional(MONGO_URL).is_some();
    let needed = [SET_NAME, SET_PRIMARY, SET_HOSTS, SET_USER];
    let texts = needed.map(|name| r.optional(name));
    let password = r.optional(SET_PASSWORD);
    let has_password = r.is_set(SET_PASSWORD);
    let port = r.optional(SET_PORT);
    if is_hidden || (texts.iter().all(Option::is_none) && password.is_none()) {
        return None;
    }
    for (name, text) in needed.iter().zip(texts) {
        if text.is_none() {
            r.refuse(name, "must be set where a replica set is configured");
        }
    }
    if !has_password {
        r.refuse(SET_PASSWORD, "must be set, be it blank, where a replica set is configured");
    }
    let port = match port.map(str::parse::<u16>) {
        None => Mongodb::PORT,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            r.refuse(SET_PORT, "must be a port, 1 to 65535");
            return None;
        }
    };
    let ([Some(name), Some(primary), Some(hosts), Some(user)], true) = (texts, has_password) else {
        return None;
    };
    let address = Mongodb {
        hosts: hosts.split(',').map(|host| host.trim().to_owned()).collect(),
        primary: primary.to_owned(),
        port,
        replica_set: Some(name.to_owned()),
        tls: false,
    };
    let password = password.unwrap_or_default().to_owned();
    checked(r, named(address, user.to_owned(), password), |field| match field {
        "primary" => SET_PRIMARY,
        "replica_set" | "name" => SET_NAME,
        "username" => SET_USER,
        "password" => SET_PASSWORD,
        "port" => SET_PORT,
        _ => SET_HOSTS,
    })
}

fn read_rabbitmq(r: &mut Reader<'_>) -> Option<NewServer<Rabbitmq>> {
    let (api, sites) = (r.optional(RABBITMQ_API_URL), r.optional(RABBITMQ_URL));
    if api.is_none() && sites.is_none() {
        return None;
    }
    let api = api.and_then(parse_server_url).filter(|url| {
        let is_web = matches!(url.scheme.as_str(), "http" | "https");
        is_web && !url.username.is_empty() && !url.password.is_empty()
    });
    let sites = sites.and_then(parse_server_url).filter(|url| {
        matches!(url.scheme.as_str(), "amqp" | "amqps") && matches!(url.rest.as_str(), "" | "/")
    });
    if api.is_none() {
        let rule = "must be a URL like https://user:password@host:15671, with user and password, beside \
                    DEFAULT_INSTANCE_RABBITMQ_URL";
        r.refuse(RABBITMQ_API_URL, rule);
    }
    let place = sites.and_then(|url| Some((url.host, url.port?)));
    if place.is_none() {
        let rule = "must be a URL like amqps://host:5671, with host and port, beside \
                    DEFAULT_RABBITMQ_API_URL";
        r.refuse(RABBITMQ_URL, rule);
    }
    let (api, (instance_host, instance_port)) = (api?, place?);
    let host = if api.host.contains(':') { format!("[{}]", api.host) } else { api.host };
    let port = api.port.map(|port| format!(":{port}")).unwrap_or_default();
    let api_url = format!("{}://{host}{port}{}", api.scheme, api.rest);
    let address = Rabbitmq { api_url, instance_host, instance_port };
    checked(r, named(address, api.username, api.password), |field| match field {
        "instance_host" | "instance_port" => RABBITMQ_URL,
        _ => RABBITMQ_API_URL,
    })
}

/// What may stand behind the host and port of a server that is spoken with by TLS.
const BY_TLS: [&str; 2] = ["?tls=true", "/?tls=true"];

fn is_tls(url: &ServerUrl) -> bool {
    BY_TLS.contains(&url.rest.as_str())
}

/// A URL with this scheme, of which nothing but login, host, port and TLS is used.
fn read_url(r: &mut Reader<'_>, name: &'static str, scheme: &str, port: u16) -> Option<ServerUrl> {
    let url = parse_server_url(r.optional(name)?);
    let is_plain = |url: &ServerUrl| matches!(url.rest.as_str(), "" | "/");
    let url = url.filter(|url| url.scheme == scheme && (is_plain(url) || is_tls(url)));
    if url.is_none() {
        let rule = format!(
            "must be a URL like {scheme}://user:password@host:{port}, with the host at least, and \
             nothing behind it but `?tls=true`"
        );
        r.refuse(name, rule);
    }
    url
}

/// A server that bears its own name, and takes new sites.
fn named<A: Address>(address: A, username: String, password: String) -> NewServer<A> {
    let (name, description) = (String::new(), String::new());
    NewServer { name, description, address, username, password, accepts_new_clients: true }
}

/// The server, if it breaks no rule of its kind; `setting_of` says which setting gave a field.
fn checked<A: Address>(
    r: &mut Reader<'_>,
    server: NewServer<A>,
    setting_of: fn(&str) -> &'static str,
) -> Option<NewServer<A>> {
    let (_, registration) = server.clone().registration();
    let broken = registration.check();
    for violation in &broken {
        let setting = setting_of(&violation.field);
        r.refuse(setting, format!("can't be used: {violation}"));
    }
    broken.is_empty().then_some(server)
}
