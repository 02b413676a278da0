"""Files and objects that a person names on the command line: their URIs, and what is there now."""

from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import typer

from trainer_daemon.adapters.folder import find_file
from trainer_daemon.policy.events import DatasetVersion


def as_uri(word: str, option: str) -> str:
    """The URI of a path or a URI; paths start at the working directory.

    Args:
        word: What was said.
        option: For the sentence when it is wrong.

    Raises:
        typer.BadParameter: It is of another kind.
    """
    scheme, separator, rest = word.partition("://")
    if not separator:
        return Path(word).expanduser().absolute().as_uri() + ("/" if word.endswith("/") else "")
    if scheme == "gs" and all(rest.partition("/")[::2]):
        return word
    if scheme == "file" and rest.startswith("/"):
        return Path(unquote(rest)).as_uri() + ("/" if rest.endswith("/") else "")
    msg = f"{word!r} is no place that can be used; it must be a path, file:///… or gs://bucket/…"
    raise typer.BadParameter(msg, param_hint=option)


def find(uri: str) -> DatasetVersion | None:
    """What is at a URI now, without a period; None when nothing is.

    Args:
        uri: Of a file or an object, which may name its `#generation`.

    Raises:
        ConfigError: There are no credentials of Google Cloud.
        InvalidEvent: The object has no checksum.
        TemporaryError: It cannot be looked at.
        PermanentError: It may not be looked at.
    """
    if not uri.startswith("gs://"):
        return find_file(Path(unquote(urlsplit(uri).path)))
    from trainer_daemon.adapters.gcs import find_object, open_client

    name, _, generation = uri.partition("#")
    with closing(open_client()) as client:
        found = find_object(client, name, generation) if generation.isdigit() else find_object(client, uri)
    return found.drop("") if found else None


def checksum_of(uri: str) -> str | None:
    """The checksum of what is at a URI now; None when nothing is."""
    found = find(uri)
    return found.checksum if found else None
