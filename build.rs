//! Builds again when a migration or playbook is added, which the macros that embed them can't ask for.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=playbooks");
}
