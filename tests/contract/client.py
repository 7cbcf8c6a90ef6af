"""Does the main job with the generated client, and meets each error that a client can cause.

Usage: client.py URL TOKEN. The generated package `ocim_client` lies beside this file.
"""

import sys
import time
from datetime import datetime, timedelta, timezone
from http import HTTPStatus

from ocim_client import AuthenticatedClient, Client, models
from ocim_client.api.appservers import activate_appserver, keep_server, launch_appserver, list_appservers, list_instance_appservers, read_appserver
from ocim_client.api.instances import change_settings, create_instance, hold_instance, list_instances, read_instance
from ocim_client.api.problems import read_problem_page
from ocim_client.api.runs import list_runs, read_run
from ocim_client.api.tokens import create_token
from ocim_client.api.timeline import read_instance_timeline

url, token = sys.argv[1:3]
client = AuthenticatedClient(url, token, raise_on_unexpected_status=True)
met = set()


def given(answer, status):
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.parsed


def refused(answer, name):
    problem = answer.parsed
    assert isinstance(problem, models.Problem), answer
    assert problem.type_.value == f"/problems/{name}", problem
    assert problem.status == answer.status_code, problem
    page = given(read_problem_page.sync_detailed(name, client=client), HTTPStatus.OK)
    assert page.startswith(f"# {name}\n"), page
    met.add(name)


def settings(**fields):
    return models.CreateInstance.from_dict(fields)


def change(**fields):
    return models.SettingsChange.from_dict(fields)


def await_end(run):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = read_run.sync_detailed(run, client=client)
        if answer.status_code == 200 and answer.parsed.ended:
            return answer.parsed.phase.value
        time.sleep(0.2)
    raise AssertionError(f"{run} does not end")


# The main job: make a site, change it, launch it, give it traffic, look back.
made = given(create_instance.sync_detailed(client=client, body=settings(name="One", sub_domain="one")), 201)
read = read_instance.sync_detailed(made.id, client=client)
assert given(read, 200).name == "One"
etag = read.headers["etag"]
changed = change_settings.sync_detailed(made.id, client=client, body=change(name="Two"), if_match=etag)
assert given(changed, 200).name == "Two"
assert [it.id for it in given(list_instances.sync_detailed(client=client), 200).items] == [made.id]
body = models.LaunchAppserver.from_dict({})
launched = given(launch_appserver.sync_detailed(made.id, client=client, body=body), 202)
assert given(read_appserver.sync_detailed(launched.appserver, client=client), 200).number == 1
assert len(given(list_appservers.sync_detailed(client=client, is_active=False), 200).items) == 1
assert len(given(list_instance_appservers.sync_detailed(made.id, client=client), 200).items) == 1
assert await_end(launched.run) == "completed"
activate = models.ActivateAppserver.from_dict({})
activated = given(activate_appserver.sync_detailed(launched.appserver, client=client, body=activate), 202)
assert await_end(activated.run) == "completed"
given(read_instance_timeline.sync_detailed(made.id, client=client), 200)
given(list_runs.sync_detailed(client=client, limit=5), 200)

# Each error.
unknown = "inst_00000000-0000-7000-8000-000000000000"
refused(read_instance.sync_detailed(unknown, client=client), "not_found")
refused(read_run.sync_detailed("run_00000000-0000-7000-8000-000000000000", client=client), "not_found")
refused(list_instances.sync_detailed(client=client, limit=-1), "bad_request")
refused(create_instance.sync_detailed(client=client, body=settings(name="", sub_domain="-")), "invalid_input")
stale = change_settings.sync_detailed(made.id, client=client, body=change(name="Three"), if_match=etag)
refused(stale, "stale_version")
keep = models.KeepServer(reason="it did not fail", until=datetime(2036, 1, 1, tzinfo=timezone.utc))
refused(keep_server.sync_detailed(launched.appserver, client=client, body=keep), "command_rejected")
key = "the-same-key"
body = settings(name="Four", sub_domain="four")
given(create_instance.sync_detailed(client=client, body=body, idempotency_key=key), 201)
body = settings(name="Five", sub_domain="five")
refused(create_instance.sync_detailed(client=client, body=body, idempotency_key=key), "idempotency_key_reused")
large = settings(name="Six", sub_domain="six", configuration_extra_settings="x" * 600_000)
refused(create_instance.sync_detailed(client=client, body=large), "too_large")
taken = settings(name="Seven", sub_domain="one")
refused(create_instance.sync_detailed(client=client, body=taken), "name_taken")
looker = given(create_token.sync_detailed(client=client, body=models.CreateToken.from_dict({"name": "looker", "scope": "read"})), 201)
looker = AuthenticatedClient(url, looker.secret, raise_on_unexpected_status=True)
refused(create_instance.sync_detailed(client=looker, body=settings(name="Eight", sub_domain="eight")), "forbidden")
hold = models.HoldInstance(reason="moving its data", until=datetime.now(timezone.utc) + timedelta(hours=1))
given(hold_instance.sync_detailed(made.id, client=client, body=hold), 204)
other = given(create_token.sync_detailed(client=client, body=models.CreateToken.from_dict({"name": "other", "scope": "all"})), 201)
other = AuthenticatedClient(url, other.secret, raise_on_unexpected_status=True)
refused(change_settings.sync_detailed(made.id, client=other, body=change(name="Nine")), "instance_held")
nobody = Client(url, raise_on_unexpected_status=True)
refused(list_instances.sync_detailed(client=nobody), "unauthorized")

# Errors that no generated function can cause, read as the generated types.
bare = client.get_httpx_client()
for answer, name in [
    (bare.put("/api/v1/instances"), "method_not_allowed"),
    (bare.post("/api/v1/instances", content="x", headers={"content-type": "text/plain"}), "unsupported_media_type"),
]:
    problem = models.Problem.from_dict(answer.json())
    assert problem.type_.value == f"/problems/{name}", problem
    met.add(name)

print(" ".join(sorted(met)))
