//! The variables of the other two playbooks, which get nothing of the site's own (core §5.5).

use super::{ConfigurationError, LayerContext, Variables, open};
use crate::ids::InstanceId;
use crate::names;
use crate::settings::{InstanceSettings, LmsUser};
use serde_json::{Value, json};

/// What Consul and its clients call a site.
#[must_use]
pub fn consul_service_name(instance: InstanceId) -> String {
    format!("edxapp-{}", instance.0)
}

/// Of the playbook that makes the site's LMS users.
///
/// # Errors
/// When a user can't be read.
pub fn users_variables(
    settings: &InstanceSettings,
    context: &LayerContext,
) -> Result<Variables, ConfigurationError> {
    let user = |user: &LmsUser| {
        Ok(json!({
            "username": user.username,
            "email": open(&user.email, "lms_users")?,
            "initial_password_hash": open(&user.password_hash, "lms_users")?,
            "staff": true,
            "superuser": true,
        }))
    };
    let users = settings.lms_users.iter().map(user).collect::<Result<Value, _>>()?;
    Ok(named([
        // Whatever the storage.
        ("EDXAPP_SETTINGS", json!("openstack")),
        ("django_users", users),
        ("django_groups", json!([])),
        // The first deployment has to make them; later ones find them as people have changed them.
        ("ignore_user_creation_errors", json!(context.successfully_provisioned)),
    ]))
}

/// Of the playbook that all sites share.
#[must_use]
pub fn common_variables(settings: &InstanceSettings, context: &LayerContext) -> Variables {
    let site_wide = &context.site_wide;
    let filebeat = &site_wide.filebeat;
    let service = json!({
        "id": names::server_hostname(settings, context.appserver_number),
        "name": consul_service_name(context.instance),
        "port": 80,
        "tags": ["edxapp"],
        "enable_tag_override": true,
    });
    let prospectors = json!([
        {
            "fields": { "type": "edxapp" },
            "paths": ["/edx/var/log/*/edx.log", "/edx/var/log/nginx/*.log"],
        },
        {
            "fields": { "type": "edxapp", "level": "error" },
            "paths": ["/edx/var/log/*/edx.log"],
            "multiline": { "pattern": "^Traceback", "match": "after", "negate": true },
        },
    ]);
    named([
        ("NODE_EXPORTER_PASSWORD", json!(site_wide.node_exporter_password)),
        ("NODE_EXPORTER_NGINX_CONFIG_PATH", json!("/edx/app/nginx/sites-available/node-exporter")),
        ("NODE_EXPORTER_HTPASSWD_PATH", json!("/edx/app/nginx/nginx.htpasswd")),
        ("NODE_EXPORTER_USE_SSL", json!(false)),
        ("consul_encrypt", json!(site_wide.consul_encrypt)),
        ("consul_servers", json!(site_wide.consul_servers)),
        ("consul_service_config", json!({ "service": [service] })),
        ("filebeat_logstash_hosts", json!(filebeat.logstash_hosts)),
        ("filebeat_ca_cert", json!(filebeat.ca_cert)),
        ("filebeat_cert", json!(filebeat.cert)),
        ("filebeat_key", json!(filebeat.key)),
        ("filebeat_common_prospector_fields", json!(filebeat.common_fields)),
        ("filebeat_prospectors", prospectors),
    ])
}

fn named<const N: usize>(variables: [(&str, Value); N]) -> Variables {
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
