"""How commands are written into a shell script: conditions, lines of a readable length, quotes. Pure."""

import shlex
from collections.abc import Iterator

from trainer_daemon.policy.gcloud import Command

STORAGE_AGENT, PUBSUB_AGENT = '"serviceAccount:$storage_agent"', '"serviceAccount:$pubsub_agent"'
_QUIET = ">/dev/null"
_SILENT = ">/dev/null 2>&1"
_LINE_LENGTH = 100


def unless(test: Command, command: Command, *, otherwise: Command | None = None) -> Iterator[str]:
    """Run a command unless another succeeds; then `otherwise`, if there is one."""
    yield f"if ! {shlex.join(test)} {_SILENT}; then"
    yield from indented(wrapped(command))
    if otherwise is not None:
        yield "else"
        yield from indented(wrapped(otherwise))
    yield "fi"


def quietly(command: Command) -> Iterator[str]:
    """A command that would print a whole policy."""
    yield from wrapped(command, _QUIET)


def wrapped(command: Command, redirection: str = "") -> Iterator[str]:
    """A command as lines of a readable length; a word in double quotes is left as it is, for the variables in it."""
    words = [*(_word(word) for word in command), *([redirection] if redirection else [])]
    line = words[0]
    for word in words[1:]:
        if len(line) + len(word) > _LINE_LENGTH:
            yield f"{line} \\"
            line = f"   {word}"
        else:
            line = f"{line} {word}"
    yield line


def _word(word: str) -> str:
    for variable in (STORAGE_AGENT, PUBSUB_AGENT):
        if word.endswith(variable):
            return word
    return shlex.quote(word)


def indented(lines: Iterator[str]) -> Iterator[str]:
    """Inside a condition."""
    return (f"  {line}" for line in lines)


def distinct(names: Iterator[str]) -> list[str]:
    """Each once, in the order of the first."""
    return list(dict.fromkeys(names))
