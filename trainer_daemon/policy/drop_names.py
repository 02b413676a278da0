"""Whether what lies in a bucket is named as the configuration says, and what it may have meant. Pure."""

import re
from collections import Counter
from collections.abc import Sequence

from trainer_daemon.policy.checks import Finding, failed, ok, warning
from trainer_daemon.policy.events import is_misnamed_data, looks_like_drop, parse_period
from trainer_daemon.policy.objects import printable

_MONTH = re.compile(r"(?<![0-9])[0-9]{4}[-_]?(?:0[1-9]|1[0-2])(?![0-9])")
_PACKED = re.compile(r"\.(?:csv\.gz|tar\.gz|tgz)$")


def judge_names(names: Sequence[str], template: str, *, where: str, is_complete: bool = True) -> Finding:
    """Whether the drops in a bucket can be told by their names.

    Args:
        names: Of what lies directly there.
        template: `drops`, as configured.
        where: The place as people name it.
        is_complete: Whether these are all names.
    """
    drops = [name for name in names if parse_period(name, template)]
    monthless = [name for name in names if looks_like_drop(name, template)]
    others = [name for name in names if is_misnamed_data(name) and name not in {*drops, *monthless}]
    if drops and not monthless:
        return ok(_count(drops, template, is_complete=is_complete) + _besides(others))
    if monthless:
        found = f"{_count(drops, template, is_complete=is_complete)}, and {_some(monthless)}, which has no possible month"
        return warning(found, "rename it: months are 01 to 12")
    if others:
        found = f"none of the {len(others)} data files in {where} is named like {template}, as {_some(others)}"
        return failed(found, _suggestion(others))
    what = "nothing is" if not names else "nothing that is named like data is"
    return warning(f"{what} in {where} yet", f"upload a drop named like {template.format(period='2025_03')}, or correct `bucket`")


def _count(drops: Sequence[str], template: str, *, is_complete: bool) -> str:
    if not drops:
        return "0 drops"
    newest = max(parse_period(name, template) or "" for name in drops)
    many = f"{len(drops)} drop{'s' if len(drops) > 1 else ''}"
    return f"{many if is_complete else f'at least {many}'}, the newest of {newest}"


def _besides(others: Sequence[str]) -> str:
    if not others:
        return ""
    verb = "files are" if len(others) > 1 else "file is"
    return f"; {len(others)} data {verb} named otherwise and ignored, as {_some(others)}"


def _some(names: Sequence[str]) -> str:
    return printable(min(names))


def _suggestion(names: Sequence[str]) -> str:
    """The template that most of the names follow, if they have a month in them."""
    candidates = [_PACKED.sub(".csv", _MONTH.sub("{period}", name, count=1)) for name in names if "{" not in name]
    guesses = Counter(guess for guess in candidates if guess.count("{period}") == 1)
    if not guesses:
        return "set `drops` to how the files are named, with {period} where the month is, or rename the files"
    (guess, _), *_ = guesses.most_common(1)
    return f'if these are the drops, set drops = "{printable(guess)}"'
