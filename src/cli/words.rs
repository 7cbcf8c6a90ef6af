//! The API's words in those of the command line: `--limit`, not "query parameter `limit`".

use ocim_domain::settings::SETTINGS;

/// Fields, parameters and headers of the API, and the options that set them.
const OPTIONS: &[(&str, &str)] = &[
    ("If-Match", "--if-version"),
    ("accepts_new_backends", "--accepts-new-backends"),
    ("accepts_new_clients", "--accepts-new-clients"),
    ("activate_on_success", "--activate"),
    ("actor", "--actor"),
    ("add_tags", "--tag"),
    ("all", "--all"),
    ("attempts", "--attempts"),
    ("before", "--before"),
    ("batch_size", "--batch-size"),
    ("check", "--check"),
    ("confirm", "--confirm"),
    ("correlation", "--correlation"),
    ("deactivate_others", "--deactivate-others"),
    ("definition", "--definition"),
    ("domain", "--domain"),
    ("dry_run", "--dry-run"),
    ("domains", "--domains"),
    ("exclude", "--exclude"),
    ("failure_tag", "--failure-tag"),
    ("failures_max", "--stop-after"),
    ("filter", "--filter"),
    ("follow", "--follow"),
    ("force", "--force"),
    ("frequency_seconds", "--batch-frequency"),
    ("from", "--from"),
    ("host_keys", "--host-key"),
    ("http_port", "--http-port"),
    ("ignore", "--ignore"),
    ("instance_host", "--instance-host"),
    ("instance_port", "--instance-port"),
    ("is_active", "--filter"),
    ("is_ahead", "--ahead"),
    ("is_healthy", "--healthy"),
    ("is_open", "--open"),
    ("kind", "--kind"),
    ("launch", "--no-launch"),
    ("lifecycle", "--lifecycle"),
    ("limit", "--limit"),
    ("message", "--message"),
    ("minutes", "--minutes"),
    ("name", "--name"),
    ("notes", "--notes"),
    ("older_than_s", "--older-than"),
    ("open", "--open"),
    ("operation.output", "--output"),
    ("operation.step", "the step"),
    ("owner", "--owner"),
    ("password", "--password-file"),
    ("phase", "--stuck"),
    ("port", "--port"),
    ("primary", "--primary"),
    ("public_ip", "--public-ip"),
    ("queue", "--queue"),
    ("rate_per_minute", "--rate"),
    ("reason", "--reason"),
    ("region", "--filter"),
    ("release", "--filter"),
    ("remove_tags", "--untag"),
    ("replica_set", "--replica-set"),
    ("since", "--since"),
    ("ssh_port", "--ssh-port"),
    ("ssh_username", "--ssh-username"),
    ("state", "--filter"),
    ("status", "--filter"),
    ("step", "--step"),
    ("stream", "--stream"),
    ("stuck", "--stuck"),
    ("sub_domain", "--sub-domain"),
    ("subject", "--subject"),
    ("success_tag", "--success-tag"),
    ("tag", "--tag"),
    ("tags", "--tag"),
    ("text", "the name"),
    ("to", "--to"),
    ("until", "--until"),
    ("username", "--username"),
];

/// What the API asks its clients for, and what that is here.
const PHRASES: &[(&str, &str)] = &[
    ("read them again, then repeat the request with the new ETag", "show them, then try again"),
    ("repeat the request", "try again"),
    ("ask with `force` and a reason", "ask with --force and --reason"),
    ("with `force`", "with --force"),
    ("pass `queue`", "ask with --queue"),
    ("The request can't be understood", "The command line can't be understood"),
];

/// The option that sets a field, parameter or header of the API; none for a setting.
#[must_use]
pub(super) fn option_of(field: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(name, _)| *name == field).map(|(_, option)| *option)
}

/// How a field is called where its value was refused: a setting by its own name, which lists may take
/// as an option, too.
#[must_use]
pub(super) fn tell_field(field: &str) -> &str {
    let is_setting = SETTINGS.iter().any(|setting| setting.name == field);
    option_of(field).filter(|_| !is_setting).unwrap_or(field)
}

/// A sentence of the API as the command line would say it.
#[must_use]
pub(super) fn of_command_line(text: &str) -> String {
    PHRASES.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}
