"""The ledger's tables. Guarantees live here where they can: what must not happen twice is a key or a unique index."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC on every database; SQLite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Store UTC."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def ordered(kind: String) -> TypeEngine[str]:
    """A text that is sorted, or compared by more than equality: by its bytes on every database, in any of its locales."""
    return kind.with_variant(type(kind)(kind.length, collation="C"), "postgresql")


events = Table(
    "event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("source", String(16), nullable=False),
    Column("uri", Text, nullable=False, server_default=""),
    Column("generation", Text, nullable=False, server_default=""),
    Column("checksum", Text, nullable=False, server_default=""),
    Column("period", String(7), nullable=False, server_default=""),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("signature", Text, nullable=False, server_default=""),
    Column("force", Boolean, nullable=False, server_default=text("false")),
    Column("by", Text, nullable=False, server_default=""),
    Column("skip", Text, nullable=False, server_default=""),
    Column("announced", Boolean, nullable=False, server_default=text("false")),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("outcome", String(16), nullable=False, server_default="pending"),
    Column("why", Text, nullable=False, server_default=""),
    Column("run_key", Text, nullable=False, server_default=""),
    Index(
        "ix_event_pending",
        "model",
        "sequence",
        sqlite_where=text("outcome = 'pending'"),
        postgresql_where=text("outcome = 'pending'"),
    ),
    Index("ix_event_drop", "model", "uri"),
)
"""Everything that was received, once per id; `outcome` is `pending` until the reconciler has acted on it.

`announced` is set when a notification has told of it, be it after a listing.
"""

drops = Table(
    "current_drop",
    metadata,
    Column("model", Text, primary_key=True),
    Column("uri", ordered(Text()), primary_key=True),
    Column("generation", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("period", ordered(String(7)), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("signature", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_current_drop_period", "model", "period"),
)
"""The newest known version of each object; `position` orders the versions of one object."""

runs = Table(
    "run",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("period", ordered(String(7)), nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempts_max", Integer, nullable=False),
    Column("ready_at", UtcDateTime, nullable=False),
    Column("event_id", Text, ForeignKey("event.id"), nullable=False),
    Column("orchestrator_run", Text, nullable=False, server_default=""),
    Column("model_version", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("ending", String(20), nullable=False, server_default=""),
    Column("ending_reason", Text, nullable=False, server_default=""),
    Column("champion_version", Text, nullable=False, server_default=""),
    Column("has_slot", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("ix_run_backlog", "model", "state", "period", "sequence"),
    Index("ix_run_slot", "model", sqlite_where=text("has_slot"), postgresql_where=text("has_slot")),
    Index(
        "uq_run_open",
        "model",
        unique=True,
        sqlite_where=text("state IN ('RUNNING', 'TRAINED')"),
        postgresql_where=text("state IN ('RUNNING', 'TRAINED')"),
    ),
)
"""One row per run key; the partial unique index allows one open run per model.

`has_slot` is set before a run is submitted, when there is room for one more, and cleared by its next move: it counts meanwhile.
"""

run_drops = Table(
    "run_drop",
    metadata,
    Column("run_key", String(64), ForeignKey("run.key"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("generation", Text, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("period", String(7), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Index("ix_run_drop_content", "uri", "checksum"),
)
"""What a run trains on, oldest first."""

transitions = Table(
    "transition",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run_key", String(64), ForeignKey("run.key"), nullable=False, index=True),
    Column("from_state", String(20), nullable=False),
    Column("to_state", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""Who moved a run from where to where, why and when; append-only, triggers refuse changes."""

decisions = Table(
    "decision",
    metadata,
    Column("run_key", String(64), ForeignKey("run.key"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("candidate_version", Text, nullable=False),
    Column("champion_version", Text, nullable=False),
    Column("rules", JSON, nullable=False),
    Column("evaluation", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""Promote or reject, with every rule's outcome and the evidence; one per attempt of a run."""

answers = Table(
    "answer",
    metadata,
    Column("run_key", String(64), ForeignKey("run.key"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("approved", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""What a person said to a promotion that waits for approval; one per attempt of a run, and nobody revokes it."""

interventions = Table(
    "intervention",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("version", Text, nullable=False),
    Column("replaces", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("outcome", String(16), nullable=False, server_default="pending"),
    Column("why", Text, nullable=False, server_default=""),
    Column("closed_at", UtcDateTime, nullable=True),
    Index("ix_intervention_model", "model", "outcome", "id"),
)
"""What people asked for about the champion, in their order; `outcome` is `pending` until the reconciler has acted on it."""

champions = Table(
    "champion",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False, index=True),
    Column("version", Text, nullable=False),
    Column("run_key", Text, nullable=False, server_default=""),
    Column("period", String(7), nullable=False, server_default=""),
    Column("schema", JSON, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""Who was champion since when; the last row of a model is what the ledger knows. Version '' means nobody."""

baselines = Table(
    "baseline",
    metadata,
    Column("model", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("listed", Integer, nullable=False),
)
"""Models whose bucket has been listed once: `start_from` counts only before that."""

leases = Table(
    "lease",
    metadata,
    Column("model", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires_at", Double, nullable=False),
)
"""Who may act for a model: nobody when `holder` is empty. `token` only grows; `expires_at` is in the database's own seconds."""
outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("endpoint", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("model", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("data", JSON, nullable=False),
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("error", Text, nullable=False, server_default=""),
    UniqueConstraint("endpoint", "notice"),
    Index(
        "ix_outbox_waiting",
        "endpoint",
        "model",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)
"""What is to be told to whom, written with what it tells of; `state` is `waiting`, `delivered` or `refused`. Whoever delivers a
row moves `due_at` first, so that nobody else does meanwhile."""
