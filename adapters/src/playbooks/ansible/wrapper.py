"""Runs one command in a session of its own, and leaves its output and exit status in files.

Usage: wrapper.py RUN_FOLDER CONTROL_FOLDER WORKING_FOLDER COMMAND...
CONTROL_FOLDER is made for ssh's shared connections, whose sockets need a short path.

Returns once the run is claimed, whoever claimed it; the command goes on without its starter.
Files in RUN_FOLDER:
  started/  made once: who makes it runs the command, everybody else leaves
  lock      held (flock) as long as a process of the run lives
  output    whole lines: `o` or `e` for standard output or error, when it was written in
            milliseconds since 1970, a blank, then the text
  heard     how many bytes the command has printed so far, those of unfinished lines too: a progress
            bar that only goes back to its line's start is a sign of life
  exit      the exit status, once all output is written
  machine_lock.json  read: the command that locks the machine for this play, where there is one
  unmatched made by the callback plugin in plays/ where no play found a host
  failure   written by that plugin: which task failed on which host, and what it said; JSON
"""

import configparser
import fcntl
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time

LINE_BYTES_MAX = 1 << 20
# A process that outlives the command may keep its output open: it is not waited for, once it is
# silent, or has gone on for so long.
SILENCE_AFTER_EXIT_S = 2
OUTPUT_AFTER_EXIT_S = 10
# How often the machine hears that the play goes on; it waits four times as long.
BEAT_S = 15
# Between two tries to lock the machine again, e.g. while it reboots.
LOCK_AGAIN_S = 5
# Ansible's exit status where a machine can't be reached.
UNREACHABLE = 4
# Where Ansible looks for callback plugins when nobody says anything.
CALLBACK_PLUGINS = "/usr/share/ansible/plugins/callback"


def claim():
    """Takes the lock, then the run; None if somebody has the run already."""
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
    while not os.path.isdir("started"):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.mkdir("started")
            return lock
        except BlockingIOError:
            time.sleep(0.01)  # Another wrapper, or somebody who looks whether the run lives.
        except FileExistsError:
            break
    return None


def leave_starter():
    """Goes on as a child of init, in a session of its own, with nothing of the starter's open."""
    if os.fork():
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    # A handler, for an ignored signal would be ignored by the command too.
    signal.signal(signal.SIGTERM, lambda *_: None)


class Output:
    """What the run prints, and how much that is by now."""

    def __init__(self):
        self.lines = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.heard = os.open("heard", os.O_WRONLY | os.O_CREAT, 0o600)
        self.heard_bytes = 0

    def hear(self, count):
        self.heard_bytes += count
        # It never gets shorter: what was written before is overwritten as a whole.
        write(self.heard, b"%d" % self.heard_bytes, at=0)

    def say(self, lines, mark=b"o"):
        # In one write, so that lines stay whole whatever happens in between.
        mark += b"%d " % (time.time() * 1000)
        write(self.lines, b"".join(mark + line + b"\n" for line in lines))


class MachineLock(threading.Thread):
    """Keeps all other plays from the machine for as long as this one goes on.

    A shell on the machine has the lock while it hears from us, so that the death of this process or
    computer frees it. After a reboot it is taken again.
    """

    def __init__(self, command, output):
        super().__init__(daemon=True)
        self.command = command
        self.output = output
        self.is_held = threading.Event()
        self.is_over = threading.Event()
        self.words = []

    def take(self):
        """Waits for the lock; what kept us from asking for it, or None."""
        self.start()
        while not self.is_held.wait(0.05):
            if not self.is_alive():
                return "\n".join(self.words[-5:]) or "the machine can't be locked for this play"
        return None

    def release(self):
        self.is_over.set()
        self.join(BEAT_S)

    def run(self):
        self.hold()
        while self.is_held.is_set() and not self.is_over.wait(LOCK_AGAIN_S):
            self.hold()

    def hold(self):
        """Asks for the lock, and keeps it until the connection or the play ends."""
        try:
            child = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self.words.append(str(error))
            return
        selector = selectors.DefaultSelector()
        selector.register(child.stdout, selectors.EVENT_READ)
        next_beat, rest = 0, b""
        while not self.is_over.is_set():
            if time.monotonic() > next_beat:
                next_beat = time.monotonic() + BEAT_S
                try:
                    os.write(child.stdin.fileno(), b".")
                except OSError:
                    break
            if selector.select(0.2):
                chunk = os.read(child.stdout.fileno(), 65536)
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[:LINE_BYTES_MAX]
                for line in lines:
                    self.take_in(line)
        child.stdin.close()
        try:
            child.wait(BEAT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def take_in(self, line):
        """One line of the shell's, or of whatever else speaks at a login."""
        name, _, rest = line.decode(errors="replace").strip().partition(" ")
        if name == "ocim-play-has":
            self.is_held.set()
        elif name == "ocim-play-waits":
            text = f"waiting: another play may still run on the machine ({rest or 'unknown'})"
            self.output.hear(len(text))
            self.output.say([text.encode()])
        elif line.strip():
            self.words = [*self.words[-9:], line.decode(errors="replace").strip()[:500]]


def lock_machine(output):
    """The lock of the machine, and what kept us from it; neither where nobody asks for one."""
    if not os.path.exists("machine_lock.json"):
        return None, None
    with open("machine_lock.json", encoding="utf-8") as file:
        asked = json.load(file)
    lock = MachineLock(asked["command"], output)
    words = lock.take()
    if words is not None:
        output.say([line.encode() for line in words.split("\n")], mark=b"e")
        failure = {"task": "lock the machine", "host": asked["host"], "message": words}
        with open("failure", "w", encoding="utf-8") as file:
            json.dump(failure, file)
    return lock, words


def run(folder, command, lock, output):
    """The exit status, as a shell gives it."""
    try:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[lock],
        )
    except OSError as error:
        output.say([str(error).encode()], mark=b"e")
        return 127
    copy_lines(child, output)
    status = child.wait()
    return status if status >= 0 else 128 - status


def copy_lines(child, output):
    selector = selectors.DefaultSelector()
    selector.register(child.stdout, selectors.EVENT_READ, (b"o", bytearray()))
    selector.register(child.stderr, selectors.EVENT_READ, (b"e", bytearray()))
    last_look = None
    while selector.get_map():
        ready = selector.select(SILENCE_AFTER_EXIT_S)
        if child.poll() is not None:
            last_look = last_look or time.monotonic() + OUTPUT_AFTER_EXIT_S
            if not ready or time.monotonic() > last_look:
                break
        for key, _ in ready:
            mark, rest = key.data
            chunk = os.read(key.fd, 65536)
            output.hear(len(chunk))
            rest += chunk if chunk or not rest else b"\n"
            if not chunk:
                selector.unregister(key.fileobj)
            *lines, last = rest.split(b"\n")
            if len(last) >= LINE_BYTES_MAX:
                lines, last = [*lines, last], b""
            rest[:] = last
            output.say(lines, mark)


def write(file, data, at=None):
    try:
        os.write(file, data) if at is None else os.pwrite(file, data, at)
    except OSError:
        pass  # A full disk costs lines, not the run.


def read_configuration(folder):
    """The ansible.cfg that Ansible will use: the source's, else the user's, else the computer's."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    places = [f"{folder}/ansible.cfg", os.path.expanduser("~/.ansible.cfg")]
    for place in [*places, "/etc/ansible/ansible.cfg"]:
        if os.path.isfile(place):
            try:
                parser.read(place, encoding="utf-8")
            except (configparser.Error, UnicodeDecodeError):
                pass  # Ansible itself says so, in its output.
            return os.path.dirname(place), parser
    return folder, parser


def configure_ansible(run_folder, control_folder, folder):
    """Sets what Ansible needs here, beside what the source's ansible.cfg says."""
    place, configuration = read_configuration(folder)

    def find(name, *sections):
        found = (configuration.get(one, name, fallback=None) for one in sections)
        return next((value for value in found if value is not None), None)

    if find("pipelining", "defaults", "connection", "ssh_connection") is None:
        os.environ["ANSIBLE_PIPELINING"] = "1"
    if find("timeout", "defaults") is None:
        os.environ["ANSIBLE_TIMEOUT"] = "30"
    # Of options that are given twice, ssh takes the first.
    ssh_args = [share_connections(control_folder), find("ssh_args", "ssh_connection")]
    os.environ["ANSIBLE_SSH_ARGS"] = " ".join(filter(None, ssh_args))
    plugins = find("callback_plugins", "defaults") or CALLBACK_PLUGINS
    theirs = [os.path.join(place, os.path.expanduser(one)) for one in plugins.split(":")]
    os.environ["ANSIBLE_CALLBACK_PLUGINS"] = ":".join([f"{run_folder}/plays", *theirs])
    os.environ["OCIM_UNMATCHED"] = f"{run_folder}/unmatched"
    os.environ["OCIM_FAILURE"] = f"{run_folder}/failure"


def share_connections(folder):
    """One connection for all tasks is several times faster than one for each step of a task."""
    try:
        os.mkdir(folder, 0o700)
    except OSError:
        return "-o ControlMaster=no -o ControlPath=none"  # Somebody else's, or no room.
    return f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={folder}/c"


def end_leftovers(control_folder):
    """Ends what the command left behind, such as the shared connections."""
    mark = b"OCIM_RUN_KEY=" + os.environb[b"OCIM_RUN_KEY"]
    # ssh writes this over its environment.
    title = f"ssh: {control_folder}/".encode()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                is_marked = mark in file.read().split(b"\0")
            with open(f"/proc/{process}/cmdline", "rb") as file:
                is_marked = is_marked or file.read().startswith(title)
            if is_marked and int(process) != os.getpid():
                os.kill(int(process), signal.SIGTERM)
        except OSError:
            pass  # Gone already, or another user's.


def main(run_folder, control_folder, working_folder, *command):
    os.umask(0o077)
    os.chdir(run_folder)
    lock = claim()
    if lock is None:
        return
    output = Output()
    leave_starter()
    with open("pid", "w", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    configure_ansible(run_folder, control_folder, working_folder)
    machine, words = lock_machine(output)
    status = run(working_folder, command, lock, output) if words is None else UNREACHABLE
    if machine is not None:
        machine.release()
    end_leftovers(control_folder)
    shutil.rmtree(control_folder, ignore_errors=True)
    # The secrets are not needed any more, and nobody may be left to remove them.
    os.unlink("variables.json")
    with open("exit.new", "w", encoding="utf-8") as file:
        file.write(f"{status}\n")
    os.rename("exit.new", "exit")


if __name__ == "__main__":
    main(*sys.argv[1:])
