"""Who else can write the registry, as far as it can be told from outside: what a server lets anybody do, who may write a file."""

import base64
import grp
import json
import os
import pwd
import ssl
import stat
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from trainer_daemon.errors import TemporaryError
from trainer_daemon.policy.checks import Finding, ok, warning
from trainer_daemon.telemetry.redaction import redacted

_TIMEOUT_S = 10.0
_WRITE = "/api/2.0/mlflow/registered-models/set-tag"
_NOTHING = {"name": "trainer-doctor-no-such-model", "key": "trainer.doctor", "value": ""}
"""A write that changes nothing: where it is allowed it fails for want of such a model, where it is not it gets no further."""
_NOBODY = base64.b64encode(os.urandom(9)).decode()
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})
_ATTEMPTS: Mapping[str, Mapping[str, str]] = {
    "without credentials": {},
    "with credentials that nobody has issued": {"Authorization": f"Basic {_NOBODY}"},
}
_FIX = (
    "have MLflow ask for credentials (mlflow server --app-name basic-auth, or a proxy before it), or let a network policy admit "
    "the daemon and the runs only"
)


def judge_server(url: str) -> Finding:
    """Whether a server takes a write from somebody whom it does not know.

    Args:
        url: Of the tracking server; credentials in it are not used.

    Raises:
        TemporaryError: It does not answer.
    """
    where = redacted(url)
    for how, headers in _ATTEMPTS.items():
        status = _try(url, headers)
        if status not in _REFUSED and not _is_redirect(status):
            return warning(f"{where} takes writes {how}: whoever reaches it can move alias champion", _FIX)
    return ok(f"{where} refuses writes without credentials, and with wrong ones; who else has right ones is not known here")


def _is_redirect(status: int) -> bool:
    """To a login page."""
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow none."""


def _try(url: str, headers: Mapping[str, str]) -> int:
    """The status that a write is answered with."""
    scheme, _, rest = url.partition("://")
    address = f"{scheme}://{rest.rpartition('@')[2].rstrip('/')}{_WRITE}"
    ca_file = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or os.environ.get("REQUESTS_CA_BUNDLE")
    opener = build_opener(_NoRedirect, HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
    request = Request(address, json.dumps(_NOTHING).encode(), {"Content-Type": "application/json", **headers})  # noqa: S310 - the scheme was checked with the configuration
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return int(answer.status)
    except HTTPError as exc:
        with exc:
            return exc.code
    except (OSError, HTTPException) as exc:
        msg = f"{redacted(url)} does not answer a write without credentials: {exc}"
        raise TemporaryError(msg) from exc


def judge_file(path: Path) -> Finding:
    """Whether anybody but its owner can write a database in a file, or put another one in its place."""
    found = [f"{place} can be written by {who}" for place in (path, path.parent) for who in _writers(place)]
    if found:
        return warning(f"{', '.join(found)}: they can move alias champion", f"chmod go-w {path} {path.parent}")
    return ok(f"only {_user(path.stat().st_uid)} can write {path}")


def _writers(place: Path) -> Iterator[str]:
    """Who else; in a folder with the sticky bit nobody can replace the files of another."""
    status = place.stat()
    if place.is_dir() and status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & stat.S_IWOTH:
        yield "everybody"
    elif status.st_mode & stat.S_IWGRP and _has_others(status.st_gid, status.st_uid):
        yield f"group {_group(status.st_gid)}"


def _has_others(gid: int, uid: int) -> bool:
    """Whether somebody else is in a group; on many systems every user has one of its own."""
    primary = any(entry.pw_gid == gid and entry.pw_uid != uid for entry in pwd.getpwall())
    try:
        return primary or bool(set(grp.getgrgid(gid).gr_mem) - {_user(uid)})
    except KeyError:
        return True


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
