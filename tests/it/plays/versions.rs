//! What a version means is asked of the repository at each launch, and what is wrong is said first.

use super::bench::Bench;
use crate::private_sshd::run;
use ocim_adapters::playbooks::ansible::AnsiblePlaybooks;
use ocim_adapters::playbooks::{Playable, Playbooks, Source};
use ocim_domain::port_error::{Blame, Class, PortError};

const PLAYBOOK: &str = "playbooks/site.yml";

/// What the repository's version means, for a playbook without requirements.
async fn resolve(
    playbooks: &AnsiblePlaybooks,
    repository: &str,
    version: &str,
    playbook: &str,
) -> Result<Option<String>, PortError> {
    let source = Source::Git { repository: repository.into(), version: version.into() };
    let region = "RegionOne";
    let wanted = Playable { region, source: &source, playbook, requirements: "none.txt" };
    playbooks.resolve_playbook(wanted).await
}

#[tokio::test]
async fn only_a_whole_commit_id_is_fixed() {
    let bench = Bench::start();
    std::fs::write(bench.repository.join("none.txt"), "").unwrap();
    let first = bench.commit("first with requirements");
    let moving = ["main", "v1", "HEAD", "refs/heads/main", "refs/tags/v1", "refs/pull/1/head"];
    let point_all_at = |commit: &str| {
        bench.git(&["tag", "--force", "v1", commit]);
        bench.git(&["update-ref", "refs/pull/1/head", commit]);
    };
    point_all_at(&first);
    let playbooks = bench.machine.playbooks();
    let repository = bench.repository.to_str().unwrap();
    let ask = async |version: &str| {
        resolve(&playbooks, repository, version, PLAYBOOK).await.unwrap().unwrap()
    };
    for version in moving.iter().chain([&&first[..], &&first[..9]]) {
        assert_eq!(ask(version).await, first, "{version}");
    }
    let second = bench.commit("second");
    point_all_at(&second);
    // A branch that is named like the first commit does not win over it.
    bench.git(&["branch", &first, &second]);
    for version in moving {
        assert_eq!(ask(version).await, second, "{version}");
    }
    assert_eq!((ask(&first).await, ask(&first[..9]).await), (first.clone(), first.clone()));
    bench.git(&["branch", "--force", &first[..9], &second]);
    assert_eq!(ask(&first[..9]).await, second, "a short id may become the name of something else");
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_made() {
    let bench = Bench::start();
    std::fs::write(bench.repository.join("none.txt"), "").unwrap();
    bench.commit("with requirements");
    let playbooks = bench.machine.playbooks();
    let repository = bench.repository.to_str().unwrap();
    let nowhere = bench.machine.folder().join("nowhere").display().to_string();
    let cases = [
        (&nowhere[..], "main", PLAYBOOK, "does not appear to be a git repository"),
        (repository, "no-such", PLAYBOOK, "no such branch, tag or commit: \"no-such\""),
        (repository, "main", "playbooks/none.yml", "no file \"playbooks/none.yml\""),
        (repository, "--upload-pack=x", PLAYBOOK, "not a branch, tag or commit"),
    ];
    for (repository, version, playbook, told) in cases {
        let error = resolve(&playbooks, repository, version, playbook).await.unwrap_err();
        assert!(error.message.contains(told), "{error}");
        assert_eq!((error.class, error.blame), (Class::Permanent, Blame::Caller), "{told}");
    }
    let looks = std::fs::read_dir(bench.machine.ansible_config().folder).unwrap().flatten();
    let left: Vec<_> = looks.map(|entry| entry.file_name()).filter(|name| name == "runs").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn submodules_that_the_look_has_fetched_are_not_fetched_again_by_the_play() {
    let bench = Bench::start();
    let playbooks = bench.machine.playbooks();
    let library = bench.machine.folder().join("library");
    std::fs::create_dir(&library).unwrap();
    let who = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
    let in_library = |arguments: &[&str]| {
        let place = ["-C", library.to_str().unwrap()];
        run("git", &[&who[..], &place[..], arguments].concat())
    };
    in_library(&["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(library.join("shared.yml"), "[]").unwrap();
    in_library(&["add", "."]);
    in_library(&["commit", "--quiet", "-m", "first"]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
    bench.git(&[&add[..], &[library.to_str().unwrap(), "roles/library"]].concat());
    let looked_at = bench.commit("with a submodule");

    let repository = bench.repository.to_str().unwrap().to_owned();
    let source = Source::Git { repository, version: "main".into() };
    let requirements = "requirements.txt";
    let wanted =
        Playable { region: "RegionOne", source: &source, playbook: PLAYBOOK, requirements };
    assert_eq!(playbooks.resolve_playbook(wanted).await.unwrap(), Some(looked_at.clone()));

    // The library's host does not answer any more: the launch has its slot and its machine by then.
    std::fs::rename(&library, library.with_extension("away")).unwrap();
    let play = bench.run_of(1, &looked_at);
    playbooks.start_playbook(&play).await.unwrap();
    assert!(bench.run_folder(&play).join("source/roles/library/shared.yml").is_file());
    playbooks.cancel_playbook(play.key).await.unwrap();

    // What nobody has looked at has to be fetched, and is neither's fault.
    let other = bench.commit("not looked at");
    let error = playbooks.start_playbook(&bench.run_of(2, &other)).await.unwrap_err();
    assert_eq!(error.blame, Blame::Caller, "{error}");
}
