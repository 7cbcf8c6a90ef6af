//! The layer of databases and queues: where a site's data is on the shared servers (core §5.3).

use super::layer::{Composed, Layer, Site, Source, setting, variables};
use super::mysql_account::{mysql_database, mysql_password, mysql_user};
use super::services::{MongodbService, MysqlService, RabbitmqService};
use serde_json::{Value, json};

/// How Django calls `MySQL`.
const MYSQL_ENGINE: &str = "django.db.backends.mysql";

/// Nothing for a kind of server that the instance was not given.
pub(super) fn database_layer(site: &Site<'_>) -> Composed {
    let services = &site.context.services;
    let mut layer = Layer::new();
    if let Some(service) = &services.mysql {
        layer.extend(compose_mysql(site, service));
    }
    if let Some(service) = &services.mongodb {
        layer.extend(compose_mongodb(site, service));
    }
    if let Some(service) = &services.rabbitmq {
        layer.extend(compose_rabbitmq(site, service));
    }
    Ok(layer)
}

/// A site's accounts and databases; each method notes what it read.
struct Mysql<'a> {
    site: &'a Site<'a>,
    service: &'a MysqlService,
}

impl Mysql<'_> {
    fn server<T>(&self, value: T) -> T {
        self.site.made_of(Source::MysqlServer, value)
    }

    fn host(&self) -> &str {
        self.server(&self.service.host)
    }

    fn port(&self) -> u16 {
        self.server(self.service.port)
    }

    fn database(&self, suffix: &str) -> String {
        let name = mysql_database(&self.site.context.resources.database, suffix);
        self.site.made_of(Source::ResourceNames, name)
    }

    fn user(&self, suffix: &str) -> String {
        self.server(mysql_user(&self.service.user, suffix))
    }

    fn password(&self, suffix: &str) -> String {
        mysql_password(&self.service.password, &self.user(suffix))
    }

    /// As Django has it.
    fn connection(&self, database: &str, user: &str) -> Value {
        json!({
            "ENGINE": MYSQL_ENGINE,
            "NAME": self.database(database),
            "USER": self.user(user),
            "PASSWORD": self.password(user),
            "HOST": self.host(),
            "PORT": self.port(),
        })
    }
}

/// A connection that holds its requests in transactions, and is closed after each.
fn with_transactions(mut connection: Value) -> Value {
    connection["ATOMIC_REQUESTS"] = true.into();
    connection["CONN_MAX_AGE"] = 0.into();
    connection
}

fn compose_mysql(site: &Site<'_>, service: &MysqlService) -> Layer {
    let my = Mysql { site, service };
    let mut layer = variables!(site => {
        "EDXAPP_MYSQL_DB_NAME" => my.database("edxapp"),
        "EDXAPP_MYSQL_USER" => my.user("edxapp"),
        "EDXAPP_MYSQL_PASSWORD" => my.password("edxapp"),
        "EDXAPP_MYSQL_HOST" => my.host(),
        "EDXAPP_MYSQL_PORT" => my.port(),
        "EDXAPP_MYSQL_CSMH_DB_NAME" => my.database("edxapp_csmh"),
        "EDXAPP_MYSQL_CSMH_USER" => my.user("edxapp"),
        "EDXAPP_MYSQL_CSMH_PASSWORD" => my.password("edxapp"),
        "EDXAPP_MYSQL_CSMH_HOST" => my.host(),
        "EDXAPP_MYSQL_CSMH_PORT" => my.port(),
        "XQUEUE_MYSQL_DB_NAME" => my.database("xqueue"),
        "XQUEUE_MYSQL_USER" => my.user("xqueue"),
        "XQUEUE_MYSQL_PASSWORD" => my.password("xqueue"),
        "XQUEUE_MYSQL_HOST" => my.host(),
        "XQUEUE_MYSQL_PORT" => my.port(),
        "INSIGHTS_DATABASE_NAME" => my.database("dashboard"),
        "INSIGHTS_DATABASES" => json!({ "default": my.connection("dashboard", "dashboard") }),
        "EDX_NOTES_API_MYSQL_DB_NAME" => my.database("edx_notes_api"),
        "EDX_NOTES_API_MYSQL_DB_USER" => my.user("notes"),
        "EDX_NOTES_API_MYSQL_DB_PASS" => my.password("notes"),
        "EDX_NOTES_API_MYSQL_HOST" => my.host(),
        "NOTIFIER_DATABASE_ENGINE" => my.server(MYSQL_ENGINE),
        "NOTIFIER_DATABASE_NAME" => my.database("notifier"),
        "NOTIFIER_DATABASE_USER" => my.user("notifier"),
        "NOTIFIER_DATABASE_PASSWORD" => my.password("notifier"),
        "NOTIFIER_DATABASE_HOST" => my.host(),
        "NOTIFIER_DATABASE_PORT" => my.port(),
        "PROGRAMS_DEFAULT_DB_NAME" => my.database("programs"),
        "PROGRAMS_DATABASES" =>
            json!({ "default": with_transactions(my.connection("programs", "program")) }),
        "ANALYTICS_API_DEFAULT_DB_NAME" => my.database("analytics_api"),
        "ANALYTICS_API_REPORTS_DB_NAME" => my.database("reports"),
        "ANALYTICS_API_DATABASES" => json!({
            "default": my.connection("analytics_api", "api"),
            "reports": my.connection("reports", "reports"),
        }),
        // The variable's name is short of a word.
        "DISCOVERY_MYSQL" => my.host(),
        "DISCOVERY_DEFAULT_DB_NAME" => my.database("discovery"),
        "DISCOVERY_MYSQL_USER" => my.user("discovery"),
        "DISCOVERY_MYSQL_PASSWORD" => my.password("discovery"),
        "COMMON_MYSQL_MIGRATE_USER" => my.user("migrate"),
        "COMMON_MYSQL_MIGRATE_PASS" => my.password("migrate"),
        "COMMON_MYSQL_READ_ONLY_USER" => my.user("read_only"),
        "COMMON_MYSQL_READ_ONLY_PASS" => my.password("read_only"),
        "COMMON_MYSQL_ADMIN_USER" => my.user("admin"),
        "COMMON_MYSQL_ADMIN_PASS" => my.password("admin"),
        "edx_django_service_default_db_conn_max_age" => my.server(0),
    });
    layer.extend(compose_ecommerce(&my));
    layer
}

/// The shop's database; its connection refers to the variables beside it.
fn compose_ecommerce(my: &Mysql<'_>) -> Layer {
    let site = my.site;
    let connection = |port: u16| {
        with_transactions(json!({
            "ENGINE": MYSQL_ENGINE,
            "NAME": "{{ ECOMMERCE_DATABASE_NAME }}",
            "USER": "{{ ECOMMERCE_DATABASE_USER }}",
            "PASSWORD": "{{ ECOMMERCE_DATABASE_PASSWORD }}",
            "HOST": "{{ ECOMMERCE_DATABASE_HOST }}",
            "PORT": port,
        }))
    };
    variables!(site => {
        "ECOMMERCE_DATABASE_NAME" => my.database("ecommerce"),
        "ECOMMERCE_DATABASE_USER" => my.user("ecommerce"),
        "ECOMMERCE_DATABASE_PASSWORD" => my.password("ecommerce"),
        "ECOMMERCE_DATABASE_HOST" => my.host(),
        "ECOMMERCE_DEFAULT_DB_NAME" => my.server("{{ ECOMMERCE_DATABASE_NAME }}"),
        "ECOMMERCE_DATABASES" => json!({ "default": connection(my.port()) }),
    })
}

fn compose_mongodb(site: &Site<'_>, service: &MongodbService) -> Layer {
    let server = |value: &str| site.made_of(Source::MongodbServer, Value::from(value));
    let port = || site.made_of(Source::MongodbServer, service.port);
    let named = |name: &str| site.made_of(Source::ResourceNames, Value::from(name));
    let resources = &site.context.resources;
    let mut layer = variables!(site => {
        "EDXAPP_MONGO_USER" => server(&service.user),
        "EDXAPP_MONGO_PASSWORD" => server(&service.password),
        "EDXAPP_MONGO_PORT" => port(),
        "EDXAPP_MONGO_DB_NAME" => named(&resources.database),
        "EDXAPP_MONGO_HOSTS" => edxapp_hosts(site, service),
        "FORUM_MONGO_USER" => server(&service.user),
        "FORUM_MONGO_PASSWORD" => server(&service.password),
        "FORUM_MONGO_PORT" => port(),
        "FORUM_MONGO_DATABASE" => named(&resources.forum_database),
        // The forum knows no replica sets.
        "FORUM_MONGO_HOSTS" => [server(&service.primary)],
        "FORUM_REBUILD_INDEX" => site.made_of(Source::MongodbServer, true),
    });
    if let Some(replica_set) = &service.replica_set
        && !takes_a_list(site)
    {
        layer.extend(
            variables!(site => { "EDXAPP_MONGO_REPLICA_SET" => server(replica_set.as_str()) }),
        );
    }
    layer
}

/// Whether that release of edX knows one host alone, and wants it in a list (core §5.3).
fn takes_a_list(site: &Site<'_>) -> bool {
    let release = setting!(site, openedx_release);
    release.contains("ficus")
        || release.contains("ginkgo")
            && !setting!(site, configuration_version).contains("opencraft")
}

fn edxapp_hosts(site: &Site<'_>, service: &MongodbService) -> Value {
    let hosts = if takes_a_list(site) {
        json!([service.primary])
    } else if service.replica_set.is_some() {
        service.hosts.join(",").into()
    } else {
        service.primary.as_str().into()
    };
    site.made_of(Source::MongodbServer, hosts)
}

fn compose_rabbitmq(site: &Site<'_>, service: &RabbitmqService) -> Layer {
    let server = |value: &str| site.made_of(Source::RabbitmqServer, Value::from(value));
    let yes = || site.made_of(Source::RabbitmqServer, true);
    variables!(site => {
        "XQUEUE_RABBITMQ_USER" => server(&service.user),
        "XQUEUE_RABBITMQ_PASS" => server(&service.password),
        "XQUEUE_RABBITMQ_VHOST" => server(&service.vhost),
        "XQUEUE_RABBITMQ_HOSTNAME" => server(&service.host),
        "XQUEUE_RABBITMQ_PORT" => site.made_of(Source::RabbitmqServer, service.port),
        "XQUEUE_RABBITMQ_TLS" => yes(),
        "XQUEUE_SESSION_ENGINE" => server("django.contrib.sessions.backends.cache"),
        "XQUEUE_CACHES" => site.made_of(Source::RabbitmqServer, json!({ "default": {
            "BACKEND": "django.core.cache.backends.memcached.MemcachedCache",
            "KEY_PREFIX": "xqueue",
            "LOCATION": "{{ EDXAPP_MEMCACHE }}",
        }})),
        "EDXAPP_CELERY_USER" => server(&service.user),
        "EDXAPP_CELERY_PASSWORD" => server(&service.password),
        "EDXAPP_CELERY_BROKER_VHOST" => server(&service.vhost),
        "EDXAPP_RABBIT_HOSTNAME" => server(&format!("{}:{}", service.host, service.port)),
        "EDXAPP_CELERY_BROKER_USE_SSL" => yes(),
    })
}
