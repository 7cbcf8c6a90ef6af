//! What a version means is asked of the repository at each launch, and what is wrong is said first.

use super::bench::Bench;
use ocim::adapters::ansible::AnsiblePlaybooks;
use ocim::ports::playbooks::{Playable, Playbooks, Source};
use ocim::ports::{Blame, Class, PortError};

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
