"""The table of both arms of a rollout: who answered which unit, how fast, and what.

It holds no inputs, and answers in the shadow stand here alone: nobody takes them for served ones.
Beside `store.py` and the archive, the only file that imports SQLAlchemy.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from mlops_ladder import ProjectError

ARMS = sql.Table(
    "arms",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("rollout", sql.String(128), nullable=False, index=True),
    sql.Column("step", sql.Integer, nullable=False),
    sql.Column("request_id", sql.String(64), nullable=False),
    sql.Column("time", sql.DateTime(timezone=True), nullable=False),
    sql.Column("unit", sql.String(16), nullable=False),
    sql.Column("arm", sql.String(16), nullable=False),
    sql.Column("shadow", sql.Boolean, nullable=False),
    sql.Column("failed", sql.Boolean, nullable=False),
    sql.Column("output", sql.Text, nullable=False),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.Column("latency_ms", sql.Float, nullable=False),
)
BATCH = 5_000


def deletion(before: datetime, names: Sequence[str]) -> sql.Delete:
    """Deletes what is from before that time, and these requests; failed ones stand only here."""
    return sql.delete(ARMS).where((ARMS.c.time < before) | ARMS.c.request_id.in_(names))


def arms(url: str, rollout: str, step: int | None = None) -> Iterator[dict[str, Any]]:
    """What both arms did in a rollout, or in one step of it, in their order.

    Raises ProjectError where the database cannot be read; its URL may hold a password.
    """
    place = sql.make_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file():
        return
    engine = sql.create_engine(place)
    query = sql.select(ARMS).where(ARMS.c.rollout == rollout).order_by(ARMS.c.id)
    if step is not None:
        query = query.where(ARMS.c.step == step)
    try:
        if sql.inspect(engine).has_table(ARMS.name):
            with engine.connect() as connection:
                rows = connection.execution_options(yield_per=BATCH).execute(query)
                yield from (row._asdict() for row in rows)
    except sql.exc.SQLAlchemyError as error:
        told = str(error).partition("\n")[0]
        raise ProjectError(f"serving.log: the database cannot be read: {told}") from error
    finally:
        engine.dispose()
