"""The control database's first schema: ledger, its heads, step records.

Rows of the ledger are append-only for SQL as well: triggers refuse UPDATE, DELETE and TRUNCATE. There is no
way back from this revision, for the ledger must be kept.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROUTING = "action IN ('deploy', 'intend', 'roll_back', 'abandon')"
REFUSAL = "ledger rows are append-only"


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
    )
    # One routing change and one commit for each epoch, whatever a writer believes.
    for name, where in (("ledger_route", ROUTING), ("ledger_commit", "action = 'commit'")):
        condition = sa.text(where)
        op.create_index(
            name,
            "ledger",
            ["model", "epoch"],
            unique=True,
            sqlite_where=condition,
            postgresql_where=condition,
        )
    op.create_table(
        "ledger_heads",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "step_records",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _guard_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_no_{event.lower()} BEFORE {event} ON ledger "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    # INSERT OR REPLACE would delete the old row without firing the trigger above.
    same_row = "SELECT 1 FROM ledger WHERE model = NEW.model AND seq = NEW.seq"
    op.execute(
        f"CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger WHEN EXISTS ({same_row}) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE ON ledger "
        "FOR EACH ROW EXECUTE FUNCTION ledger_refuse()"
    )
    op.execute(
        "CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()"
    )
