"""What is kept of a rollout's counts is signed.

Rows of before have no signature: they are counted anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollout_counts", sa.Column("signature", sa.Text, nullable=False, server_default=""))
