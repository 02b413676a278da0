"""Which events a notification has told of, whichever of several daemons it went to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of what is there already nobody asks any more."""
    op.add_column("event", sa.Column("announced", sa.Boolean(), server_default=sa.text("false"), nullable=False))
