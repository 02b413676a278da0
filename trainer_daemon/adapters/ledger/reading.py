"""What the reconciler and the sources read from the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, RowMapping, Select

from trainer_daemon.adapters.ledger import queries
from trainer_daemon.adapters.ledger.database import chunks, open_engine, reading_engine, translated
from trainer_daemon.adapters.ledger.intervening import intervention_of
from trainer_daemon.adapters.ledger.rows import Judged, drop_of, event_of, judged_of, run_of
from trainer_daemon.policy.events import DatasetVersion, Event
from trainer_daemon.policy.interventions import Intervention
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.runs import Run, RunState

_JUDGED_MAX = 500
_UNDECIDED = frozenset({RunState.QUEUED.value, RunState.RUNNING.value})
"""States in which there is no decision on the present attempt."""


class LedgerReader:
    """The reading half of the ledger; every method is one look, and raises TemporaryError when the database cannot answer."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._reads = reading_engine(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._reads.dispose()
        self._engine.dispose()

    def next_pending(self, model: str) -> Event | None:
        """The oldest event that nobody has acted on yet."""
        row = self._first(queries.NEXT_PENDING, model=model)
        return event_of(row) if row else None

    def next_intervention(self, model: str) -> Intervention | None:
        """The oldest of what people asked for and nobody has acted on yet."""
        row = self._first(queries.NEXT_INTERVENTION, model=model)
        return intervention_of(row) if row else None

    def live_runs(self, model: str) -> tuple[Run, ...]:
        """Runs that something is still to happen to, by period, then arrival."""
        return self._runs(queries.LIVE_RUNS, model=model)

    def run(self, key: str) -> Run:
        """The run of a key.

        Raises:
            KeyError: There is none.
        """
        if (found := self.find_run(key)) is None:
            raise KeyError(key)
        return found

    def find_run(self, key: str) -> Run | None:
        """The run of a key, or None."""
        found = self._runs(queries.RUN, key=key)
        return found[0] if found else None

    def run_of_version(self, model: str, version: str) -> Run | None:
        """The run that registered a version, or None when none of this ledger did."""
        found = self._runs(queries.RUNS_OF_VERSIONS, model=model, versions=[version]) if version else ()
        return found[0] if found else None

    def runs_for_content(self, model: str, drop: DatasetVersion) -> tuple[Run, ...]:
        """Unforced runs that trained on, or are to train on, these bytes under this URI; newest last."""
        return self._runs(queries.RUNS_FOR_CONTENT, model=model, uri=drop.uri, checksum=drop.checksum)

    def occupied(self, models: Sequence[str]) -> int:
        """How many of these models are occupied by a run that is open, or that somebody is submitting."""
        return int(self._scalar(queries.OCCUPIED, models=list(models))) if models else 0

    def current(self, model: str, uris: Sequence[str]) -> dict[str, DatasetVersion]:
        """What is there now under each of these URIs."""
        with self._reading() as connection:
            pages = [connection.execute(queries.CURRENT, {"model": model, "uris": some}).mappings() for some in chunks(uris)]
            return {row["uri"]: drop_of(row) for page in pages for row in page}

    def newest_drops(self, model: str, limit: int, *, up_to: str = "9999-99") -> tuple[DatasetVersion, ...]:
        """The current drops of the newest periods, up to a period; not those that were found to be bad."""
        with self._reading() as connection:
            rows = connection.execute(queries.NEWEST_DROPS, {"model": model, "limit": limit, "up_to": up_to})
            return tuple(drop_of(row) for row in rows.mappings())

    def bad_drops(self, model: str, uris: Sequence[str]) -> frozenset[tuple[str, str]]:
        """URI and checksum of what was found to be bad under these URIs."""
        with self._reading() as connection:
            rows = connection.execute(queries.BAD_DROPS, {"model": model, "uris": list(uris)})
            return frozenset((uri, checksum) for uri, checksum in rows)

    def is_correction(self, model: str, drop: DatasetVersion) -> bool:
        """Whether other bytes were under the drop's URI before."""
        return self._first(queries.OTHER_BYTES, model=model, uri=drop.uri, checksum=drop.checksum) is not None

    def signatures(self, model: str, uris: Sequence[str]) -> dict[str, str]:
        """The signature of what is known to be there under each of these URIs."""
        with self._reading() as connection:
            pages = [connection.execute(queries.SIGNATURES, {"model": model, "uris": some}) for some in chunks(uris)]
            return {uri: signature for page in pages for uri, signature in page}

    def announced(self, event_ids: Sequence[str]) -> frozenset[str]:
        """Those of these events that a notification has told of, whichever daemon received it."""
        with self._reading() as connection:
            return ids_of(connection, queries.ANNOUNCED_EVENTS, event_ids)

    def baseline(self, model: str) -> datetime | None:
        """When the model's bucket was first listed completely, None before that."""
        at: datetime | None = self._scalar(queries.BASELINE, model=model)
        return at

    def known_champion(self, model: str) -> Champion | None:
        """The champion as the ledger last knew it; version '' for nobody, None before the first look."""
        row = self._first(queries.KNOWN_CHAMPION, model=model)
        if row is None:
            return None
        return Champion(version=row["version"], run_key=row["run_key"], period=row["period"], schema=row["schema"])

    def last_champion(self, model: str) -> str:
        """The last version that was known as champion, whether or not it still is; empty when none ever was."""
        row = self._first(queries.LAST_CHAMPION, model=model)
        return row["version"] if row else ""

    def judged(self, model: str) -> tuple[Judged, ...]:
        """The runs of a model that were judged, each by its last decision, newest first; of very many the newest."""
        with self._reading() as connection:
            rows = connection.execute(queries.JUDGED, {"model": model, "limit": _JUDGED_MAX}).mappings().all()
        newest = {row["key"]: row for row in reversed(rows)}
        return tuple(sorted(map(judged_of, newest.values()), key=lambda each: each.at, reverse=True))

    def evaluation(self, run_key: str, attempt: int) -> Mapping[str, Any]:
        """`evaluation.json` as an attempt was judged by it; empty when it was not judged."""
        return self._scalar(queries.EVALUATION, key=run_key, attempt=attempt) or {}

    def failed_since(self, moment: datetime) -> int:
        """How many runs have failed for good since then."""
        return int(self._scalar(queries.FAILED_SINCE, moment=moment))

    def last_change(self) -> tuple[int, ...]:
        """Differs whenever another process has recorded an event, asked for a cancellation or a champion, or answered."""
        with self._reading() as connection:
            row = connection.execute(queries.LAST_CHANGE).one()
        return tuple(map(int, row))

    def _first(self, query: Select[Any], **values: object) -> RowMapping | None:
        with self._reading() as connection:
            return connection.execute(query, values).mappings().first()

    def _scalar(self, query: Select[Any], **values: object) -> Any:  # noqa: ANN401 - whatever the one column holds
        with self._reading() as connection:
            return connection.execute(query, values).scalar()

    def _runs(self, query: Select[Any], **values: object) -> tuple[Run, ...]:
        with self._reading() as connection:
            return read_runs(connection, query, **values)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(), self._reads.connect() as connection:
            yield connection


def ids_of(connection: Connection, query: Select[Any], event_ids: Sequence[str]) -> frozenset[str]:
    """Those of these events that a query finds."""
    return frozenset(found for some in chunks(event_ids) for found in connection.execute(query, {"keys": some}).scalars())


def read_runs(connection: Connection, query: Select[Any], **values: object) -> tuple[Run, ...]:
    """Runs of a query, with their drops and what was decided about their present attempt, in one to four statements."""
    rows = connection.execute(query, values).mappings().all()
    if not rows:
        return ()
    keys = [row["key"] for row in rows]
    by_key: dict[str, list[Any]] = {key: [] for key in keys}
    decided: dict[tuple[str, int], Any] = {}
    answered: dict[tuple[str, int], Any] = {}
    for some in chunks(keys):
        for drop in connection.execute(queries.DROPS_OF_RUNS, {"keys": some}).mappings():
            by_key[drop["run_key"]].append(drop)
    for some in chunks([row["key"] for row in rows if row["state"] not in _UNDECIDED]):
        made = connection.execute(queries.DECISIONS_OF_RUNS, {"keys": some}).mappings()
        decided |= {(row["run_key"], row["attempt"]): row for row in made}
    for some in chunks([row["key"] for row in rows if row["state"] == RunState.AWAITING_APPROVAL.value]):
        said = connection.execute(queries.ANSWERS_TO_RUNS, {"keys": some}).mappings()
        answered |= {(row["run_key"], row["attempt"]): row for row in said}
    present = [(row, (row["key"], row["attempt"])) for row in rows]
    return tuple(run_of(row, by_key[row["key"]], decided.get(at), answered.get(at)) for row, at in present)
