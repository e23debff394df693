"""Tables: rows are read in blocks and written in one transaction; no password is ever shown."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data import remote, tables
from mlops_ladder.data.reading import list_data_files, read_chunks, read_table
from mlops_ladder.settings import Data

SOURCE = "sqlite:///own.db#customers"
ANSWERS = "sqlite:///own.db#answers"
PASSWORD = "pl4nted-s3cret"


@pytest.fixture(name="base", autouse=True)
def _base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with five customers, in no order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    run("create table customers (id integer primary key, name text, size real, seen text)")
    for number in (3, 1, 2, 5, 4):
        run(f"insert into customers values ({number}, 'n{number}', {number / 2}, null)")
    return tmp_path


def run(statement: str) -> list[tuple[object, ...]]:
    """Run a statement in the database, and return its rows."""
    with closing(connect("own.db")) as base:
        rows = base.execute(statement).fetchall()
        base.commit()
    return rows


def read_answers(table: str = "answers") -> list[tuple[object, ...]]:
    """Return the answers that the database holds, by their first column."""
    return run(f"select * from {table} order by 1")


def make_answers(*numbers: int, value: float = 0.5) -> pd.DataFrame:
    """Return answers for these ids."""
    return pd.DataFrame({"id": numbers, "prediction": value, "model_version": "v1"})


def write_answers(frame: pd.DataFrame, *keys: str, rejected: pd.DataFrame | None = None) -> None:
    """Write answers as a batch does."""
    with tables.open_table(ANSWERS, list(keys)) as table:
        table.write(frame.head(1))
        table.write(frame.iloc[1:])
        if rejected is not None:
            table.reject(rejected)
        table.commit()


def test_a_table_is_read_by_its_key_in_blocks() -> None:
    """The rows are in the order of the primary key, and at most `size` of them at a time."""
    chunks = list(read_chunks(SOURCE, Data(path=""), size=2))
    assert [chunk["id"].tolist() for chunk in chunks] == [[1, 2], [3, 4], [5]]
    assert chunks[1].index.tolist() == [2, 3] and chunks[0]["seen"].isna().all()


def test_a_query_is_read_as_it_stands() -> None:
    """Marks that drivers give a meaning, such as % and a colon, have none."""
    query = "select id, '10:30' as at from customers where name like 'n%' order by id desc limit 2"
    rows = read_table(f"sqlite:///own.db#{query}", Data(path=""))
    assert rows.to_dict("list") == {"id": [5, 4], "at": ["10:30", "10:30"]}


def test_the_url_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sql://NAME#table` reads the URL from a variable; an unset one is named."""
    with pytest.raises(ProjectError, match="the environment has no MY_BASE; set it to the URL"):
        read_table("sql://MY_BASE#customers", Data(path=""))
    monkeypatch.setenv("MY_BASE", "sqlite:///own.db")
    assert len(read_table("sql://MY_BASE#customers", Data(path=""))) == 5


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("sqlite:///own.db#nobody", "no such table; there are: customers"),
        ("sqlite:///other.db#customers", "no such file in "),
        ("sqlite:///own.db", "names no table; add one, or a query: #table or '#select …'"),
        ("sqlite:///own.db#delete from customers", "names no table"),
        ("sqlite:///own.db#select * from customers where id > 9", "no rows; a header and at"),
        ("sqlite:///own.db#select its", "cannot be read: no such column: its"),
        ("sql://own.db/#t", "no URL of a database; write postgresql://user@host/base#table"),
        (
            "oracle+cx_oracle://host/base#t",
            "cx_Oracle is not installed; add it: uv add 'cx_Oracle'",
        ),
    ],
)
def test_a_table_that_cannot_be_read_says_why(source: str, reason: str) -> None:
    """In one line, and no file is made."""
    with pytest.raises(ProjectError) as error:
        read_table(source, Data(path=""))
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert not Path("other.db").exists()


@pytest.mark.parametrize(
    "source",
    [
        f"postgresql://ada:{PASSWORD}@localhost/base#t",
        f"sql://postgresql+psycopg://ada:a/{PASSWORD}@localhost/base#t",
        f"postgresql://ada@localhost/base?password={PASSWORD}#t",
        f"mysql://ada@localhost/base?ssl=1&passwd={PASSWORD}#select 1",
        f"s3://key:{PASSWORD}@bucket/rows.csv",
    ],
)
def test_a_password_in_a_source_is_refused_and_never_shown(source: str) -> None:
    """For reading, for writing, and where only the snapshot is asked for."""
    for use in (remote.load_module, list_data_files, lambda it: read_table(it, Data(path=""))):
        with pytest.raises(
            ProjectError, match="holds a password or key; take it out and set"
        ) as no:
            use(source)
        assert PASSWORD not in str(no.value)
    assert not Path("data").exists()


def test_a_password_in_the_environment_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the server cannot be reached, or the URL is no URL."""
    for url in (
        f"postgresql://ada:{PASSWORD}@127.0.0.1:1/base",
        f"postgresql://ada:{PASSWORD}@127.0.0.1:{PASSWORD}/base",
        f"postgresql://ada:x@{PASSWORD}@127.0.0.1:1/base",
    ):
        monkeypatch.setenv("MY_BASE", url)
        with pytest.raises(ProjectError) as error:
            read_table("sql://MY_BASE#t", Data(path=""))
        assert PASSWORD not in str(error.value)
        cause: BaseException | None = error.value
        while cause := cause.__cause__:
            assert PASSWORD not in str(cause)


@pytest.fixture(name="first")
def _first() -> Iterator[list[tuple[object, ...]]]:
    """The answers of a first batch."""
    write_answers(make_answers(1, 2, 3), "id")
    yield read_answers()


def test_answers_replace_those_with_the_same_id(first: list[tuple[object, ...]]) -> None:
    """The others stay."""
    assert first == [(1, 0.5, "v1"), (2, 0.5, "v1"), (3, 0.5, "v1")]
    write_answers(make_answers(3, 4, value=0.9), "id")
    assert read_answers() == [*first[:2], (3, 0.9, "v1"), (4, 0.9, "v1")]


def test_without_an_id_answers_replace_the_table() -> None:
    """All its rows are of the last batch."""
    write_answers(make_answers(1, 2, 3))
    write_answers(make_answers(7, 8))
    assert [row[0] for row in read_answers()] == [7, 8]


@pytest.mark.parametrize("keys", [[], ["id"]])
def test_a_batch_that_fails_leaves_the_table_whole(
    first: list[tuple[object, ...]], keys: list[str]
) -> None:
    """Nothing is seen before `commit`, and no table stays behind."""
    with pytest.raises(KeyboardInterrupt):
        with tables.open_table(ANSWERS, keys) as table:
            table.write(make_answers(*range(900)))
            assert read_answers() == first
            raise KeyboardInterrupt
    assert read_answers() == first
    assert run("select count(*) from sqlite_master") == [(2,)]


def test_another_table_is_not_written_to() -> None:
    """Only one with predictions and versions is; another is refused before the work."""
    before = read_answers("customers")
    for keys in ([], ["id"]):
        with pytest.raises(ProjectError, match="is of something else: it has no column model_v"):
            with tables.open_table(SOURCE, keys):
                pass
    assert read_answers("customers") == before
    with pytest.raises(ProjectError, match="a query; name the table to write to: #table"):
        with tables.open_table("sqlite:///own.db#select 1", []):
            pass


def test_two_rows_with_one_id_are_refused(first: list[tuple[object, ...]]) -> None:
    """One would replace the other, and the number of predictions would be wrong."""
    with pytest.raises(ProjectError, match="id = 7 is in several rows, and the table holds one"):
        write_answers(make_answers(6, 7, 7), "id")
    with pytest.raises(ProjectError, match="id is missing, and rows of this table are found by it"):
        write_answers(make_answers(6, 8).drop(columns="id"), "id")
    with pytest.raises(ProjectError, match="has no column more; add it by ALTER TABLE"):
        write_answers(make_answers(6, 8).assign(more=1), "id")
    assert read_answers() == first


def test_rejected_rows_are_in_a_table_beside(first: list[tuple[object, ...]]) -> None:
    """Those of the last batch; none are left after a batch without any."""
    rejected = pd.DataFrame({"row": [2], "reason": ["size holds no number"]})
    write_answers(make_answers(1, 9), "id", rejected=rejected)
    assert read_answers("answers_rejected") == [(2, "size holds no number")]
    write_answers(make_answers(1, 9), "id")
    assert read_answers("answers_rejected") == [] and len(read_answers()) == len(first) + 1


def test_a_snapshot_is_what_training_read() -> None:
    """It stays until it is taken anew; the same rows give the same bytes."""
    data = Data(path=SOURCE)
    (path,) = remote.refresh_snapshot(SOURCE)
    assert str(path).startswith("data/snapshots/customers-") and path.suffix == ".parquet"
    before = path.read_bytes()
    assert remote.refresh_snapshot(SOURCE) == [path] and path.read_bytes() == before
    run("delete from customers where id > 2")
    assert list_data_files(SOURCE) == [path] and len(read_table(SOURCE, data)) == 5
    assert len(next(read_chunks(SOURCE, data))) == 2
    remote.refresh_snapshot(SOURCE)
    assert len(read_table(SOURCE, data)) == 2


def test_a_snapshot_stays_if_the_table_cannot_be_read() -> None:
    """The error is the reader's, and nothing is left behind."""
    (path,) = remote.refresh_snapshot(SOURCE)
    run("drop table customers")
    with pytest.raises(ProjectError, match="no such table; there are: none"):
        remote.refresh_snapshot(SOURCE)
    assert list(Path("data/snapshots").rglob("*")) == [path.parent, path]
