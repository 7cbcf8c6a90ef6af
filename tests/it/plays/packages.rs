//! pip reads the requirements: includes, comments, continuation lines, constraints and local paths.

use super::bench::Bench;
use ocim_adapters::playbooks::ansible::{AnsibleConfig, AnsiblePlaybooks};
use ocim_adapters::playbooks::{Playable, Playbooks, Source};
use std::path::Path;

/// Builds the package `oculib` without asking anybody for setuptools.
const BACKEND: &str = r#"
import os, zipfile

def build(folder, text):
    name = "oculib-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, content in text.items():
            wheel.writestr(path, content)
        info = "oculib-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: oculib\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    return build(folder, {"oculib.py": open("oculib.py").read()})

def build_editable(folder, config_settings=None, metadata_directory=None):
    return build(folder, {"oculib.pth": os.getcwd()})
"#;
const PROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\
                       [project]\nname = \"oculib\"\nversion = \"1.0\"\n";

/// A bench with a package of its own, and environments that no other test uses.
fn start() -> (Bench, AnsibleConfig) {
    let bench = Bench::start();
    let lib = bench.repository.join("lib");
    std::fs::create_dir(&lib).unwrap();
    std::fs::write(lib.join("pyproject.toml"), PROJECT).unwrap();
    std::fs::write(lib.join("backend.py"), BACKEND).unwrap();
    let config = bench.machine.ansible_config();
    let folder = bench.machine.folder().join("own ansible");
    std::fs::create_dir(&folder).unwrap();
    (bench, AnsibleConfig { folder, ..config })
}

/// Makes the environment for a version, and returns the repository's commit.
async fn resolve(bench: &Bench, config: &AnsibleConfig, version: &str) -> String {
    let playbooks = AnsiblePlaybooks::new(config.clone());
    let repository = bench.repository.display().to_string();
    let source = Source::Git { repository, version: version.into() };
    let playbook = "playbooks/site.yml";
    let (region, requirements) = ("RegionOne", "requirements.txt");
    let wanted = Playable { region, source: &source, playbook, requirements };
    playbooks.resolve_playbook(wanted).await.unwrap().unwrap()
}

/// What the package says in each environment that has it, sorted.
fn texts(config: &AnsibleConfig) -> Vec<String> {
    let environments = std::fs::read_dir(config.folder.join("environments")).unwrap().flatten();
    let ask = |folder: &Path| {
        let mut python = std::process::Command::new(folder.join("bin/python"));
        python.args(["-I", "-c", "import oculib; print(oculib.TEXT)"]);
        let output = python.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let complete = environments.filter(|entry| entry.path().join("complete").exists());
    let mut texts: Vec<_> = complete.filter_map(|entry| ask(&entry.path())).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn local_packages_stay_with_the_environment_that_was_made_of_them() {
    for line in ["./lib", "-e \\\n  ./lib"] {
        let (bench, config) = start();
        let write = |name: &str, text: &str| {
            std::fs::write(bench.repository.join(name), text).unwrap();
        };
        write("requirements.txt", "-r base.in   # why\n-c limits.txt\n");
        write("base.in", &format!("{line}\n"));
        write("limits.txt", "ansible-core<99\n");
        write("lib/oculib.py", "TEXT = 'first'\n");
        let first = bench.commit("first");
        assert_eq!(resolve(&bench, &config, "main").await, first);
        assert_eq!(texts(&config), ["first"], "{line}");
        write("lib/oculib.py", "TEXT = 'second'\n");
        bench.commit("second");
        resolve(&bench, &config, "main").await;
        assert_eq!(texts(&config), ["first", "second"], "{line}");
        // Another commit with the same packages gets the same environment.
        write("README", "nothing of pip's");
        bench.commit("third");
        resolve(&bench, &config, "main").await;
        resolve(&bench, &config, &first).await;
        assert_eq!(texts(&config), ["first", "second"], "{line}");
    }
}

#[tokio::test]
async fn nothing_in_the_source_is_taken_for_a_part_of_python() {
    let (bench, config) = start();
    std::fs::write(bench.repository.join("requirements.txt"), "./lib\n").unwrap();
    std::fs::write(bench.repository.join("lib/oculib.py"), "TEXT = 'mine'\n").unwrap();
    let trap = bench.machine.folder().join("trap");
    for name in ["pip", "venv", "json", "sitecustomize", "encodings"] {
        let code = format!("open({:?}, 'w').close()\n", trap.display().to_string());
        std::fs::write(bench.repository.join(format!("{name}.py")), code).unwrap();
    }
    bench.commit("traps");
    resolve(&bench, &config, "main").await;
    assert_eq!(texts(&config), ["mine"]);
    assert!(!trap.exists(), "a file of the source was imported");
}
