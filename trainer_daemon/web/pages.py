"""The pages for people: what is asked of the ledger, read-only, and which template shows it. Nothing here can change anything."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from trainer_daemon.adapters.ledger.history import History
from trainer_daemon.commands.opening import Session, reading
from trainer_daemon.commands.run_progress import last_words
from trainer_daemon.errors import TemporaryError, TrainerError
from trainer_daemon.policy.runs import Run, RunState
from trainer_daemon.telemetry.redaction import redacted
from trainer_daemon.telemetry.vitals import Phase, Vitals
from trainer_daemon.web.browsing import Page
from trainer_daemon.web.following import follow_drop, follow_run
from trainer_daemon.web.rendering import Place, Renderer
from trainer_daemon.web.standing import read_arrivals, read_champions, read_standing
from trainer_daemon.web.stories import story_of_drop, story_of_run

ROWS = 50
"""Of a page of a long list."""
REFRESH_S = 20
KEY_DIGITS = 12
"""So many of a run's key are in its name; fewer are not taken for a key."""
_NUMBER_DIGITS_MAX = 18


class NoSuchPageError(Exception):
    """There is nothing at this address; one sentence says what was looked for."""


class Pages:
    """Everything that can be looked at; each page is one look.

    Args:
        session: Settings, and how commands are written where they are copied to.
        vitals: What makes progress, what can be reached and what runs are at.
        clock: Now, in UTC.
    """

    def __init__(self, session: Session, vitals: Vitals, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._vitals = vitals
        self._clock = clock
        self._renderer = Renderer()

    def get(self, path: str, query: Mapping[str, str]) -> Page:
        """The page at an address; what cannot be shown is said by a page, too."""
        wanted = {name: value for name, value in query.items() if name != "refresh"}
        place = Place(path=path, query=wanted, refreshing=query.get("refresh") != "off")
        try:
            with self._history() as history:
                return self._page(place, history)
        except NoSuchPageError as exc:
            return self._render("sorry.html", place, HTTPStatus.NOT_FOUND, title="There is nothing here", sentence=str(exc))
        except TrainerError as exc:
            said = redacted(str(exc))
            return self._render(
                "sorry.html", place, HTTPStatus.SERVICE_UNAVAILABLE, title="The ledger cannot be read", sentence=said
            )

    @contextmanager
    def _history(self) -> Iterator[History]:
        with reading(self._session) as history:
            if history is None:
                msg = "The daemon has not made it yet."
                raise TemporaryError(msg)
            yield history

    def _page(self, place: Place, history: History) -> Page:
        match place.path.strip("/").split("/"):
            case ["runs"]:
                return self._runs(place, history)
            case ["runs", word]:
                return self._run(place, history, word)
            case ["drops"]:
                return self._drops(place, history)
            case ["drops", word]:
                return self._drop(place, history, word)
            case ["champions"]:
                return self._champions(place, history)
            case _:
                return self._overview(place, history)

    def _overview(self, place: Place, history: History) -> Page:
        settings = self._session.settings
        standings = [(read_standing(history, model.name, model.promotion.metric), model.promotion) for model in settings.models]
        return self._render("overview.html", place, standings=standings)

    def _runs(self, place: Place, history: History) -> Page:
        model, state = self._model(place), _state(place.query.get("state", ""))
        states = (state,) if state else tuple(RunState)
        found = history.newest_runs(model, ROWS + 1, states=states, before=_number(place.query.get("before", "")))
        counts, has_more = history.count_runs(model), len(found) > ROWS
        return self._render("runs.html", place, model=model, state=state, counts=counts, runs=found[:ROWS], has_more=has_more)

    def _run(self, place: Place, history: History, word: str) -> Page:
        run = self._find(history, word)
        told = story_of_run(run, self._session, history)
        return self._render("run.html", place, run=run, story=told, follow=follow_run(run))

    def _find(self, history: History, word: str) -> Run:
        """The run of a key, or of a name as log lines have it."""
        *_, digits, attempt = ["", "", *word.split("-")]
        prefix = digits if attempt.isdecimal() and len(digits) == KEY_DIGITS else word
        found = history.runs_like(prefix) if len(prefix) >= KEY_DIGITS else ()
        configured = [run for run in found if run.model in self._models]
        if len(configured) != 1:
            msg = f"No run has the key or the name {word}."
            raise NoSuchPageError(msg)
        return configured[0]

    def _drops(self, place: Place, history: History) -> Page:
        model = self._model(place)
        found = read_arrivals(history, model, ROWS + 1, before=_number(place.query.get("before", "")))
        return self._render("drops.html", place, model=model, arrivals=found[:ROWS], has_more=len(found) > ROWS)

    def _drop(self, place: Place, history: History, word: str) -> Page:
        number = _number(word)
        happening = history.happening(number) if number is not None else None
        if happening is None or happening.event.model not in self._models:
            msg = f"Nothing arrived as number {word}."
            raise NoSuchPageError(msg)
        told = story_of_drop(happening, self._session, history)
        follow = follow_drop(happening.subject) if happening.subject else None
        return self._render("drop.html", place, happening=happening, story=told, follow=follow)

    def _champions(self, place: Place, history: History) -> Page:
        model, skip = self._model(place), _number(place.query.get("skip", "")) or 0
        promotion = self._session.model(model).promotion
        champions = read_champions(history, model, promotion.metric, skip=skip)
        return self._render("champions.html", place, model=model, champions=champions, promotion=promotion, skip=skip)

    def _model(self, place: Place) -> str:
        """The model that is asked for, or the first one."""
        model = place.query.get("model", self._models[0])
        if model not in self._models:
            msg = f"There is no model {model}; there is {', '.join(self._models)}."
            raise NoSuchPageError(msg)
        return model

    @property
    def _models(self) -> tuple[str, ...]:
        return self._session.models(None)

    def _render(self, template: str, place: Place, status: HTTPStatus = HTTPStatus.OK, **values: object) -> Page:
        refresh_s = REFRESH_S if place.refreshing else None
        html = self._renderer.render(template, place=place, refresh_s=refresh_s, **self._frame(), **values)
        return Page(html=html, status=status, refresh_s=refresh_s)

    def _frame(self) -> dict[str, Any]:
        """What every page may show."""
        problems = {name: said for name, said in self._vitals.problems().items() if said}
        late = {name: seconds for name, seconds in self._vitals.lateness().items() if seconds}
        return {
            "now": self._clock(),
            "session": self._session,
            "environment": self._session.settings.environment,
            "version": version("trainer-daemon"),
            "pid": os.getpid(),
            "phase": self._vitals.phase,
            "is_running": self._vitals.phase is Phase.RUNNING,
            "problems": problems,
            "late": late,
            "live": self._vitals.live_runs.get,
            "last_words": self._last_words,
            "version_link": self._session.settings.mlflow.version_link,
        }

    def _last_words(self, run: Run) -> str:
        """What the step of a run on this machine said last."""
        is_local = self._session.settings.orchestrator.kind == "local"
        return redacted(last_words(self._session.log_of(run.name))) if is_local else ""


def _number(text: str) -> int | None:
    """A number that a database can hold; None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= _NUMBER_DIGITS_MAX else None


def _state(text: str) -> RunState | None:
    try:
        return RunState(text) if text else None
    except ValueError:
        msg = f"{text} is no state of a run."
        raise NoSuchPageError(msg) from None
