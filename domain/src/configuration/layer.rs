//! One layer of variables, and what each of them was made from.

use super::{ConfigurationError, LayerContext, Variables, open};
use crate::configuration::secrets::HttpAuth;
use crate::names::{self, Service, external_field, internal_field};
use crate::settings::InstanceSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What a variable was made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A setting of the instance, by its name.
    Setting(Cow<'static, str>),
    /// A setting of Ocim itself, by the name of its variable.
    Configuration(Cow<'static, str>),
    /// What its databases, containers and buckets are called.
    ResourceNames,
    /// The `MySQL` server that the instance was given, and its account there.
    MysqlServer,
    /// The `MongoDB` server that the instance was given, and its account there.
    MongodbServer,
    /// The `RabbitMQ` server that the instance was given, and its account there.
    RabbitmqServer,
    /// The number of the Appserver.
    AppserverNumber,
    /// Chance: drawn for each Appserver.
    Chance,
}

impl Source {
    /// The setting of the instance that it is.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        match self {
            Self::Setting(name) => Some(name),
            _ => None,
        }
    }

    /// What it is, to be read after "from".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Setting(name) => format!("the instance's setting `{name}`"),
            Self::Configuration(name) => format!("Ocim's own setting `{name}`"),
            Self::ResourceNames => "the names of the instance's databases and buckets".to_owned(),
            Self::MysqlServer => "the MySQL server that the instance was given".to_owned(),
            Self::MongodbServer => "the MongoDB server that the instance was given".to_owned(),
            Self::RabbitmqServer => "the RabbitMQ server that the instance was given".to_owned(),
            Self::AppserverNumber => "the number of the appserver".to_owned(),
            Self::Chance => "chance, drawn for each appserver".to_owned(),
        }
    }
}

/// A variable of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its value.
    pub value: Value,
    /// What that was made from; nothing where it is the same for every site.
    pub sources: BTreeSet<Source>,
}

/// The variables of one layer, by name.
pub type Layer = BTreeMap<String, Entry>;

/// The values alone.
#[must_use]
pub fn values(layer: &Layer) -> Variables {
    layer.iter().map(|(name, entry)| (name.clone(), entry.value.clone())).collect()
}

/// What a part of a layer comes to.
pub(super) type Composed = Result<Layer, ConfigurationError>;

/// All that layers are made from. Each method notes what it read, for the variable that is being made.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// For [`setting!`], and where nothing is made of what is read.
    pub(super) settings: &'a InstanceSettings,
    /// Whatever is made of it is to go through [`Site::made_of`].
    pub(super) context: &'a LayerContext,
    read: RefCell<BTreeSet<Source>>,
}

impl<'a> Site<'a> {
    /// A site, of which nothing has been read.
    pub(super) fn new(settings: &'a InstanceSettings, context: &'a LayerContext) -> Self {
        Self { settings, context, read: RefCell::default() }
    }

    /// What was read since it was asked last.
    pub(super) fn take_sources(&self) -> BTreeSet<Source> {
        self.read.take()
    }

    /// The value, which was read of that source.
    pub(super) fn made_of<T>(&self, source: Source, value: T) -> T {
        self.read.borrow_mut().insert(source);
        value
    }

    /// The value, which that setting of the instance says.
    pub(super) fn set<T>(&self, setting: &'static str, value: T) -> T {
        self.made_of(Source::Setting(Cow::Borrowed(setting)), value)
    }

    /// The value, which that setting of Ocim itself says.
    pub(super) fn configured<T>(&self, variable: &'static str, value: T) -> T {
        self.made_of(Source::Configuration(Cow::Borrowed(variable)), value)
    }

    /// The host under which visitors see a service.
    pub(super) fn host(&self, service: Service) -> String {
        if names::external_domain(self.settings, service).is_empty() {
            self.set(internal_field(service), ());
        }
        self.set(external_field(service), names::effective_host(self.settings, service))
    }

    /// Where visitors see a service, without a slash at the end.
    pub(super) fn url(&self, service: Service) -> String {
        format!("https://{}", self.host(service))
    }

    /// The host of a service as nginx takes it: what begins with `~` is a pattern.
    pub(super) fn nginx_host(&self, service: Service) -> String {
        self.set(internal_field(service), ());
        let pattern = names::nginx_regex(self.settings, service);
        self.set(external_field(service), format!("~{pattern}"))
    }

    /// The Appserver's own host name.
    pub(super) fn own_host(&self) -> String {
        self.host(Service::Lms);
        let name = names::server_hostname(self.settings, self.context.appserver_number);
        self.made_of(Source::AppserverNumber, name)
    }

    /// The contact address.
    pub(super) fn email(&self) -> Result<&'a str, ConfigurationError> {
        self.set("email", open(&self.settings.email, "email"))
    }

    /// The secret that others are derived from.
    pub(super) fn master(&self) -> Result<&'a str, ConfigurationError> {
        let name = "secret_key_b64encoded";
        self.set(name, open(&self.settings.secret_key_b64encoded, name))
    }

    /// What opens the site.
    pub(super) fn http_auth(&self) -> Result<HttpAuth, ConfigurationError> {
        HttpAuth::derive(self.master()?)
    }
}

/// A setting that is not protected, noted as the source of the variable that is being made.
macro_rules! setting {
    ($site:expr, $name:ident) => {
        $site.set(stringify!($name), &$site.settings.$name)
    };
}
pub(super) use setting;

/// Makes a layer of names and values. A value may be anything that serializes; what the `site` is
/// asked for while a value is computed is noted as its source.
macro_rules! variables {
    ($site:expr => { $($name:expr => $value:expr),* $(,)? }) => {{
        let mut layer = $crate::configuration::layer::Layer::new();
        $(
            let value = serde_json::json!($value);
            let sources = $site.take_sources();
            layer.insert($name.to_owned(), $crate::configuration::layer::Entry { value, sources });
        )*
        layer
    }};
}
pub(super) use variables;
