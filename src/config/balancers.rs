//! Load balancers: whom they may show, and what their files begin with.

use super::reader::Reader;

pub(super) fn read_host_keys(r: &mut Reader<'_>) -> Vec<String> {
    let keys = r.list("OCIM_LOAD_BALANCER_HOST_KEYS");
    if keys.iter().any(|key| key.split_whitespace().count() < 2) {
        r.refuse(
            "OCIM_LOAD_BALANCER_HOST_KEYS",
            "takes keys like `ssh-ed25519 AAAA…`, with commas",
        );
    }
    keys
}

pub(super) fn read_fragment_prefix(r: &mut Reader<'_>) -> String {
    let prefix = r.text("LOAD_BALANCER_FRAGMENT_NAME_PREFIX", "opencraft-", 64);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !prefix.chars().all(fits) || prefix.starts_with('.') {
        let rule = "begins file names: letters, digits, '-', '_' and, but for the first, '.'";
        r.refuse("LOAD_BALANCER_FRAGMENT_NAME_PREFIX", rule);
    }
    prefix
}
