import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from kfp_server_api import ApiException

from tests.emulators.fixtures import MakeKfpServer
from tests.emulators.kfp_server import KfpServer
from tests.integration.emulators.kfp_lab import MakeLab, connect

USERS = {"user@example.com": "secret"}


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    """Plain requests."""
    with urllib3.PoolManager() as manager:
        yield manager


def log_in(http: urllib3.PoolManager, server: KfpServer, password: str = "secret") -> str:  # noqa: S107 - no secret
    """Do what a browser does; the session's cookie, or "" when there is none."""
    page = http.request("GET", f"{server.host}/")
    found = re.search(rb'action="([^"]+)"', page.data)
    assert found is not None, page.data
    action = found[1].decode().replace("&amp;", "&")
    body = urllib.parse.urlencode({"login": "user@example.com", "password": password})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = http.request("POST", f"{server.host}{action}", body=body, headers=headers, redirect=False)
    if "location" not in reply.headers:
        return ""
    callback = http.request("GET", f"{server.host}{reply.headers['location']}", redirect=False)
    return callback.headers["set-cookie"].partition(";")[0]


def test_without_a_valid_token_nobody_passes(kfp_server: KfpServer) -> None:
    """Neither without one nor with a wrong one; the body is the server's."""
    kfp_server.require_tokens("right")

    for options in ({}, {"existing_token": "wrong"}):
        with pytest.raises(ApiException) as caught:
            connect(kfp_server, namespace="kubeflow-user", **options).list_runs()
        assert (caught.value.status, json.loads(caught.value.body)["code"]) == (401, 16)
    assert connect(kfp_server, namespace="kubeflow-user", existing_token="right").list_runs().runs is None  # noqa: S106 - no secret


def test_tokens_are_replaced(kfp_server: KfpServer, tmp_path: Path) -> None:
    """A client that reads its token from a file for each request notices nothing."""
    from kfp.client import ServiceAccountTokenVolumeCredentials

    file = tmp_path / "token"
    file.write_text("old")
    kfp_server.require_tokens("old")
    client = connect(kfp_server, namespace="kubeflow-user", credentials=ServiceAccountTokenVolumeCredentials(str(file)))
    assert client.list_runs().runs is None

    kfp_server.require_tokens("new")
    with pytest.raises(ApiException, match="401"):
        client.list_runs()
    file.write_text("new")

    assert client.list_runs().runs is None


def test_tokens_are_required_also_after_a_restart(kfp_server: KfpServer) -> None:
    """How the server behaves is part of its state."""
    kfp_server.require_tokens("right")
    kfp_server.restart()

    with pytest.raises(ApiException, match="401"):
        connect(kfp_server, namespace="kubeflow-user").list_runs()
    kfp_server.let_anybody_in()
    assert connect(kfp_server).list_runs().runs is None


@pytest.mark.parametrize("cookie", ["authservice_session", "oauth2_proxy_kubeflow"])
def test_a_login_at_dex_gives_a_session(kfp_server: KfpServer, http: urllib3.PoolManager, cookie: str) -> None:
    """The client sends its cookie; it is good until it expires."""
    kfp_server.require_sessions(USERS, cookie=cookie)

    session = log_in(http, kfp_server)

    assert session.startswith(f"{cookie}=")
    client = connect(kfp_server, namespace="kubeflow-user", cookies=session)
    client.create_experiment("churn")
    assert client.list_experiments().total_size == 1

    kfp_server.expire_sessions()
    reply = http.request("GET", f"{kfp_server.host}/apis/v2beta1/runs", headers={"Cookie": session}, redirect=False)
    assert reply.status == 302
    assert reply.headers["location"].startswith("/dex/auth?")


def test_a_wrong_password_gives_no_session(kfp_server: KfpServer, http: urllib3.PoolManager) -> None:
    """The form is shown again."""
    kfp_server.require_sessions(USERS)

    assert log_in(http, kfp_server, "wrong") == ""


def test_the_client_takes_the_login_page_for_an_empty_list(kfp_server: KfpServer) -> None:
    """It follows the redirection and reads nothing in the page: no error tells that the session is over."""
    kfp_server.require_sessions(USERS)
    kfp_server.script([{"display_name": "a-run"}])

    assert connect(kfp_server, namespace="kubeflow-user").list_runs().runs is None


def test_a_proxy_may_answer_401_instead_of_a_redirection(kfp_server: KfpServer) -> None:
    """Newer installations do."""
    kfp_server.require_sessions(USERS, unknown_session=401)

    with pytest.raises(ApiException, match="401"):
        connect(kfp_server, namespace="kubeflow-user").list_runs()


def test_a_client_over_https_needs_the_authority(make_kfp_server: MakeKfpServer, compiled: Path) -> None:
    """The certificate is of an authority that only this test knows; uploads work too."""
    server = make_kfp_server(is_https=True)

    assert connect(server).upload_pipeline(str(compiled / "probe.yaml"), "churn").name == "churn"
    with pytest.raises(urllib3.exceptions.MaxRetryError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(server, namespace="kubeflow-user", ssl_ca_cert=None).list_runs()


def test_a_reply_can_be_lost_over_https(make_lab: MakeLab) -> None:
    """The connection is cut below the encryption."""
    lab = make_lab(is_https=True)
    lab.server.hold_runs()
    lab.server.lose_replies("POST /runs", times=1)

    with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError)):
        lab.run()

    assert lab.client.list_runs().total_size == 1
