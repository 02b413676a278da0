import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.kubeflow.conftest import Installation
from tests.integration.kubeflow.stranger import answering
from tests.integration.orchestrator_contract import RUN, Probe, a_request, eventually, outcome
from trainer_daemon.adapters.kubeflow import CookiesFile, DexSession, FixedToken, IapToken, KubeflowOrchestrator, Login, TokenFile
from trainer_daemon.errors import PermanentError, TemporaryError
from trainer_daemon.policy.observations import Phase

USER, PASSPHRASE = "trainer@example.com", "correct horse"


def a_file(folder: Path, text: str) -> Path:
    """A file with a secret in it, replaced as a whole, as the kubelet does."""
    scratch, target = folder / ".secret", folder / "secret"
    scratch.write_text(text + "\n")
    scratch.replace(target)
    return target


def refused(adapter: KubeflowOrchestrator) -> str:
    """How a look is refused now; empty when it is not."""
    try:
        adapter.observe([RUN])
    except TemporaryError as exc:
        return str(exc)
    return ""


def a_session(installation: Installation, folder: Path) -> DexSession:
    """A login with the right password."""
    return DexSession(
        Login(
            host=installation.server.host,
            username=USER,
            password_file=a_file(folder, PASSPHRASE),
            ca_file=None,
            timeout_s=240.0,
        )
    )


def test_token_that_is_rotated_every_three_seconds_is_followed(installation: Installation, probe: Probe, tmp_path: Path) -> None:
    """A run that takes longer than any token lives is watched to its end, without a single error."""
    installation.server.require_tokens("token-0")
    adapter = installation.connect(TokenFile(a_file(tmp_path, "token-0")))
    stopped = threading.Event()

    def rotate() -> None:
        rotation = 0
        while not stopped.wait(3.0):
            rotation += 1
            installation.server.require_tokens(f"token-{rotation - 1}", f"token-{rotation}")  # the old one is still good
            a_file(tmp_path, f"token-{rotation}")
            installation.server.require_tokens(f"token-{rotation}")

    rotating = threading.Thread(target=rotate)
    rotating.start()
    try:
        adapter.submit(a_request(probe, action="sleep", seconds=8.0))
        assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    finally:
        stopped.set()
        rotating.join()
    assert installation.logged("credential_refused") == []


def test_expired_token_is_one_error_and_no_reason_to_fail(installation: Installation, probe: Probe, tmp_path: Path) -> None:
    """However often it is tried; once it is renewed all goes on without a restart."""
    installation.server.require_tokens("good")
    adapter = installation.connect(TokenFile(a_file(tmp_path, "good")))
    adapter.submit(a_request(probe, action="sleep", seconds=0.5))
    installation.server.require_tokens("better")
    eventually(lambda: refused(adapter))
    before = installation.server.request_counts()["GET /runs"]
    for _ in range(3):
        with pytest.raises(TemporaryError, match=r"does not take the daemon's credential: .* 401 .*token has expired"):
            adapter.submit(a_request(probe))
    assert installation.server.request_counts()["GET /runs"] == before + 3, "the same token is not tried twice"
    (line,) = installation.logged("credential_refused")
    assert "renew it, or correct orchestrator.auth" in line["reason"]
    assert "good" not in line["reason"]
    a_file(tmp_path, "better")
    assert eventually(lambda: not refused(adapter))
    assert len(installation.logged("credential_accepted")) == 1
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


def test_missing_token_is_one_clear_error(installation: Installation, tmp_path: Path) -> None:
    """It names the file."""
    adapter = installation.connect(TokenFile(tmp_path / "token"))
    assert f"cannot be read from {tmp_path / 'token'}" in refused(adapter)
    (tmp_path / "token").write_text(" \n")
    eventually(lambda: "is empty in" in refused(adapter))
    assert len(installation.logged("credential_refused")) == 1


def test_fixed_token_opens_the_door(installation: Installation) -> None:
    """Until it expires."""
    installation.server.require_tokens("fixed")
    adapter = installation.connect(FixedToken("fixed"))
    assert refused(adapter) == ""
    installation.server.require_tokens("other")
    assert eventually(lambda: refused(adapter))


@pytest.mark.parametrize("unknown_session", [302, 401])
def test_session_that_expires_is_opened_again(
    installation: Installation, probe: Probe, tmp_path: Path, unknown_session: int
) -> None:
    """In the middle of a wait, by logging in at Dex as at the beginning; nobody hears of it."""
    installation.server.require_sessions({USER: PASSPHRASE})
    adapter = installation.connect(a_session(installation, tmp_path))
    adapter.submit(a_request(probe, action="sleep", seconds=2.0))
    installation.server.require_sessions({USER: PASSPHRASE}, unknown_session=unknown_session)
    installation.server.expire_sessions()
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED
    assert installation.server.request_counts()["POST /dex/auth/local/login"] == 2
    assert installation.logged("credential_refused") == []


def test_threads_share_one_login(installation: Installation, tmp_path: Path) -> None:
    """All of them were turned away; one logs in, the others use its session."""
    installation.server.require_sessions({USER: PASSPHRASE})
    api = installation.api(a_session(installation, tmp_path))
    threads = [threading.Thread(target=api.find_experiment, args=("x",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert installation.server.request_counts()["POST /dex/auth/local/login"] == 1


def test_wrong_password_is_one_error_until_it_is_corrected(installation: Installation, tmp_path: Path) -> None:
    """The password is read at every login."""
    installation.server.require_sessions({USER: PASSPHRASE})
    adapter = installation.connect(a_session(installation, tmp_path))
    a_file(tmp_path, "hunter2")
    assert f"refuses user {USER}" in refused(adapter)
    assert eventually(lambda: refused(adapter))
    (line,) = installation.logged("credential_refused")
    assert "hunter2" not in line["reason"]
    a_file(tmp_path, PASSPHRASE)
    assert eventually(lambda: not refused(adapter))


def test_login_page_is_no_empty_list(installation: Installation, probe: Probe) -> None:
    """An installation that wants a login redirects; a client that follows would see no runs, and call all of them lost."""
    adapter = installation.connect()
    adapter.submit(a_request(probe, action="sleep", seconds=0.5))
    installation.server.require_sessions({USER: PASSPHRASE})
    eventually(lambda: "redirected to /dex/auth" in refused(adapter))
    installation.server.let_anybody_in()
    eventually(lambda: not refused(adapter))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


def test_page_at_the_address_of_the_api_is_no_empty_list(installation: Installation) -> None:
    """Whoever forgets `/pipeline` in a host gets the dashboard, with status 200."""
    with answering({"": (200, "text/html", b"<html>Kubeflow</html>")}) as url:
        adapter = installation.connect(connection={"host": url})
        assert "something that is no JSON object" in refused(adapter)


def test_refusal_of_the_mesh_is_a_credential_error(installation: Installation) -> None:
    """Its plain 403 says that it does not know the caller."""
    installation.server.refuse("GET /experiments", 403, times=1)
    adapter = installation.connect()
    assert "does not take the daemon's credential: GET /apis/v2beta1/experiments → 403" in refused(adapter)
    assert refused(adapter) == "" or eventually(lambda: not refused(adapter))


def test_refusal_of_the_api_server_is_for_good(installation: Installation) -> None:
    """It knows the caller, who may not do this."""
    body = json.dumps({"code": 7, "message": "User trainer is not authorized to list runs in namespace team-b"}).encode()
    with answering({"": (403, "application/json", body)}) as url:
        adapter = installation.connect(connection={"host": url})
        with pytest.raises(PermanentError, match="403 User trainer is not authorized"):
            adapter.observe([RUN])


def test_cookies_of_a_file_go_with_every_request(installation: Installation, tmp_path: Path) -> None:
    """Read again each time; a session that somebody else keeps open."""
    installation.server.require_sessions({USER: PASSPHRASE})
    session = a_session(installation, tmp_path)
    session.renew({})
    cookies = tmp_path / "cookies"
    cookies.write_text(f"theme=dark; {session.headers()['Cookie']}\n")
    adapter = installation.connect(connection={"cookies": CookiesFile(cookies)})
    assert refused(adapter) == ""


def test_authority_of_ones_own_is_trusted_when_it_is_named(make_installation: Callable[..., Installation], probe: Probe) -> None:
    """And nobody else's; for the API and for the login alike."""
    installation = make_installation(is_https=True)
    certificates = installation.server.certificates
    assert certificates is not None
    assert "orchestrator.ca_file" in refused(installation.connect())
    adapter = installation.connect(connection={"ca_file": certificates.authority})
    adapter.submit(a_request(probe))
    assert outcome(adapter, RUN).phase is Phase.SUCCEEDED


def test_login_trusts_the_same_authority(make_installation: Callable[..., Installation], tmp_path: Path) -> None:
    """It goes to the same gateway."""
    installation = make_installation(is_https=True)
    assert installation.server.certificates is not None
    installation.server.require_sessions({USER: PASSPHRASE})
    authority = installation.server.certificates.authority
    login = Login(
        host=installation.server.host,
        username=USER,
        password_file=a_file(tmp_path, PASSPHRASE),
        ca_file=authority,
        timeout_s=240.0,
    )
    assert refused(installation.connect(DexSession(login), connection={"ca_file": authority})) == ""


def test_identity_token_for_the_proxy_of_google(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed by the service account of the application default credentials, and a new one when the old one is refused."""
    issued = iter(range(10))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def token() -> tuple[int, str, bytes]:
        return 200, "application/json", json.dumps({"id_token": f"{JWT}sig{next(issued)}"}).encode()

    with answering({"/token": token}) as url:
        account = {
            "type": "service_account",
            "client_email": "trainer@p.iam.gserviceaccount.com",
            "private_key": pem,
            "token_uri": f"{url}/token",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        installation.server.require_tokens(f"{JWT}sig0")
        adapter = installation.connect(IapToken("client.apps.googleusercontent.com", timeout_s=240.0))
        assert refused(adapter) == ""
        installation.server.require_tokens(f"{JWT}sig1")
        adapter.observe(["another"])
    assert installation.logged("credential_refused") == []


def test_identity_without_credentials_of_google_is_one_clear_error(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what the daemon has to be given."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    adapter = installation.connect(IapToken("client", timeout_s=240.0))
    assert "gives no identity token for client client" in refused(adapter)
    assert len(installation.logged("credential_refused")) == 1


JWT = "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9."
"""Header and claims of a token that expires in the year 2100; its signature is counted."""
