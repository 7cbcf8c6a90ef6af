//! Builds again when a migration or playbook or page is added, which the macros that embed them can't ask for.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=playbooks");
    println!("cargo::rerun-if-changed=docs/problems");
}
