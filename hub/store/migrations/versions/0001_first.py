"""Every table, as `hub/store/tables.py` has them; the only revision until the first release."""

from alembic import op
from sqlmodel import SQLModel

from hub.store import tables  # noqa: F401

revision = "0001"
down_revision = None


def upgrade() -> None:
    SQLModel.metadata.create_all(op.get_bind())


def downgrade() -> None:
    SQLModel.metadata.drop_all(op.get_bind())
