"""A step of a rollout is a routing change, too: it takes an epoch that no other change has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BEFORE = "action IN ('deploy', 'intend', 'roll_back', 'abandon')"
ROUTING = "action IN ('deploy', 'shift', 'intend', 'roll_back', 'abandon')"


def upgrade() -> None:
    _index(ROUTING)


def downgrade() -> None:
    _index(BEFORE)


def _index(where: str) -> None:
    condition = sa.text(where)
    op.drop_index("ledger_route", table_name="ledger")
    op.create_index(
        "ledger_route",
        "ledger",
        ["model", "epoch"],
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )
