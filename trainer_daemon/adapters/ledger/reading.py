"""What the reconciler and the sources read from the ledger."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, Select, and_, exists, func, or_, select

from trainer_daemon.adapters.ledger.database import chunks, open_engine, translated
from trainer_daemon.adapters.ledger.rows import drop_of, event_of, run_of
from trainer_daemon.adapters.ledger.tables import baselines, champions, decisions, drops, events, run_drops, runs
from trainer_daemon.policy.events import DatasetVersion, Event
from trainer_daemon.policy.observations import Champion
from trainer_daemon.policy.runs import LIVE, OPEN, Run, RunState


class LedgerReader:
    """The reading half of the ledger; every method is one look, and raises TemporaryError when the database cannot answer."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._reads = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def next_pending(self, model: str) -> Event | None:
        """The oldest event that nobody has acted on yet."""
        query = select(events).where(events.c.model == model, events.c.outcome == "pending").order_by(events.c.sequence).limit(1)
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
        return event_of(row) if row else None

    def live_runs(self, model: str) -> tuple[Run, ...]:
        """Runs that something is still to happen to, by period, then arrival."""
        retryable = and_(runs.c.state == RunState.FAILED.value, runs.c.attempt < runs.c.attempts_max)
        alive = or_(runs.c.state.in_([state.value for state in LIVE]), retryable)
        return self._runs(select(runs).where(runs.c.model == model, alive).order_by(runs.c.period, runs.c.sequence))

    def run(self, key: str) -> Run:
        """The run of a key.

        Raises:
            KeyError: There is none.
        """
        found = self._runs(select(runs).where(runs.c.key == key))
        if not found:
            raise KeyError(key)
        return found[0]

    def find_run(self, key: str) -> Run | None:
        """The run of a key, or None."""
        found = self._runs(select(runs).where(runs.c.key == key))
        return found[0] if found else None

    def runs_for_content(self, model: str, drop: DatasetVersion) -> tuple[Run, ...]:
        """Unforced runs that trained on, or are to train on, these bytes under this URI; newest last."""
        using = select(run_drops.c.run_key).where(run_drops.c.uri == drop.uri, run_drops.c.checksum == drop.checksum)
        forced = select(events.c.id).where(events.c.force)
        query = select(runs).where(runs.c.model == model, runs.c.key.in_(using), runs.c.event_id.not_in(forced))
        return self._runs(query.order_by(runs.c.sequence))

    def open_runs(self, models: Sequence[str]) -> int:
        """How many of these models are occupied by a run."""
        is_open = and_(runs.c.model.in_(models), runs.c.state.in_([state.value for state in OPEN]))
        query = select(func.count()).select_from(runs).where(is_open)
        with self._reading() as connection:
            return connection.execute(query).scalar_one()

    def current(self, model: str, uris: Sequence[str]) -> dict[str, DatasetVersion]:
        """What is there now under each of these URIs."""
        found: dict[str, DatasetVersion] = {}
        with self._reading() as connection:
            for some in chunks(uris):
                rows = connection.execute(select(drops).where(drops.c.model == model, drops.c.uri.in_(some))).mappings()
                found |= {row["uri"]: drop_of(row) for row in rows}
        return found

    def newest_drops(self, model: str, limit: int, *, up_to: str = "9999-99") -> tuple[DatasetVersion, ...]:
        """The current drops of the newest periods, up to a period; not those that were found to be bad."""
        is_bad = exists(_bad(model).where(run_drops.c.uri == drops.c.uri, run_drops.c.checksum == drops.c.checksum))
        query = (
            select(drops)
            .where(drops.c.model == model, drops.c.period <= up_to, ~is_bad)
            .order_by(drops.c.period.desc(), drops.c.uri.desc())
        )
        with self._reading() as connection:
            return tuple(drop_of(row) for row in connection.execute(query.limit(limit)).mappings())

    def bad_drops(self, model: str, uris: Sequence[str]) -> frozenset[tuple[str, str]]:
        """URI and checksum of what was quarantined under these URIs."""
        with self._reading() as connection:
            rows = connection.execute(_bad(model).where(run_drops.c.uri.in_(uris)))
            return frozenset((row.uri, row.checksum) for row in rows)

    def is_correction(self, model: str, drop: DatasetVersion) -> bool:
        """Whether other bytes were under the drop's URI before."""
        other = and_(
            events.c.model == model, events.c.uri == drop.uri, events.c.kind == "drop", events.c.checksum != drop.checksum
        )
        with self._reading() as connection:
            return connection.execute(select(events.c.id).where(other).limit(1)).first() is not None

    def signatures(self, model: str, uris: Sequence[str]) -> dict[str, str]:
        """The signature of what is known to be there under each of these URIs."""
        found: dict[str, str] = {}
        with self._reading() as connection:
            for some in chunks(uris):
                query = select(drops.c.uri, drops.c.signature).where(drops.c.model == model, drops.c.uri.in_(some))
                found |= {uri: signature for uri, signature in connection.execute(query)}  # noqa: C416 - rows are no tuples
        return found

    def baseline(self, model: str) -> datetime | None:
        """When the model's bucket was first listed completely, None before that."""
        with self._reading() as connection:
            return connection.execute(select(baselines.c.at).where(baselines.c.model == model)).scalar()

    def known_champion(self, model: str) -> Champion | None:
        """The champion as the ledger last knew it; version '' for nobody, None before the first look."""
        query = select(champions).where(champions.c.model == model).order_by(champions.c.id.desc()).limit(1)
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return Champion(version=row["version"], run_key=row["run_key"], period=row["period"], schema=row["schema"])

    def last_champion(self, model: str) -> str:
        """The last version that was known as champion, whether or not it still is; empty when none ever was."""
        query = select(champions.c.version).where(champions.c.model == model, champions.c.version != "")
        with self._reading() as connection:
            return str(connection.execute(query.order_by(champions.c.id.desc()).limit(1)).scalar() or "")

    def failed_since(self, moment: datetime) -> int:
        """How many runs have failed for good since then."""
        final = and_(runs.c.state == RunState.FAILED.value, runs.c.attempt >= runs.c.attempts_max, runs.c.updated_at >= moment)
        with self._reading() as connection:
            return connection.execute(select(func.count()).select_from(runs).where(final)).scalar_one()

    def last_change(self) -> tuple[int, int]:
        """Grows whenever another process has recorded an event or asked for a cancellation."""
        newest = select(func.coalesce(func.max(events.c.sequence), 0)).scalar_subquery()
        cancels = select(func.count()).select_from(runs).where(runs.c.ending != "").scalar_subquery()
        with self._reading() as connection:
            row = connection.execute(select(newest, cancels)).one()
        return int(row[0]), int(row[1])

    def _runs(self, query: Select[Any]) -> tuple[Run, ...]:
        """Runs of a query, with their drops and the decision of their present attempt, in three statements."""
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
            keys = [row["key"] for row in rows]
            by_key: dict[str, list[Any]] = {key: [] for key in keys}
            decided: dict[tuple[str, int], Any] = {}
            for some in chunks(keys):
                used = select(run_drops).where(run_drops.c.run_key.in_(some)).order_by(run_drops.c.run_key, run_drops.c.position)
                for drop in connection.execute(used).mappings():
                    by_key[drop["run_key"]].append(drop)
                made = connection.execute(select(decisions).where(decisions.c.run_key.in_(some))).mappings()
                decided |= {(row["run_key"], row["attempt"]): row for row in made}
        return tuple(run_of(row, by_key[row["key"]], decided.get((row["key"], row["attempt"]))) for row in rows)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(), self._reads.connect() as connection:
            yield connection


def _bad(model: str) -> Select[tuple[str, str]]:
    """What quarantined runs were for: the last drop of each, not the rest of its window."""
    later = run_drops.alias()
    is_target = ~exists().where(later.c.run_key == run_drops.c.run_key, later.c.position > run_drops.c.position)
    joined = run_drops.join(runs, runs.c.key == run_drops.c.run_key)
    query = select(run_drops.c.uri, run_drops.c.checksum).select_from(joined)
    return query.where(runs.c.model == model, runs.c.state == RunState.QUARANTINED.value, is_target)
