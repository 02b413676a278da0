"""The commented configuration file that `trainer-daemon init` writes: every key, with its default."""

from collections.abc import Iterator

from trainer_daemon.config import Settings
from trainer_daemon.config_keys import Key, allowed, headers, toml_value

_INTRODUCTION = """\
# Configuration of trainer-daemon. Only `name` and `bucket` of a model are required; every other key is shown with its
# default: remove the `#` before it to change it. Relative paths start at the folder of this file. Every key can be
# overridden by an environment variable: TRAINER_LEDGER, TRAINER_LOG__LEVEL, TRAINER_MODELS__CHURN__PROMOTION__MIN_GAIN.
"""


def template(*, model: str = "churn", bucket: str = "drops") -> str:
    """The text of a `trainer.toml` with one model.

    Args:
        model: Its name.
        bucket: The folder that its drops arrive in.
    """
    required = {"name": model, "bucket": bucket}
    return _INTRODUCTION + "".join(f"{line}\n" for line in _lines(required))


def _lines(required: dict[str, str]) -> Iterator[str]:
    for header in headers(Settings):
        yield ""
        if header.title:
            yield from (f"# {header.section.__doc__}", f"# {header.title}" if header.is_optional else header.title)
        given = {} if header.is_optional else required
        for key in header.keys:
            yield from ("", f"# {key.field.description}{_choice(key)}", _assignment(key, given))


def _choice(key: Key) -> str:
    """What is allowed, unless the default shows it already."""
    words = allowed(key.field)
    return "" if words in {"text", "true or false"} or key.field.is_required() else f" Allowed: {words}."


def _assignment(key: Key, given: dict[str, str]) -> str:
    """A key that must be given is given, or shown by an example where its whole section need not be there."""
    name, field = key.path[-1], key.field
    if name in given and field.is_required():
        return f"{name} = {toml_value(given[name])}"
    value = (field.examples or [""])[0] if field.is_required() else field.get_default()
    return f"# {name} = {toml_value(value)}"
