"""Tries mutants of `domain` and `projections`, nearly all of them in one build.

cargo-mutants says what the mutants are, and would build and link anew for each. Here each is a copy of its
function's body, changed, at the head of that function, and runs where OCIM_MUTANT has its number. What
such a copy can't be (a constant function, one that returns an unnamed type) is left to cargo-mutants.

Usage: mutants.py CARGO_MUTANTS [what chooses among the mutants, as cargo-mutants takes it]
"""

import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

PACKAGES = ["ocim-domain", "ocim-projections"]
CHOICE = [f"--package={package}" for package in PACKAGES] + ["--no-shuffle"]
CARGO = [f"--package={package}" for package in PACKAGES] + ["--locked", "--quiet", "--message-format=json"]
# So many seconds, and the tests hang.
LONGEST = 120
# The number of a run in which nothing is changed.
UNCHANGED = -1
SWITCH = """
#[doc(hidden)]
pub(crate) fn is_mutant(number: i64) -> bool {
    static CHOSEN: std::sync::LazyLock<i64> =
        std::sync::LazyLock::new(|| std::env::var("OCIM_MUTANT").ok().and_then(|it| it.parse().ok()).unwrap_or(-1));
    *CHOSEN == number
}
"""


def copy_sources(tree):
    """The workspace's files as they are, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    shutil.rmtree(tree, ignore_errors=True)
    for name in filter(os.path.exists, listed.stdout.split("\0")):
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, place, follow_symlinks=False)


def fits(mutant):
    """Whether a copy of its function's body may stand before the body."""
    function = mutant["function"]
    if not function or "impl " in (function["return_type"] or ""):
        return False
    first, last = function["span"]["start"]["line"], function["span"]["end"]["line"]
    lines = pathlib.Path(mutant["file"]).read_text().split("\n")[first - 1 : last]
    return not re.search(r"\bconst fn\b", "\n".join(lines).split("{")[0])


class Source:
    """One file, and the mutants that are put into it."""

    def __init__(self, name):
        self.text = pathlib.Path(name).read_text()
        self.starts = [0]
        for line in self.text.split("\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)

    def offset(self, place):
        return self.starts[place["line"] - 1] + place["column"] - 1

    def body(self, mutant):
        """Where its function's body begins, and the changed one."""
        function = mutant["function"]
        begin, end = (self.offset(function["span"][at]) for at in ("start", "end"))
        name = function["function_name"].split("::")[-1]
        head = re.search(rf"\bfn\s+(r#)?{re.escape(name)}\b", self.text[begin:end])
        opening = self.text.index("{", begin + head.end()) + 1
        if mutant["genre"] == "FnValue":
            return opening, mutant["replacement"]
        start, stop = (self.offset(mutant["span"][at]) for at in ("start", "end"))
        return opening, f"{self.text[opening:start]}{mutant['replacement']} {self.text[stop:end - 1]}"

    def with_mutants(self, numbered):
        """The text with them, and for each line that is a mutant's its number."""
        insertions = collections.defaultdict(list)
        for number, mutant in numbered:
            opening, body = self.body(mutant)
            insertions[opening].append((number, f"\nif crate::is_mutant({number}) {{ return {{\n{body}\n}}; }}\n"))
        pieces, lines, line, at = [], {}, 1, 0
        for opening in sorted(insertions):
            pieces.append(self.text[at:opening])
            line += pieces[-1].count("\n")
            at = opening
            for number, piece in insertions[opening]:
                following = line + piece.count("\n")
                lines.update(dict.fromkeys(range(line + 1, following), number))
                pieces.append(piece)
                line = following
        return "".join(pieces) + self.text[at:], lines


def put_in(tree, mutants, numbers):
    """Writes the files with these mutants; the number of each line that is a mutant's, by file."""
    by_file = collections.defaultdict(list)
    for number in numbers:
        by_file[mutants[number]["file"]].append((number, mutants[number]))
    switched = {f"{package.removeprefix('ocim-')}/src/lib.rs" for package in PACKAGES}
    lines = {}
    for name in {mutant["file"] for mutant in mutants} | switched:
        text, lines[name] = Source(name).with_mutants(by_file[name])
        text += SWITCH if name in switched else ""
        place = tree / name
        if place.read_text() != text:
            place.write_text(text)
    return lines


def run_cargo(tree, *arguments):
    """What cargo says as JSON, and how it ended. What is odd about a mutant is nobody's mistake."""
    environment = {**os.environ, "RUSTFLAGS": "--cap-lints=allow"}
    ran = subprocess.run(["cargo", *arguments, *CARGO], cwd=tree, env=environment, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")], ran.returncode


def drop_uncompilable(tree, mutants, numbers):
    """Those of them that compile, put into the tree, and those that do not."""
    left, dropped = set(numbers), set()
    while True:
        lines = put_in(tree, mutants, sorted(left))
        messages, status = run_cargo(tree, "check", "--keep-going")
        if status == 0:
            return left, dropped
        wrong = set()
        for message in messages:
            message = message.get("message", {})
            if not isinstance(message, dict) or message.get("level") != "error":
                continue
            # The place of the mistake before places that explain it.
            for span in sorted(message["spans"], key=lambda span: not span["is_primary"]):
                number = lines.get(span["file_name"], {}).get(span["line_start"])
                if number is not None:
                    wrong.add(number)
                    break
        if not wrong:
            sys.exit("mutants: what does not compile is none of them; look at `cargo check` in " + str(tree))
        left, dropped = left - wrong, dropped | wrong


class Tests:
    """The test programs of the packages."""

    def __init__(self, tree):
        messages, status = run_cargo(tree, "test", "--no-run")
        if status != 0:
            sys.exit("mutants: the tests do not compile")
        self.programs = collections.defaultdict(list)
        for message in messages:
            if message.get("executable") and message["profile"]["test"]:
                folder = pathlib.Path(message["manifest_path"]).parent
                self.programs[f"ocim-{folder.name}"].append((message["executable"], folder))

    def notice(self, package, number, words=()):
        """Whether a test fails; those that have one of the words in their names, and quick ones, are tried first."""
        properties = "properties::"
        rounds = [[*words, "--skip", properties]] if words else []
        rounds += [["--skip", properties], [properties]]
        return any(
            fails(program, folder, number, arguments)
            for arguments in rounds
            for program, folder in self.programs[package]
        )


def fails(program, folder, number, arguments):
    """Whether a test of the program fails; it ends with the first one."""
    environment = {
        **os.environ,
        "OCIM_MUTANT": str(number),
        "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
        "PROPTEST_MAX_SHRINK_ITERS": "0",
        "RUST_BACKTRACE": "0",
    }
    with subprocess.Popen(
        [program, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as running:
        timer = threading.Timer(LONGEST, running.kill)
        timer.start()
        has_failed = any(re.match(r"test .* \.\.\. FAILED$", line.strip()) for line in running.stdout)
        running.kill() if has_failed else running.wait()
        timer.cancel()
    return has_failed or running.returncode != 0


def try_one_by_one(program, names):
    """What survives of mutants that need a build each, and how many were tried and did not compile."""
    if not names:
        return [], 0, 0
    with tempfile.TemporaryDirectory() as output:
        chosen = "|".join(re.escape(name) for name in names)
        # What leaves a field out is tried whatever the expression says.
        files = [f"--file={name}" for name in sorted({name.split(":")[0] for name in names})]
        ran = subprocess.run([program, "mutants", *CHOICE, *files, f"--re=^({chosen})$", f"--output={output}", "--colors=never"])
        # 2: some survived; 3: some ran out of time, which counts as noticed.
        if ran.returncode not in (0, 2, 3):
            sys.exit(ran.returncode)
        outcomes = json.loads(pathlib.Path(output, "mutants.out/outcomes.json").read_text())
    by_summary = collections.defaultdict(list)
    for outcome in outcomes["outcomes"]:
        mutant = outcome["scenario"]["Mutant"] if outcome["scenario"] != "Baseline" else None
        if mutant and mutant["name"] in names:
            by_summary[outcome["summary"]].append(mutant["name"])
    missed, others = by_summary["MissedMutant"], len(by_summary["Unviable"])
    return missed, sum(map(len, by_summary.values())) - others, others


def main():
    program, choice = sys.argv[1], sys.argv[2:]
    target = pathlib.Path(os.environ["CARGO_TARGET_DIR"])
    tree = target / "tree"
    if any(word.split("=")[0] == "--shard" for word in choice):
        choice.append("--sharding=round-robin")
    listed = subprocess.run([program, "mutants", *CHOICE, "--list", "--json", *choice], check=True, capture_output=True, text=True)
    mutants = json.loads(listed.stdout)
    together = [number for number, mutant in enumerate(mutants) if fits(mutant)]
    print(f"mutants: {len(mutants)}, of which {len(together)} go into one build", flush=True)

    copy_sources(tree)
    left, uncompilable = drop_uncompilable(tree, mutants, together)
    tests = Tests(tree)
    for package in PACKAGES:
        if tests.notice(package, UNCHANGED):
            sys.exit(f"mutants: the tests of {package} fail without any")

    survived = []
    for number in sorted(left):
        mutant = mutants[number]
        words = mutant["file"].removesuffix(".rs").split("/")[2:]
        if not tests.notice(mutant["package"], number, words):
            survived.append(mutant["name"])
            print(f"MISSED   {mutant['name']}", flush=True)

    alone = [mutant["name"] for number, mutant in enumerate(mutants) if number not in left | uncompilable]
    missed, tried, others = try_one_by_one(program, alone)
    survived, tried = survived + missed, tried + len(left)
    print(f"mutants: {len(survived)} of {tried} survived, {len(uncompilable) + others} did not compile")
    sys.exit(tried == 0 or len(survived) * 20 > tried)


main()
