"""Who may ask: anybody, holders of a valid token, or browsers that logged in at Dex."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response

from tests.emulators.kfp.refusal import refuse_unauthenticated
from tests.emulators.kfp.store import Store

_LOGIN = "/dex/auth/local/login"
_CALLBACK = "/oauth2/callback"
_FORM = """<!DOCTYPE html><html><head><title>dex</title></head><body>{message}
<form method="post" action="{action}"><input name="login" type="text"><input name="password" type="password">
<button type="submit">Login</button></form></body></html>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request, as the gate sees it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def fields(self) -> Mapping[str, str]:
        """The parameters behind the path."""
        return dict(parse_qsl(self.query))


class Gate:
    """Lets requests pass, as the proxy in front of the server does.

    Args:
        store: Where the mode, the tokens and the sessions are.
        new_secret: Makes sessions and codes.
    """

    def __init__(self, store: Store, new_secret: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._store = store
        self._new_secret = new_secret

    def check(self, visit: Visit) -> Response | None:
        """The answer that a request gets instead of being done; None lets it pass.

        Raises:
            RefusedError: It has no valid token.
        """
        mode = self._store.setting("auth", "none")
        if mode == "session":
            return self._dex(visit) or self._check_session(visit)
        if mode == "token":
            self._check_token(visit)
        return None

    def _check_token(self, visit: Visit) -> None:
        scheme, _, token = visit.headers.get("authorization", "").partition(" ")
        if not token:
            refuse_unauthenticated("Request header error: there is no Authorization header")
        if scheme != "Bearer" or token not in self._store.setting("tokens", []):
            refuse_unauthenticated("Review.Status.Error: [invalid bearer token, token has expired]")

    def _check_session(self, visit: Visit) -> Response | None:
        cookie = SimpleCookie(visit.headers.get("cookie", "")).get(self._cookie())
        if cookie is not None and cookie.value in self._store.setting("sessions", []):
            return None
        if self._store.setting("unknown_session", 302) == 401:
            refuse_unauthenticated("Jwt is missing")
        state = quote(visit.path, safe="")
        return RedirectResponse(f"/dex/auth?client_id=kubeflow-oidc-authservice&response_type=code&state={state}", 302)

    def _dex(self, visit: Visit) -> Response | None:
        """The pages that lead to a session."""
        if visit.path == _CALLBACK:
            return self._open_session(visit)
        if visit.path == _LOGIN:
            return self._log_in(visit) if visit.method == "POST" else _form(visit)
        if visit.path in {"/oauth2/start", "/dex/auth", "/dex/auth/local"}:
            query = urlencode({"back": "", "state": visit.fields.get("state", "")})
            return RedirectResponse(f"{_LOGIN}?{query}", 302)
        return None

    def _log_in(self, visit: Visit) -> Response:
        given = dict(parse_qsl(visit.body.decode()))
        password = self._store.setting("users", {"user@example.com": "12341234"}).get(given.get("login", ""))
        if password is None or given.get("password") != password:
            return _form(visit, "Invalid Email Address and password.")
        code = self._new_secret()
        self._store.set("codes", [*self._store.setting("codes", []), code])
        query = urlencode({"code": code, "state": visit.fields.get("state", "")})
        return RedirectResponse(f"{_CALLBACK}?{query}", 303)

    def _open_session(self, visit: Visit) -> Response:
        codes = self._store.setting("codes", [])
        if visit.fields.get("code") not in codes:
            refuse_unauthenticated("the code was not issued by this server")
        session = self._new_secret()
        self._store.set("codes", [each for each in codes if each != visit.fields["code"]])
        self._store.set("sessions", [*self._store.setting("sessions", []), session])
        response = RedirectResponse(visit.fields.get("state") or "/", 302)
        response.set_cookie(self._cookie(), session, path="/", httponly=True)
        return response

    def _cookie(self) -> str:
        return str(self._store.setting("cookie", "authservice_session"))


def _form(visit: Visit, message: str = "") -> Response:
    return HTMLResponse(_FORM.format(message=message, action=f"{_LOGIN}?{visit.query}".replace("&", "&amp;")))
