"""`doctor`: check everything that the daemon needs, and say for each thing that is wrong what would put it right."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trainer_daemon.commands.opening import now, open_session
from trainer_daemon.doctor.examination import Wanted, probes_of
from trainer_daemon.policy.checks import Check, Status
from trainer_daemon.probing import Probe, examine


def doctor(*, config: Path, model: str | None, as_json: bool, hello_s: float | None, notify: bool = False) -> bool:
    """Check and print.

    Args:
        config: The configuration file.
        model: Only what concerns this model, and all of them; None for every model.
        as_json: For programs instead of people.
        hello_s: How long the pipeline `hello` may take; None when it is not to be run.
        notify: Send a test to every endpoint.

    Returns:
        Whether nothing failed.

    Raises:
        ConfigError: The configuration is wrong.
    """
    session = open_session(config)
    wanted = Wanted(config=config, settings=session.settings, models=session.models(model), hello_s=hello_s, notify=notify)
    with ExitStack() as resources, _progress() as tell:
        checks = tuple(examine(probes_of(wanted, resources, now), on_begin=tell))
    if as_json:
        print(json.dumps(document(checks), ensure_ascii=False, indent=2))  # noqa: T201 - the answer
    else:
        from trainer_daemon.commands.doctor_table import show

        show(checks)
    return not any(check.status is Status.FAILED for check in checks)


def document(checks: Sequence[Check]) -> dict[str, Any]:
    """The JSON of `doctor --json`; its shape is a contract."""
    return {"ok": not any(check.status is Status.FAILED for check in checks), "checks": [_check(check) for check in checks]}


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "model": check.model or None,
        "status": check.status.value,
        "found": check.found,
        "fix": check.fix or None,
        "seconds": check.seconds,
    }


class _Teller:
    """Says what is being checked, where somebody watches."""

    def __init__(self, status: Any) -> None:  # noqa: ANN401 - rich's, which is not imported when nobody watches
        self._status = status

    def __call__(self, probe: Probe) -> None:
        if self._status is not None:
            self._status.update(f"checking {probe.title}")


@contextmanager
def _progress() -> Iterator[_Teller]:
    """A line on standard error that lives as long as the checks, if that is a terminal."""
    if not sys.stderr.isatty():
        yield _Teller(None)
        return
    from rich.console import Console

    with Console(stderr=True, markup=False).status("checking") as status:
        yield _Teller(status)
