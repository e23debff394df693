"""Data are read from where they are, and predictions written there: PostgreSQL and S3, as they run."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import pandas as pd
import pytest
import sqlalchemy as sql
from conftest import commit, Generate, LADDER, run
from databases import PASSWORD, Postgres, postgres
from moto.server import ThreadedMotoServer

from mlops_ladder.data.reading import read_file
from mlops_ladder.data.tables import parse_table
from mlops_ladder.settings import Data

pytestmark = [pytest.mark.slow]

BUCKET, SECRET = "s3://rows", "pl4nted/s3cret+key"
COUNT = 600
CUSTOMERS = pd.DataFrame(
    {
        "customer_id": range(1, COUNT + 1),
        "age": [18 + 7 * place % 60 for place in range(COUNT)],
        "plan": [("basic", "plus", "pro")[place % 3] for place in range(COUNT)],
        "joined": pd.date_range("2020-01-01", periods=COUNT, freq="D"),
        "churned": [("yes", "no")[(place * place + place // 7) % 5 < 3] for place in range(COUNT)],
    }
)


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[Postgres]:
    """A running server with a table of customers."""
    with postgres() as server:
        server.start()
        engine = sql.create_engine(server.url())
        with engine.begin() as base:
            base.exec_driver_sql(
                "create schema shop; create table shop.customers (customer_id bigint primary key,"
                " age integer, plan text, joined timestamptz, churned text)"
            )
            options: Any = {"schema": "shop", "if_exists": "append", "index": False}
            CUSTOMERS.to_sql("customers", base, **options)
        engine.dispose()
        yield server


@pytest.fixture(name="bucket", scope="module")
def _bucket() -> Iterator[dict[str, str]]:
    """The environment's variables of a store with a bucket of two files of customers."""
    store = ThreadedMotoServer("127.0.0.1", 0)
    store.start()
    host, port = store.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "planted", "AWS_SECRET_ACCESS_KEY": SECRET}
    keys |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        system = fsspec.filesystem("s3")
        system.mkdir("rows")
        half = COUNT // 2
        for name, part in (("1", CUSTOMERS.head(half)), ("2", CUSTOMERS.tail(half))):
            with fsspec.open(f"{BUCKET}/in/{name}.csv.gz", "wb") as file:
                part.to_csv(file, index=False, compression="gzip")
        yield keys
    store.stop()


class Own:
    """A project of level 1 whose commands run with some variables; it keeps all that they print."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.printed = folder, ""
        self.environment: dict[str, str] = {"PYTHONPATH": str(folder / "src")}

    def ladder(self, *words: str, status: int = 0, **environment: str) -> str:
        """Run a command, which ends with this status."""
        done = run(LADDER, *words, at=self.folder, **self.environment | environment)
        self.printed += done.stdout + done.stderr
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def find(self, *secrets: str) -> list[str]:
        """Return where one of these words is: in what was printed, or in a file of the project."""
        words = [word.encode() for word in secrets]
        texts = {"printed": self.printed.encode()}
        for path in self.folder.rglob("*"):
            if path.is_file() and ".git" not in path.parts:
                texts[str(path)] = path.read_bytes()
        return [name for name, text in texts.items() if any(word in text for word in words)]


@pytest.fixture(name="own")
def _own(generate: Generate, tmp_path: Path) -> Own:
    """A project of one's own."""
    made, folder = generate(maturity_level="1"), tmp_path / "own"
    subprocess.run(["cp", "-R", str(made), str(folder)], check=True)
    commit(folder)
    return Own(folder)


def snapshot_digest(own: Own) -> str:
    """Return the sha256 of the files of the snapshot, one after the other."""
    digest = hashlib.sha256()
    for path in sorted((own.folder / "data/snapshots").glob("*/*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_tags(own: Own) -> list[str]:
    """Return the different tags data.sha256 of the runs, in their order."""
    engine = sql.create_engine(f"sqlite:///{own.folder / 'mlflow.db'}")
    query = "select value from tags where key = 'data.sha256' order by rowid"
    with engine.connect() as base:
        return list(dict.fromkeys(base.exec_driver_sql(query).scalars()))


def address(server: Postgres, table: str) -> str:
    """Return how a project names a table."""
    return f"postgresql://log@127.0.0.1:{server.port}/postgres#{table}"


def ask(server: Postgres, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    engine = sql.create_engine(server.url())
    with engine.connect() as base:
        return [tuple(row) for row in base.exec_driver_sql(query)]


def test_a_project_learns_from_a_table_and_predicts_into_one(own: Own, server: Postgres) -> None:
    """The contract is inferred, the run names the rows it learned from, answers are upserted."""
    own.environment["PGPASSWORD"] = PASSWORD
    source, out = address(server, "shop.customers"), address(server, "shop.scores")
    printed = own.ladder("contract", "--data", source, "--target", "churned")
    assert f"{COUNT:,} rows of {source}, read as Parquet" in printed
    assert f'path = "{source}"' in (own.folder / "config.toml").read_text()
    own.ladder("train")
    assert read_tags(own) == [snapshot_digest(own)]
    assert f"customers: 1 files, {COUNT} rows" in own.ladder("data")
    assert f'origin = "{source}"' in (own.folder / "data/sources.toml").read_text()

    printed = own.ladder("predict", "--data", source, "--out", out)
    assert f"{COUNT:,} predictions by model" in printed and f"written to {out}" in printed
    assert ask(server, "select count(*), count(distinct customer_id) from shop.scores") == [
        (COUNT, COUNT)
    ]
    some = f"{source.partition('#')[0]}#select * from shop.customers where customer_id <= 5"
    own.ladder("predict", "--data", some, "--out", out)
    assert ask(server, "select count(*) from shop.scores") == [(COUNT,)]

    with sql.create_engine(server.url()).begin() as base:
        base.exec_driver_sql("update shop.customers set plan = 'gold' where customer_id = 7")
    own.ladder("data")  # of the snapshot, which nobody has changed
    own.ladder("train")
    assert "sha256" in own.ladder("data", status=1)  # the rows are others than was declared
    assert read_tags(own)[-1] == snapshot_digest(own) != read_tags(own)[0]
    age = "case customer_id when 7 then 'old' else cast(age as text) end as age"
    spoiled = f"#select customer_id, {age}, plan, joined from shop.customers order by customer_id"
    source = source.replace("#shop.customers", spoiled)
    printed = own.ladder("predict", "--data", source, "--out", out, status=3)
    assert f"1 of {COUNT} rows break the contract" in printed and f"{out}_rejected says" in printed
    assert ask(server, "select * from shop.scores_rejected") == [(7, "age holds no integer: 'old'")]
    assert not own.find(PASSWORD, quote(PASSWORD, safe=""))


def test_a_password_is_never_shown(own: Own, server: Postgres) -> None:
    """Neither a right one, nor a wrong one, nor that of a server that is not there."""
    source, planted = "sql://SHOP#shop.customers", "pl4nted s3cret"
    right = server.url("postgresql")
    wrong = server.url("postgresql", password=planted)
    secrets = (PASSWORD, quote(PASSWORD, safe=""), planted, quote(planted, safe=""))
    own.ladder("contract", "--data", source, "--target", "churned", SHOP=right)
    own.ladder("train", SHOP=right)
    own.ladder("predict", "--out", "sql://SHOP#shop.others", SHOP=right)
    for url in (wrong, wrong.replace(f":{server.port}/", ":1/"), f"{planted}://x:{planted}@y"):
        assert "Error: sql://SHOP#" in own.ladder("train", status=1, SHOP=url)
    assert "Error: sql://SHOP#" in own.ladder("predict", status=1, SHOP=wrong)
    files = ("--data", "data/snapshots/*/*.parquet")
    assert "Error: sql://SHOP#" in own.ladder(
        "predict", *files, "--out", source, status=1, SHOP=wrong
    )
    assert not own.find(*secrets)
    words = ("contract", "--target", "churned", "--data", f"{wrong}#shop.customers")
    assert "take it out and set PGPASSWORD" in own.ladder(*words, status=1)
    config = own.folder / "config.toml"
    config.write_text(config.read_text().replace("sql://SHOP#", f"{wrong}#"))
    before, own.printed = config.read_text(), ""
    for name in ("train", "data"):
        assert "take it out and set PGPASSWORD" in own.ladder(name, status=1)
    config.unlink()
    assert before and not own.find(*secrets)


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date", "text"])
def test_the_database_chooses_the_rows_of_a_period(server: Postgres, kind: str) -> None:
    """By a column of times without an offset: the rows of the period, and those without a time."""
    table = f"visits_{kind}"
    days = ", ".join(f"({day}, '2024-03-0{day}')" for day in range(1, 10))
    with sql.create_engine(server.url()).begin() as base:
        base.exec_driver_sql(f'create table {table} (id integer primary key, "at %%" {kind})')
        base.exec_driver_sql(f"insert into {table} values {days}, (10, null)")
    whole = parse_table(
        f"{server.url('postgresql')}#{table}".replace(f":{quote(PASSWORD, safe='')}@", "@")
    )
    whole = replace(whole, url=sql.make_url(server.url()))
    times = "at %", datetime(2024, 3, 3), datetime(2024, 3, 5)
    ids = pd.concat(read_file(replace(whole, times=times), Data(path="")))["id"].tolist()
    assert ids == ([3, 4, 10] if kind == "timestamp" else [*range(1, 11)])
    none = "at %", datetime(1, 1, 1), datetime(1, 1, 2)
    ids = [
        int(row)
        for part in read_file(replace(whole, times=none), Data(path=""))
        for row in part["id"]
    ]
    assert ids == ([10] if kind == "timestamp" else [*range(1, 11)])
    ever = "at %", datetime(1, 1, 1), datetime.max
    assert sum(map(len, read_file(replace(whole, times=ever), Data(path="")))) == 10


def wait_for(happens: Callable[[], bool]) -> None:
    """Wait until this is so, for a minute at most."""
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


@pytest.mark.parametrize("table", ["shop.large", "shop.plain"])
def test_a_killed_batch_leaves_the_old_table_whole(own: Own, server: Postgres, table: str) -> None:
    """Killed while it writes: each old row is there, no new one, and no other table."""
    own.environment["PGPASSWORD"] = PASSWORD
    source, out = address(server, "shop.customers"), address(server, table)
    own.ladder("contract", "--data", source, "--target", "churned")
    if table == "shop.plain":  # without an id, all rows are replaced
        contract = own.folder / "contract.toml"
        contract.write_text(contract.read_text().replace('role = "id"', 'role = "ignored"'))
    own.ladder("train")
    own.ladder("predict", "--data", source, "--out", out)
    before = ask(server, f"select * from {table} order by 1, 2, 3")
    assert len(before) == COUNT
    tables = "select schemaname, tablename from pg_tables where schemaname = 'shop' order by 2"
    known = ask(server, tables)
    many = "select c.*, n from shop.customers c, generate_series(1, 250) n"
    columns = "customer_id * 10000 + n as customer_id, age, plan, joined"
    large = f"{source.partition('#')[0]}#select {columns} from ({many}) as many"
    words = [LADDER, "predict", "--data", large, "--out", out]
    environment = os.environ | own.environment
    with subprocess.Popen(words, cwd=own.folder, env=environment) as process:
        writes = "select count(*) from pg_stat_activity where query ilike 'insert into%%'"
        wait_for(lambda: ask(server, writes) != [(0,)])
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    working = (
        "select count(*) from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()"
    )
    wait_for(lambda: ask(server, f"{working} and backend_type = 'client backend'") == [(0,)])
    assert ask(server, f"select * from {table} order by 1, 2, 3") == before
    assert ask(server, tables) == known
    own.ladder("predict", "--data", source, "--out", out)
    assert len(ask(server, f"select * from {table}")) == COUNT


def test_a_project_learns_from_a_bucket_and_predicts_into_one(
    own: Own, bucket: dict[str, str]
) -> None:
    """Two objects by a pattern; the snapshot has their bytes; rejected rows are beside."""
    own.environment |= bucket
    pattern, out = f"{BUCKET}/in/*.csv.gz", f"{BUCKET}/out/scores.parquet"
    own.ladder("contract", "--data", pattern, "--target", "churned")
    own.ladder("train")
    objects = [fsspec.filesystem("s3").cat_file(f"{BUCKET}/in/{name}.csv.gz") for name in "12"]
    assert read_tags(own) == [hashlib.sha256(b"".join(objects)).hexdigest()]
    own.ladder("predict", "--out", out)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    assert len(pd.read_parquet(out)) == COUNT
    assert system.ls(f"{BUCKET}/out", refresh=True) == ["rows/out/scores.parquet"]

    bad = pd.read_csv(f"{BUCKET}/in/1.csv.gz", dtype=str).head(10)
    bad.loc[3, "age"] = "old"
    with fsspec.open(f"{BUCKET}/bad.csv", "w") as file:
        bad.to_csv(file, index=False)
    answered = ("predict", "--data", f"{BUCKET}/bad.csv", "--out", out)
    assert "s3://rows/out/scores.rejected.csv says which" in own.ladder(*answered, status=3)
    assert len(pd.read_parquet(out)) == 9
    rejected = pd.read_csv(f"{BUCKET}/out/scores.rejected.csv")
    assert rejected.to_dict("list") == {"row": [4], "reason": ["age holds no integer: 'old'"]}
    own.ladder("predict", "--out", out)
    assert system.ls(f"{BUCKET}/out", refresh=True) == ["rows/out/scores.parquet"]
    assert "no such object" in own.ladder("predict", "--data", f"{BUCKET}/none.csv", status=1)
    assert "s3://nowhere/a.csv: cannot be written" in own.ladder(
        "predict", "--out", "s3://nowhere/a.csv", status=1
    )
    closed = own.ladder("predict", status=1, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert "cannot be read" in closed and "Traceback" not in own.printed
    assert not own.find(SECRET)
