"""A session of a Kubeflow gateway: log in at Dex with a name and a password, as a browser does, and keep the cookies it gives."""

import ssl
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from trainer_daemon.adapters.kubeflow.credentials import Headers, read_secret
from trainer_daemon.errors import TemporaryError
from trainer_daemon.remote.errors import Unauthenticated

_CONNECTOR = "local"
"""Dex's own users; other connectors ask a person."""
_START = "/oauth2/start?rd=%2F"
"""Where oauth2-proxy begins a login, for visitors whom it does not take for a browser."""
_PAGE_MAX = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who logs in where.

    Attributes:
        host: URL of the gateway, as for the API.
        password_file: Read at every login.
        ca_file: Certificates that the gateway's is checked against; None for the usual ones.
        timeout_s: Of each of the pages on the way.
    """

    host: str
    username: str
    password_file: Path
    ca_file: Path | None
    timeout_s: float


class DexSession:
    """Cookies that are asked for when a request is turned away for the lack of them, and again when they have expired."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._lock = threading.Lock()
        self._cookies = ""

    def headers(self) -> Headers:
        """The session's cookies, once there is a session."""
        return {"Cookie": self._cookies} if self._cookies else {}

    def renew(self, stale: Headers) -> bool:
        """Log in, unless another thread has meanwhile."""
        with self._lock:
            if self.headers() == stale:
                self._cookies = log_in(self._login)
        return True


def log_in(login: Login) -> str:
    """A new session.

    Returns:
        Its cookies, as a request's header has them.

    Raises:
        Unauthenticated: Name or password is wrong, or this is no login page that we know.
        TemporaryError: The gateway does not answer.
    """
    password = read_secret(login.password_file, "the password")
    jar = CookieJar()
    browser = _Browser(login, jar)
    page = _login_form(browser, browser.open(login.host) or browser.open(urljoin(login.host, _START)))
    landing = browser.open(page, {"login": login.username, "password": password})
    if not landing or _is_login(landing):
        msg = (
            f"{browser.host} refuses user {login.username}; "
            f"correct orchestrator.username or the password in {login.password_file}"
        )
        raise Unauthenticated(msg)
    if landing.endswith("/approval") or "/approval?" in landing:
        browser.open(landing, {"approval": "approve"})
    request = urllib.request.Request(login.host)  # noqa: S310 - the scheme is checked with the configuration
    jar.add_cookie_header(request)
    cookies = request.get_header("Cookie")
    if not cookies:
        msg = f"{browser.host} gives no cookie after the login of {login.username}; is it a Kubeflow gateway with Dex?"
        raise Unauthenticated(msg)
    return str(cookies)


def _login_form(browser: "_Browser", page: str) -> str:
    """From wherever an unknown visitor is sent to the form for name and password."""
    if urlsplit(page).path.endswith("/oauth2/sign_in"):  # oauth2-proxy shows a button first
        page = browser.open(urljoin(page, _START))
    parts = urlsplit(page)
    if parts.path.endswith("/auth"):  # Dex has several ways to log in, and asks which
        page = browser.open(parts._replace(path=f"{parts.path}/{_CONNECTOR}").geturl())
    if not _is_login(page):
        where = urlsplit(page).path or "/"
        msg = f"{browser.host} sends unknown visitors to {where}, not to Dex; correct orchestrator.host or orchestrator.auth"
        raise Unauthenticated(msg)
    return page


def _is_login(page: str) -> bool:
    path = urlsplit(page).path
    return "/auth/" in path or path.endswith("/login")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class _Browser:
    """Opens pages, follows redirects, keeps cookies."""

    def __init__(self, login: Login, jar: CookieJar) -> None:
        self.host = _origin(login.host)
        self._timeout_s = login.timeout_s
        context = ssl.create_default_context(cafile=login.ca_file)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # as the API's own client
            urllib.request.HTTPCookieProcessor(jar),
            urllib.request.HTTPSHandler(context=context),
        )

    def open(self, url: str, form: dict[str, str] | None = None) -> str:
        """Get a page, or send a form to it.

        Returns:
            The address of where that led; empty when the visitor was turned away without a login page.

        Raises:
            TemporaryError: The page does not come.
        """
        data = urlencode(form).encode() if form is not None else None
        try:
            with self._opener.open(url, data, timeout=self._timeout_s) as response:
                response.read(_PAGE_MAX)
                return str(response.url)
        except urllib.error.HTTPError as exc:
            return self._refused(exc)
        except (OSError, HTTPException) as exc:
            msg = f"cannot log in at {self.host}: {exc}"
            raise TemporaryError(msg) from exc

    def _refused(self, error: urllib.error.HTTPError) -> str:
        """Some login pages come as a refusal: that of oauth2-proxy, and that of newer versions of Dex after a wrong password."""
        with error:
            if error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                return str(error.url) if "text/html" in error.headers.get("Content-Type", "") else ""
            where = urlsplit(str(error.url)).path
            msg = f"cannot log in at {self.host}: {where} answers {error.code} {error.reason}"
        raise TemporaryError(msg)
