"""Leases and slots, for several daemons; on PostgreSQL, texts sorted by their bytes and a history that only grows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add table and column; no row changes."""
    _create_leases()
    _add_slots()
    if op.get_bind().dialect.name == "postgresql":
        _sort_by_bytes()
        _refuse_changes_of_history()


def _create_leases() -> None:
    op.create_table(
        "lease",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_lease")),
    )


def _add_slots() -> None:
    op.add_column("run", sa.Column("has_slot", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_run_slot", "run", ["model"], sqlite_where=sa.text("has_slot"), postgresql_where=sa.text("has_slot"))


def _sort_by_bytes() -> None:
    for table, column, kind in (
        ("current_drop", "uri", sa.Text(collation="C")),
        ("current_drop", "period", sa.String(7, collation="C")),
        ("run", "period", sa.String(7, collation="C")),
    ):
        op.alter_column(table, column, type_=kind, existing_nullable=False)


def _refuse_changes_of_history() -> None:
    """Transitions are append-only; the database says so, whoever asks."""
    op.execute(
        "CREATE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'transitions are append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER transition_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON transition "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history()"
    )
