"""The doctor's checks of a Kubeflow Pipelines server, over a socket."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.fixtures import MakeKfpServer
from tests.emulators.kfp.front import VERSION
from tests.emulators.kfp_server import KfpServer
from tests.integration.doctor.servers import server as answering
from tests.integration.kubeflow.recurring import Stranger
from trainer_daemon.commands.opening import now
from trainer_daemon.config import Settings, check_settings
from trainer_daemon.doctor.clocks import clock_probes
from trainer_daemon.doctor.hello import Hello
from trainer_daemon.doctor.orchestrators import backend_of
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import examine

Examine = Callable[..., dict[str, Check]]


def settings_of(host: str, folder: Path, **changes: Any) -> Settings:  # noqa: ANN401 - of the section
    """Settings of one model on a server."""
    section = {"kind": "kubeflow", "image": "registry.example/trainer:1", "host": host, "request_timeout_s": 240.0, **changes}
    table = {"orchestrator": section, "models": [{"name": "churn", "bucket": "drops"}]}
    return check_settings(table, {}, folder=folder)


@pytest.fixture
def examined(tmp_path: Path) -> Examine:
    """Examine a server, with changes of the section."""

    def run(host: str, **changes: Any) -> dict[str, Check]:  # noqa: ANN401 - as above
        with ExitStack() as resources:
            probes = backend_of(settings_of(host, tmp_path, **changes), resources, now).probes
            return {check.name: check for check in examine(probes)}

    return run


def test_server_where_all_is_well(kfp_server: KfpServer, examined: Examine) -> None:
    """Nothing is made."""
    checks = examined(kfp_server.host)
    assert {name: check.status for name, check in checks.items()} == dict.fromkeys(
        ("orchestrator", "credentials", "experiment", "image", "recurring runs"), Status.OK
    )
    assert checks["orchestrator"].found == f"{kfp_server.host} is healthy, version {VERSION}"
    assert checks["experiment"].found == "trainer-daemon does not exist yet; the first run makes it"
    assert {request.method for request in kfp_server.requests()} == {"GET"}


def test_server_that_is_not_there_has_failed(kfp_server: KfpServer, examined: Examine) -> None:
    """What needs it is skipped; the image is looked at all the same."""
    kfp_server.kill()
    checks = examined(kfp_server.host)
    assert (checks["orchestrator"].status, "cannot reach Kubeflow Pipelines" in checks["orchestrator"].found) == (
        Status.FAILED,
        True,
    )
    assert [checks[name].status for name in ("credentials", "experiment", "recurring runs")] == [Status.SKIPPED] * 3
    assert checks["image"].status is Status.OK


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({}, 'set orchestrator.auth: "service_account_token" inside the cluster'),
        ({"auth": "token", "token_file": "TOKEN"}, r"put a new token into .*/token: kubectl create token"),
        ({"auth": "service_account_token", "token_file": "TOKEN"}, r"mount a projected token .* pod at .*/token"),
    ],
)
def test_credential_that_is_not_taken_is_told_with_the_fix_for_its_kind(
    kfp_server: KfpServer, examined: Examine, tmp_path: Path, changes: dict[str, str], fix: str
) -> None:
    """The server itself was reached."""
    token = tmp_path / "token"
    token.write_text("old")
    kfp_server.require_tokens("new")
    checks = examined(kfp_server.host, **{key: str(token) if value == "TOKEN" else value for key, value in changes.items()})
    assert checks["orchestrator"].status is Status.OK
    check = checks["credentials"]
    assert (check.status, "does not take the daemon's credential" in check.found) == (Status.FAILED, True)
    assert re.match(fix, check.fix)
    assert checks["recurring runs"].status is Status.SKIPPED


def test_login_that_fails_at_dex_is_told(kfp_server: KfpServer, examined: Examine, tmp_path: Path) -> None:
    """With who and where."""
    password = tmp_path / "password"
    password.write_text("wrong")
    kfp_server.require_sessions({"trainer": "right"})
    dex = {"auth": "dex", "username": "trainer", "password_file": str(password)}
    check = examined(kfp_server.host, **dex)["credentials"]
    assert check.status is Status.FAILED
    assert check.fix.startswith(f"log in at {kfp_server.host} as trainer with the password in {password}")
    password.write_text("right")
    assert examined(kfp_server.host, **dex)["credentials"].status is Status.OK


def test_multi_user_installation_wants_a_profile(make_kfp_server: MakeKfpServer, examined: Examine) -> None:
    """With one all is well."""
    host = make_kfp_server(is_multi_user=True).host
    check = examined(host)["orchestrator"]
    assert (check.status, "set orchestrator.user_namespace" in check.fix) == (Status.FAILED, True)
    assert {check.status for check in examined(host, user_namespace="team-a").values()} == {Status.OK}


@pytest.mark.parametrize(
    ("image", "status"),
    [
        ("registry.example:5000/trainer", Status.WARNING),
        ("trainer:latest", Status.WARNING),
        ("registry.example:5000/trainer:1.2", Status.OK),
        (f"trainer@sha256:{'0' * 64}", Status.OK),
    ],
)
def test_image_that_may_change_is_a_warning(kfp_server: KfpServer, examined: Examine, image: str, status: Status) -> None:
    """A port of the registry is no tag."""
    assert examined(kfp_server.host, image=image)["image"].status is status


def test_recurring_runs_beside_the_daemon_are_a_warning(kfp_server: KfpServer, stranger: Stranger, examined: Examine) -> None:
    """Those of our pipeline, of one with its name, and of one inside the recurring run; each with the way to disable it."""
    ours, theirs, other = (stranger.upload(name) for name in ("trainer-training", "Training.yaml", "reports"))
    ids = [stranger.schedule("monthly", pipeline_id=ours), stranger.schedule("weekly", pipeline_id=theirs, interval_s=604800)]
    ids.append(stranger.schedule_spec("inline", pipeline="training", interval_s=172800))
    stranger.schedule("asleep", pipeline_id=ours, enabled=False)
    stranger.schedule("reports", pipeline_id=other)
    check = examined(kfp_server.host, ui_url="https://kf.example/pipeline")["recurring runs"]
    assert check.status is Status.WARNING
    assert sorted(re.findall(r"(\w+) \(", check.found)) == ["inline", "monthly", "weekly"]
    assert "monthly (0 0 3 1 * ?, pipeline trainer-training)" in check.found
    link = "https://kf.example/pipeline/#/recurringrun/details/"
    for id_ in ids[:2]:
        assert f"trainer-daemon import-schedule {id_} --disable (see {link}{id_})" in check.fix
    assert f"disable inline in the user interface, at {link}{ids[2]}" in check.fix


def test_other_recurring_runs_are_nobodys_business(kfp_server: KfpServer, stranger: Stranger, examined: Examine) -> None:
    """They are counted."""
    stranger.schedule("reports", pipeline_id=stranger.upload("reports"))
    assert examined(kfp_server.host)["recurring runs"].found == "none of 1 trains beside the daemon"


def test_server_in_trouble_has_failed(kfp_server: KfpServer, examined: Examine) -> None:
    """In its own words."""
    kfp_server.refuse("GET /recurringruns", 500)
    check = examined(kfp_server.host)["recurring runs"]
    assert (check.status, "GET /apis/v2beta1/recurringruns of Kubeflow Pipelines failed: 500" in check.found) == (
        Status.FAILED,
        True,
    )


def test_clock_of_the_server_is_compared(make_kfp_server: MakeKfpServer, tmp_path: Path) -> None:
    """Its certificate is checked against the configured one."""
    server = make_kfp_server(is_https=True)
    assert server.certificates is not None
    authority = str(server.certificates.authority)
    for changes, status in (({"ca_file": authority}, Status.OK), ({}, Status.SKIPPED)):
        (check,) = examine(clock_probes(settings_of(server.host, tmp_path, **changes), now, {}))
        assert check.status is status, check.found


def test_clock_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """By years."""
    with answering(200, {"Date": "Sun, 01 Mar 2020 12:00:00 GMT"}) as url:
        (check,) = examine(clock_probes(settings_of(url, tmp_path), now, {}))
    assert (check.status, "ahead of 127.0.0.1" in check.found) == (Status.FAILED, True)


def test_hello_runs_on_the_server(kfp_server: KfpServer, tmp_path: Path) -> None:
    """The real pipeline, uploaded, submitted through the port, executed and watched."""
    with ExitStack() as resources:
        backend = backend_of(settings_of(kfp_server.host, tmp_path), resources, now)
        run = Hello(backend.connect, name="doctor-hello-1", timeout_s=600.0)
        resources.callback(run.close)
        *_, check = examine([*backend.probes, run.probe(*backend.probes)])
    assert check.status is Status.OK, check.found
    assert check.found.startswith("run doctor-hello-1 succeeded after ")
    assert len(kfp_server.requests("POST /runs")) == 1
