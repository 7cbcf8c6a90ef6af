"""Tells the wrapper what Ansible's exit status does not: which task failed, and where no host was found."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: ocim_plays
type: aggregate
short_description: notes the task that failed, and that no play of a playbook found a host
description:
  - Makes a file where OCIM_UNMATCHED says, if plays began and none of them had a host.
  - Writes where OCIM_FAILURE says which task a host failed at, and what it said.
"""

# What is shown of a message is far shorter; this keeps one of many megabytes from the disk.
MESSAGE_CHARS_MAX = 65536


def explain(result):
    """What a failed task says: for a loop the first item that failed, for a program its last words."""
    items = [item for item in result.get("results") or [] if is_failed(item)]
    result = items[0] if items else result
    message = str(result.get("msg") or result.get("censored") or "it does not say why")
    for name in ("stderr", "module_stderr", "stdout", "module_stdout"):
        # The goodbye of a shared connection is ssh's.
        lines = [line for line in str(result.get(name) or "").splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("Shared connection to ")]
        if lines:
            message += ": " + lines[-1].strip()
            break
    return message[:MESSAGE_CHARS_MAX]


def is_failed(item):
    return isinstance(item, dict) and item.get("failed") and not item.get("_ansible_ignore_errors")


def storable(text):
    """The text without halves of characters, which no JSON reader takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


class CallbackModule(CallbackBase):
    """Counts plays, and those without hosts; remembers what each host failed at last."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ocim_plays"

    def __init__(self, *args, **kwargs):
        super(CallbackModule, self).__init__(*args, **kwargs)
        self.plays = 0
        self.unmatched = 0
        self.failures = {}

    def v2_playbook_on_play_start(self, play):
        self.plays += 1

    def v2_playbook_on_no_hosts_matched(self):
        self.unmatched += 1

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            self.note(result)

    def v2_runner_on_unreachable(self, result):
        self.note(result)

    def note(self, result):
        host = result._host.get_name()
        texts = {"task": result._task.get_name(), "host": host, "message": explain(result._result)}
        self.failures[host] = {name: storable(text) for name, text in texts.items()}

    def v2_playbook_on_stats(self, stats):
        # A host that a `rescue` brought back is in neither of them.
        for host in list(stats.failures) + list(stats.dark):
            if host in self.failures:
                with open(os.environ["OCIM_FAILURE"], "w") as file:
                    json.dump(self.failures[host], file)
                break
        if self.plays and self.plays == self.unmatched:
            with open(os.environ["OCIM_UNMATCHED"], "w"):
                pass
