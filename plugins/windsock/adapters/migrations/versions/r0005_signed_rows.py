"""Rows of the ledger are signed, and what a step came to as well.

An epoch is taken by rows that the installation signed; the table's own rule counted every row, so that one
forged row could hold an epoch for ever. The ledger's heads are replaced by signed marks outside the database.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("form", sa.Integer, nullable=False, server_default="0"))
    op.add_column("ledger", sa.Column("signature", sa.Text, nullable=False, server_default=""))
    for name in ("ledger_route", "ledger_commit"):
        op.drop_index(name, table_name="ledger")
    op.drop_table("ledger_heads")
    op.add_column("rollout_decisions", sa.Column("signature", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "step_results",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
    )
