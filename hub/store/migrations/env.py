"""Alembic's entry: runs the revisions on the connection that the hub already opened."""

from alembic import context
from sqlmodel import SQLModel

from hub.store import tables  # noqa: F401

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata)
context.run_migrations()
