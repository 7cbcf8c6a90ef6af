//! Names of variables that are Ansible's own, which people's settings must not set.

/// Whether Ansible itself reads a variable of that name.
///
/// Such variables say how a play reaches its
/// machine, as whom, and with which programs (`ansible_host`, `ansible_connection`,
/// `ansible_become_method`, `ansible_python_interpreter`): a play could be sent elsewhere, or onto
/// the manager. Every connection plugin adds some, so the whole prefix is theirs.
#[must_use]
pub fn is_ansibles_own(name: &str) -> bool {
    name.trim().to_ascii_lowercase().starts_with("ansible_")
}
