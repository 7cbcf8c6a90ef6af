//! SSH host keys of a machine: cloud-init prints them on the console at the first boot, and what was seen
//! there is kept in the server's metadata, since consoles forget.

use std::collections::BTreeMap;

/// What cloud-init prints around the keys.
const BEGIN: &str = "BEGIN SSH HOST KEY KEYS";
const END: &str = "END SSH HOST KEY KEYS";
/// Kinds of keys that fit into one value of metadata, with where each is kept.
const KINDS: [(&str, &str); 2] =
    [("ssh-ed25519", "ocim_host_key_ed25519"), ("ecdsa-sha2-nistp256", "ocim_host_key_ecdsa")];
/// The longest value that Nova takes.
const VALUE_CHARACTERS_MAX: usize = 255;

/// The keys that metadata has, as `ssh-ed25519 AAAA…`.
pub(super) fn pinned(metadata: &BTreeMap<String, String>) -> Vec<String> {
    let pinned = KINDS.iter().filter_map(|(_, name)| metadata.get(*name));
    pinned.filter(|key| !key.is_empty()).cloned().collect()
}

/// What metadata is to have of these keys.
pub(super) fn to_metadata(keys: &[String]) -> BTreeMap<&'static str, &str> {
    let of_kind = |(kind, name): &(&str, &'static str)| {
        let key = keys.iter().find(|key| key.split(' ').next() == Some(kind))?;
        (key.len() <= VALUE_CHARACTERS_MAX).then_some((*name, key.as_str()))
    };
    KINDS.iter().filter_map(of_kind).collect()
}

/// The keys that a console shows, as `ssh-ed25519 AAAA…`: the last ones, of a kind that can be kept.
pub(super) fn read_console(console: &str) -> Vec<String> {
    let Some((before, _)) = console.rsplit_once(END) else { return vec![] };
    let Some((_, block)) = before.rsplit_once(BEGIN) else { return vec![] };
    // A console may put a time or a program's name before each line.
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        let kind = words.find(|word| KINDS.iter().any(|(kind, _)| kind == word))?;
        let blob = words.next()?;
        let is_blob = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        blob.chars().all(is_blob).then(|| format!("{kind} {blob}"))
    };
    block.lines().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
[   20.1] cloud-init[901]: -----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 OLD root@edxapp
-----END SSH HOST KEY KEYS-----
ssh-ed25519 STRAY root@edxapp
-----BEGIN SSH HOST KEY KEYS-----\r
ecdsa-sha2-nistp256 AAAAE2Vj+/= root@edxapp\r
[   21.4] cloud-init[901]: ssh-ed25519 AAAAC3Nz root@edxapp\r
ssh-rsa AAAAB3Nz root@edxapp\r
ssh-ed25519 not*base64 root@edxapp\r
-----END SSH HOST KEY KEYS-----\r
edxapp login: ";

    #[test]
    fn the_last_keys_that_cloud_init_has_printed_are_read() {
        let keys = read_console(CONSOLE);
        assert_eq!(keys, ["ecdsa-sha2-nistp256 AAAAE2Vj+/=", "ssh-ed25519 AAAAC3Nz"]);
        assert!(read_console("edxapp login: ").is_empty());
        assert!(read_console("-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 A").is_empty());
    }

    #[test]
    fn what_is_kept_in_metadata_is_read_there() {
        let keys = read_console(CONSOLE);
        let kept = to_metadata(&keys).into_iter();
        let metadata = kept.map(|(name, key)| (name.to_owned(), key.to_owned())).collect();
        assert_eq!(pinned(&metadata), ["ssh-ed25519 AAAAC3Nz", "ecdsa-sha2-nistp256 AAAAE2Vj+/="]);
        assert!(pinned(&BTreeMap::new()).is_empty());
    }
}
