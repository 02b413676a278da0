"""First version of the ledger: events, current drops, runs, transitions, decisions, champions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _create_champion_tables()
    _create_event_tables()
    _create_run_tables()
    _create_history_tables()
    if op.get_bind().dialect.name == "sqlite":
        _refuse_changes_of_history()


def _refuse_changes_of_history() -> None:
    """Transitions are append-only; the database says so, whoever asks."""
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER transition_no_{verb.lower()} BEFORE {verb} ON transition "
            "BEGIN SELECT RAISE(ABORT, 'transitions are append-only'); END"
        )


def _create_champion_tables() -> None:
    op.create_table(
        "baseline",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("listed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_baseline")),
    )
    op.create_table(
        "champion",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), server_default="", nullable=False),
        sa.Column("period", sa.String(length=7), server_default="", nullable=False),
        sa.Column("schema", sa.JSON(), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_champion")),
    )
    op.create_index("ix_champion_model", "champion", ["model"])


def _create_event_tables() -> None:
    op.create_table(
        "current_drop",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "uri", name=op.f("pk_current_drop")),
    )
    op.create_index("ix_current_drop_period", "current_drop", ["model", "period"])

    op.create_table(
        "event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("uri", sa.Text(), server_default="", nullable=False),
        sa.Column("generation", sa.Text(), server_default="", nullable=False),
        sa.Column("checksum", sa.Text(), server_default="", nullable=False),
        sa.Column("period", sa.String(length=7), server_default="", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("signature", sa.Text(), server_default="", nullable=False),
        sa.Column("force", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("skip", sa.Text(), server_default="", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("run_key", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("sequence", name=op.f("uq_event_sequence")),
    )
    op.create_index("ix_event_drop", "event", ["model", "uri"])
    op.create_index(
        "ix_event_pending",
        "event",
        ["model", "sequence"],
        sqlite_where=sa.text("outcome = 'pending'"),
        postgresql_where=sa.text("outcome = 'pending'"),
    )


def _create_run_tables() -> None:
    op.create_table(
        "run",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_max", sa.Integer(), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("orchestrator_run", sa.Text(), server_default="", nullable=False),
        sa.Column("model_version", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("ending", sa.String(length=20), server_default="", nullable=False),
        sa.Column("ending_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("champion_version", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_run_event_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_run")),
        sa.UniqueConstraint("sequence", name=op.f("uq_run_sequence")),
    )
    op.create_index("ix_run_backlog", "run", ["model", "state", "period", "sequence"])
    op.create_index(
        "uq_run_open",
        "run",
        ["model"],
        unique=True,
        sqlite_where=sa.text("state IN ('RUNNING', 'TRAINED')"),
        postgresql_where=sa.text("state IN ('RUNNING', 'TRAINED')"),
    )

    op.create_table(
        "run_drop",
        sa.Column("run_key", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_run_drop_run_key")),
        sa.PrimaryKeyConstraint("run_key", "position", name=op.f("pk_run_drop")),
    )
    op.create_index("ix_run_drop_content", "run_drop", ["uri", "checksum"])


def _create_history_tables() -> None:
    op.create_table(
        "decision",
        sa.Column("run_key", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("candidate_version", sa.Text(), nullable=False),
        sa.Column("champion_version", sa.Text(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("evaluation", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_decision_run_key")),
        sa.PrimaryKeyConstraint("run_key", "attempt", name=op.f("pk_decision")),
    )
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_key", sa.String(length=64), nullable=False),
        sa.Column("from_state", sa.String(length=20), nullable=False),
        sa.Column("to_state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_key"], ["run.key"], name=op.f("fk_transition_run_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transition")),
    )
    op.create_index("ix_transition_run_key", "transition", ["run_key"])
