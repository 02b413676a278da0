"""The real process tells endpoints what it did, whatever they do and however it ends."""

import json
from typing import Any

from tests.acceptance.conftest import MakeWorkspace
from tests.acceptance.harness import Workspace, wait_until
from tests.acceptance.test_health import ask, ended, has_status, scraped
from tests.emulators.processes import free_address
from tests.integration.receiver import SECRET, Receiver, is_genuine, receiving

DROP = "customerID,Churn\n1,Yes\n"
TIMEOUT_S = 20.0
"""Longer than it takes to kill a daemon; for so long its successor leaves the letter alone."""


def section(name: str, url: str, **keys: object) -> str:
    """One endpoint of the configuration."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, "url": url, "timeout_s": TIMEOUT_S, **keys}.items()]
    return "\n".join(["[[notifications]]", *lines])


def endpoints(workspace: Workspace) -> dict[str, Any]:
    """What waits for whom, as `status --json` says."""
    done = workspace.ask("status", "--json")
    assert done.returncode == 0, done.stderr
    return {entry["endpoint"]: entry for entry in json.loads(done.stdout)["notifications"]}


def test_decision_is_told_although_the_daemon_is_killed_and_endpoints_are_dead(make_workspace: MakeWorkspace) -> None:
    """Killed between delivery and mark: told again with its id. A dead and a hanging endpoint delay neither runs nor a stop."""
    address, nobody = free_address(), free_address()
    with receiving() as ops, receiving() as silent:
        ops.script, silent.always = [ops.hang], silent.hang
        top = [f'[http]\nlisten = "{address}"', section("ops", ops.url, secret_file="secret")]  # noqa: S106 - the name of a file
        top += [section("dead", f"http://{nobody}/", format="slack"), section("silent", silent.url, format="slack", timeout_s=60)]
        workspace = make_workspace(top="\n".join(top), training={"pipeline": "hello"})
        (workspace.root / "secret").write_text(SECRET)
        workspace.start()
        workspace.drop("churn_data_2025_03.csv", DROP)
        wait_until(lambda: ops.received and silent.received, "the decision is sent")
        workspace.children[-1].kill()
        workspace.children[-1].wait(240)
        waiting = endpoints(workspace)
        assert {name: entry["waiting"] for name, entry in waiting.items()} == {"ops": 1, "dead": 1, "silent": 1}
        ops.released.set()

        workspace.drop("churn_data_2025_05.csv", DROP)
        daemon = workspace.start()
        wait_until(lambda: len(workspace.logged("candidate_rejected")) == 2, "the other run is decided on")
        wait_until(lambda: len(ops.received) == 3, "the first one comes again, then the second one")
        require_in_order_and_genuine(ops)
        assert has_status(address, "/livez", 200)["loops"]["notify silent"] == "ok"
        require_metrics(address)
        assert ask(address, "/readyz")[0] == 200
        assert ended(workspace)
        assert daemon.returncode == 0
        waiting = endpoints(workspace)
        assert {name: entry["waiting"] for name, entry in waiting.items()} == {"ops": 0, "dead": 2, "silent": 2}
        assert "refused" in waiting["dead"]["error"]
        assert SECRET not in workspace.log.read_text()
        assert "hidden" not in workspace.log.read_text()


def require_in_order_and_genuine(ops: Receiver) -> None:
    """The first event twice, byte for byte, then the second one; each signed by itself."""
    first, again, second = ops.received
    assert (first.body, first.document["data"]["period"]) == (again.body, "2025-03")
    assert second.document["data"]["period"] == "2025-05"
    assert second.document["type"] == "trainer-daemon.candidate_rejected"
    genuine = is_genuine()
    assert all(genuine(request.headers, request.body, SECRET.encode()) for request in ops.received)


def require_metrics(address: str) -> None:
    """What waits, for how long, and what became of deliveries."""
    wait_until(lambda: scraped(address)['trainer_outbox_waiting{endpoint="ops"}'] == 0, "it is marked")
    metrics = scraped(address)
    assert metrics['trainer_outbox_waiting{endpoint="dead"}'] == 2
    assert metrics['trainer_outbox_age_seconds{endpoint="dead"}'] > metrics['trainer_outbox_age_seconds{endpoint="ops"}'] == 0
    assert metrics['trainer_outbox_deliveries_total{endpoint="ops",outcome="delivered"}'] == 2
    assert metrics['trainer_outbox_deliveries_total{endpoint="dead",outcome="failed"}'] > 0


def test_daemon_that_ends_by_itself_tells_first(light_workspace: MakeWorkspace) -> None:
    """A laptop's or a CronJob's: what can be delivered is, before the process is gone; `doctor --notify` tells a test.

    It ends with 1 after a run that failed; a daemon that is stopped then ends with 0, since a stop is no failure.
    """
    with receiving() as chat:
        workspace = light_workspace(top=section("chat", chat.url, format="slack"), attempts_max=1)
        daemon = workspace.start()
        workspace.drop("churn_data_2025_03.csv", b"a,Churn\n\xff,1\n")
        wait_until(lambda: workspace.logged("run_failed"), "the run fails")
        daemon.terminate()
        assert daemon.wait(240) == 0
        assert workspace.ask("trigger").returncode == 0
        assert workspace.run_until_idle(600) == 1
        failed = workspace.logged("run_failed")[-1]
        assert failed["reason"].startswith("step obey failed: UnicodeDecodeError")
        words = f"churn: run {failed['run']} on churn_data_2025_03.csv has failed for good: step obey failed: UnicodeDecodeError"
        assert chat.received[-1].document["text"].startswith(words)
        doctor = json.loads(workspace.ask("doctor", "--json", "--notify").stdout)
        (check,) = [check for check in doctor["checks"] if check["name"] == "notifications chat"]
        assert (check["status"], check["found"]) == ("ok", "it took a test, nothing waits for it")
        assert chat.received[-1].document["text"].endswith("this is a test, nothing happened")
