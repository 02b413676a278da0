"""On PostgreSQL, what SQLite has by itself or from the first version: texts sorted by their bytes, a history that only grows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change no row."""
    if op.get_bind().dialect.name == "postgresql":
        _sort_by_bytes()
        _refuse_changes_of_history()


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
