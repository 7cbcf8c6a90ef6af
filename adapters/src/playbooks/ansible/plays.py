"""Tells the wrapper when no play of a playbook found a host: Ansible itself calls that a success."""

import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: ocim_plays
type: aggregate
short_description: notes that no play of a playbook found a host
description:
  - Makes a file where OCIM_UNMATCHED says, if plays began and none of them had a host.
"""


class CallbackModule(CallbackBase):
    """Counts plays, and those without hosts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ocim_plays"

    def __init__(self, *args, **kwargs):
        super(CallbackModule, self).__init__(*args, **kwargs)
        self.plays = 0
        self.unmatched = 0

    def v2_playbook_on_play_start(self, play):
        self.plays += 1

    def v2_playbook_on_no_hosts_matched(self):
        self.unmatched += 1

    def v2_playbook_on_stats(self, stats):
        if self.plays and self.plays == self.unmatched:
            with open(os.environ["OCIM_UNMATCHED"], "w"):
                pass
