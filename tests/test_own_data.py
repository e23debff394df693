"""A CSV or Parquet file and the name of a column are all that it takes, whatever the file holds."""

import csv
import io
import re
import shutil
import subprocess
import tomllib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Generate, run

pytestmark = pytest.mark.slow

CONFIGS = ("config.toml", "contract.toml")
Table = dict[str, list[Any]]


@pytest.fixture(scope="session")
def installed(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of level 0 that is set up as `make setup` does it."""
    project = tmp_path_factory.mktemp("own") / "project"
    shutil.copytree(generate(maturity_level="0"), project)
    for command in (["venv", "--quiet"], ["pip", "install", "--quiet", "--editable", "."]):
        done = run("uv", *command, at=project, VIRTUAL_ENV=str(project / ".venv"))
        assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def here(installed: Path, tmp_path: Path) -> Path:
    """A folder with the settings and the contract of a fresh project; training in it is quick."""
    for name in (*CONFIGS, "pyproject.toml"):
        shutil.copy(installed / name, tmp_path / name)
    config = tmp_path / "config.toml"
    config.write_text(
        config.read_text().replace("[model]\n", "[model]\nmax_iter = 10\nmin_samples_leaf = 3\n")
    )
    return tmp_path


@pytest.fixture
def ask(installed: Path, here: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`ask("train")` runs a command of the project in the folder."""
    ladder = str(installed / ".venv/bin/ladder")

    def asked(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return run(ladder, name, *words, at=here, OMP_NUM_THREADS="1")

    return asked


@pytest.fixture
def contract(ask: Callable[..., Any], here: Path) -> Callable[..., Any]:
    """`contract(name, target)` has to succeed; gives the columns of contract.toml."""

    def made(name: str, target: str, *words: str) -> Any:
        done = ask("contract", "--data", name, "--target", target, *words)
        assert (done.returncode, done.stderr) == (0, "")
        return tomllib.loads((here / "contract.toml").read_text())["columns"]

    return made


@pytest.fixture
def predicted(ask: Callable[..., Any], here: Path) -> Callable[[], list[str]]:
    """`predicted()` trains and predicts, which has to succeed; gives each row's prediction."""

    def words() -> list[str]:
        for command in ("train", "predict"):
            done = ask(command)
            assert (done.returncode, done.stderr) == (0, "")
        with (here / "predictions.csv").open() as file:
            return [row["prediction"] for row in csv.DictReader(file)]

    return words


def text(table: Table, separator: str = ",") -> str:
    """The table as a CSV."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    writer.writerows([table.keys(), *zip(*table.values())])
    return file.getvalue()


def config(here: Path) -> Any:
    """What config.toml says."""
    return tomllib.loads((here / "config.toml").read_text())


def repeated(*values: Any, rows: int = 60) -> list[Any]:
    """A column of these values, over and over."""
    return [values[row % len(values)] for row in range(rows)]


COUNT = list(range(60))
AMOUNTS = [7 * n % 60 for n in COUNT]
BASE: Table = {"x": [7 * n % 60 + 0.5 for n in range(60)], "y": repeated("no", "yes")}


@pytest.mark.parametrize(
    "encoding, separator, decimal, thousands, amount",
    [
        ("utf-8", ",", ".", None, "{n}.25"),
        ("utf-8", ",", ".", ",", "1,{n:03}.25"),
        ("utf-8", ",", ".", ",", "$1,{n:03}.25"),
        ("cp1252", ";", ",", ".", "1.{n:03},25"),
        ("utf-8", ";", ",", ".", "1.{n:03},25 €"),
        ("utf-8", ";", ",", " ", "1\u202f{n:03},25"),
        ("utf-8", ";", ".", "'", "1'{n:03}.25"),
        ("utf-8-sig", "\t", ",", None, "{n},25"),
        ("utf-16", "\t", ".", None, "{n}.25"),
        ("utf-8", "|", ".", None, "{n}.25%"),
    ],
)
def test_separator_encoding_and_the_marks_of_numbers_are_found(
    here: Path,
    contract: Callable[..., Any],
    predicted: Callable[[], list[str]],
    encoding: str,
    separator: str,
    decimal: str,
    thousands: str | None,
    amount: str,
) -> None:
    """Whatever the country: a number that a person reads is a number, also for the model."""
    table = {"größe": AMOUNTS, "preis": [amount.format(n=n) for n in AMOUNTS]}
    (here / "own.csv").write_bytes(text(table, separator).encode(encoding))
    columns = contract("own.csv", "preis")
    data = config(here)["data"]
    least = 1000.25 if thousands else 0.25
    found = (data["encoding"], data["separator"], data["decimal"], data.get("thousands"))
    assert found == (encoding, separator, decimal, thousands)
    assert columns == {
        "größe": {"kind": "integer", "role": "feature", "range": [0, 59]},
        "preis": {"kind": "number", "role": "target", "range": [least, least + 59]},
    }
    values = [float(value) for value in predicted()]
    assert len(values) == 60 and least <= min(values) <= max(values) <= least + 59


@pytest.mark.parametrize(
    "labels, problem, kind",
    [
        (["no", "yes"], "classification", "category"),
        (["TRUE", "FALSE"], "classification", "boolean"),
        ([0, 1], "classification", "integer"),
        ([-1, 1], "classification", "integer"),
        ([1, 2, 3], "classification", "integer"),
        ([10, 20, 50], "classification", "integer"),
        (["naïve", "früh", "東京"], "classification", "category"),
        (["01067", "50667"], "classification", "category"),
        (["None", "Insomnia", "Apnea"], "classification", "category"),
        (["1", "X", "2"], "classification", "category"),
        ([1.5, 2.5, 4.25, 8.0], "regression", "number"),
        ([n * n for n in range(60)], "regression", "integer"),
    ],
)
def test_predictions_are_of_the_kind_that_the_target_is(
    here: Path,
    contract: Callable[..., Any],
    predicted: Callable[[], list[str]],
    labels: list[Any],
    problem: str,
    kind: str,
) -> None:
    """One prediction a row; a class comes back as the word or number that the file has."""
    target = repeated(*labels)
    (here / "own.csv").write_text(text({"x": AMOUNTS, "code": target, "ziel": target}))
    columns = contract("own.csv", "ziel")
    found = predicted()
    assert (config(here)["problem"], columns["ziel"]["kind"], len(found)) == (problem, kind, 60)
    if problem == "classification":
        spelled = {str(label).replace("TRUE", "True").replace("FALSE", "False") for label in labels}
        assert set(found) == spelled


KINDS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("PassengerId", COUNT, {"kind": "integer", "role": "id"}),
    ("customerID", [f"{n:04}-AB" for n in AMOUNTS], {"kind": "text", "role": "id"}),
    ("Unnamed: 0", COUNT, {"kind": "integer", "role": "id"}),
    ("row", COUNT, {"kind": "integer", "role": "id"}),
    ("EmployeeNumber", [n * n for n in AMOUNTS], {"kind": "integer", "role": "id"}),
    ("post_id", [f"9{n:018}" for n in AMOUNTS], {"kind": "text", "role": "id"}),
    ("humid", [n * n for n in AMOUNTS], {"kind": "integer", "role": "feature", "range": [0, 3481]}),
    ("paid", [n * n for n in AMOUNTS], {"kind": "integer", "role": "feature", "range": [0, 3481]}),
    ("patient_id", repeated(*range(100, 130)), {"kind": "integer", "role": "group"}),
    ("client_id", repeated(*(f"K{n}" for n in range(45))), {"kind": "text", "role": "group"}),
    (
        "stress_index",
        repeated(*range(100, 130)),
        {"kind": "integer", "role": "feature", "range": [100, 129]},
    ),
    ("note", [f"a long story {n}" for n in AMOUNTS], {"kind": "text", "role": "ignored"}),
    ("same", repeated("a"), {"kind": "category", "role": "ignored"}),
    ("nothing", repeated(""), {"kind": "text", "role": "ignored", "nullable": True}),
    (
        "plz",
        repeated("01067", "50667"),
        {"kind": "category", "role": "feature", "categories": ["01067", "50667"]},
    ),
    (
        "flag",
        repeated("true", "FALSE", ""),
        {"kind": "boolean", "role": "feature", "nullable": True, "missing": 0.72},
    ),
    (
        "asked",
        repeated("?", *range(20)),
        {
            "kind": "integer",
            "role": "feature",
            "nullable": True,
            "missing": 0.15,
            "range": [0, 19],
        },
    ),
    (
        "told",
        repeated("unbekannt", *range(20)),
        {
            "kind": "integer",
            "role": "feature",
            "nullable": True,
            "missing": 0.15,
            "range": [0, 19],
        },
    ),
    (
        "endless",
        repeated("inf", *range(20)),
        {
            "kind": "integer",
            "role": "feature",
            "nullable": True,
            "missing": 0.15,
            "range": [0, 19],
        },
    ),
    (
        "version",
        repeated("1.2.3", "2.0.1"),
        {"kind": "category", "role": "feature", "categories": ["1.2.3", "2.0.1"]},
    ),
    *(
        (
            form,
            [spelled.format(d=n % 28 + 1, h=n % 12 + 1) for n in AMOUNTS],
            {"kind": "time", "role": "time", "format": form},
        )
        for form, spelled in {
            "ISO8601": "2024-03-{d:02}T{h:02}:30:00+02:00",
            "%d.%m.%Y": "{d:02}.03.2024",
            "%d.%m.%Y %H:%M": "{d:02}.03.2024 {h:02}:30",
            "%m/%d/%Y": "03/{d:02}/2024",
            "%m/%d/%Y %I:%M:%S %p": "03/{d:02}/2024 {h:02}:30:00 PM",
            "%d.%m.%y": "{d:02}.03.24",
            "%d %b %Y": "{d:02} Mar 2024",
        }.items()
    ),
]


def test_kind_and_role_of_a_column_are_found(here: Path, contract: Callable[..., Any]) -> None:
    """Ids, times, codes and words are told apart, and so is what is of no use."""
    (here / "own.csv").write_text(text({name: values for name, values, _ in KINDS} | BASE))
    times = [name for name, _, column in KINDS if column["kind"] == "time"]
    later = {name: {"kind": "time", "role": "feature", "format": name} for name in times[1:]}
    expected_zone = {"timezone": "UTC"}  # of the times with an offset
    found = contract("own.csv", "y")
    expected = {name: column for name, _, column in KINDS} | later
    expected["ISO8601"] = expected["ISO8601"] | expected_zone
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "asked, written",
    [
        ("Größe", unicodedata.normalize("NFD", "Größe")),
        (unicodedata.normalize("NFD", "Größe"), "Größe"),
        ("ist kunde", " Ist  Kunde "),
        ('Ziel, "netto"', 'Ziel, "netto"'),
        ("🏙 Stadt", "🏙 Stadt"),
        ("y.1", "y"),
    ],
)
def test_a_target_is_found_by_the_name_that_a_person_types(
    here: Path, contract: Callable[..., Any], asked: str, written: str
) -> None:
    """Case, blanks and the way an accent is stored do not matter; a second `y` is `y.1`."""
    rows = [["y", written], *zip(AMOUNTS, BASE["y"])]
    with (here / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    columns = contract("own.csv", asked)
    assert [column["role"] for column in columns.values()] == ["feature", "target"]
    assert list(columns) == [unicodedata.normalize("NFC", name).strip() for name in columns]


@pytest.mark.parametrize("name", ["[Order ID]", "<b>", "{x}"])
def test_a_name_in_brackets_is_no_other_format(
    here: Path, contract: Callable[..., Any], name: str
) -> None:
    """A database writes names so; JSON and HTML begin otherwise."""
    (here / "own.csv").write_text(text({name: AMOUNTS} | BASE))
    assert list(contract("own.csv", "y")) == [name, "x", "y"]


def test_a_counter_is_a_feature_where_there_is_no_other(
    here: Path, contract: Callable[..., Any]
) -> None:
    """Beside other columns it is an id."""
    (here / "own.csv").write_text(text({"x": COUNT, "y": BASE["y"]}))
    column = contract("own.csv", "y")["x"]
    assert column == {"kind": "integer", "role": "feature", "range": [0, 59]}


def test_rows_without_a_target_get_a_prediction_too(
    here: Path, contract: Callable[..., Any], predicted: Callable[[], list[str]]
) -> None:
    """They are left out of training only."""
    (here / "own.csv").write_text(text({"x": BASE["x"], "y": repeated("a", "b", "")}))
    contract("own.csv", "y")
    found = predicted()
    assert (len(found), set(found)) == (60, {"a", "b"})


def test_ten_rows_are_enough(
    here: Path, contract: Callable[..., Any], predicted: Callable[[], list[str]]
) -> None:
    """A first look at a problem needs no more."""
    table = {
        "x": list(range(10)),
        "z": repeated(1.5, 2.5, rows=10),
        "y": repeated("a", "b", rows=10),
    }
    (here / "own.csv").write_text(text(table))
    contract("own.csv", "y")
    assert len(predicted()) == 10


def test_rows_of_one_group_cannot_be_split(
    here: Path, contract: Callable[..., Any], ask: Callable[..., Any]
) -> None:
    """A column that the user calls a group and that holds one value is named, without a trace."""
    (here / "own.csv").write_text(text({"g": repeated("a", "b")} | BASE))
    contract("own.csv", "y")
    (here / "own.csv").write_text(text({"g": repeated("a")} | BASE))
    path = here / "contract.toml"
    path.write_text(re.sub(r'(\[columns.g\][^[]*role = )"feature"', r'\1"group"', path.read_text()))
    done = ask("train")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: g: the same in all 60 rows; two different are needed\n",
    )


SEARCH = """
from mlops_ladder.model import training
from mlops_ladder.data.contract import read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
from sklearn.model_selection import GridSearchCV

build = training.build_model
training.build_model = lambda *given: GridSearchCV(build(*given), {"verbose": [False, True]}, cv=2)
settings, contract = load_settings(), read_contract()
print(*(training.train_model(read_data(settings), contract, settings).version for _ in range(2)))
"""


def test_a_search_within_the_model_has_the_version_of_what_it_learned(
    installed: Path, here: Path, contract: Callable[..., Any]
) -> None:
    """Whatever scikit-learn's search remembers of its trials, equal models have one version."""
    (here / "own.csv").write_text(text(BASE))
    contract("own.csv", "y")
    done = run(str(installed / ".venv/bin/python"), "-c", SEARCH, at=here)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split()[-2:]
    assert first == second


PARQUET = """
import datetime, decimal, pandas as pd
n = range(60)
frame = pd.DataFrame({
    "whole": pd.array([None, *n[:0:-1]], dtype="Int64"),
    "truth": pd.array([None, *(i % 2 > 0 for i in n[1:])], dtype="boolean"),
    "money": [decimal.Decimal(i) + decimal.Decimal("0.5") for i in n],
    "day": [datetime.date(2024, 1, 1) + datetime.timedelta(i) for i in n],
    "moment": pd.date_range("2024-01-01", periods=60, tz="Europe/Berlin"),
    "took": pd.to_timedelta([i + 0.5 for i in n], unit="s"),
    "words": pd.Categorical(["a", "ü"] * 30),
    "list": [[i % 2] for i in n],
    7: [i % 3 for i in n],
}, index=pd.Index([f"r{i}" for i in n], name="row_id"))
frame.to_parquet("own.parquet")
"""


def test_every_type_of_parquet_finds_its_kind(
    installed: Path,
    here: Path,
    contract: Callable[..., Any],
    predicted: Callable[[], list[str]],
) -> None:
    """Nullable, decimal, date, zone, duration, category, list, a named index, a number as name."""
    python = str(installed / ".venv" / "bin" / "python")
    assert run(python, "-c", PARQUET, at=here).returncode == 0
    assert contract("own.parquet", "7") == {
        "row_id": {"kind": "text", "role": "id"},
        "whole": {
            "kind": "integer",
            "role": "feature",
            "nullable": True,
            "missing": 0.08,
            "range": [1, 59],
        },
        "truth": {"kind": "boolean", "role": "feature", "nullable": True, "missing": 0.08},
        "money": {"kind": "number", "role": "feature", "range": [0.5, 59.5]},
        "day": {"kind": "time", "role": "time", "format": "ISO8601"},
        "moment": {"kind": "time", "role": "feature", "timezone": "Europe/Berlin"},
        "took": {"kind": "number", "role": "feature", "range": [0.5, 59.5]},
        "words": {"kind": "category", "role": "feature", "categories": ["a", "ü"]},
        "list": {"kind": "category", "role": "feature", "categories": ["[0]", "[1]"]},
        "7": {"kind": "integer", "role": "target", "range": [0, 2]},
    }
    assert set(predicted()) <= {"0", "1", "2"}


GOOD = text(BASE)
REFUSED: dict[str, tuple[bytes | None, str, list[str], str]] = {
    "no such target": (
        b"a,b\n1,2\n",
        "Alter",
        [],
        "TARGET 'Alter': no such column; there are: a, b",
    ),
    "empty": (
        b"",
        "y",
        [],
        "own.csv: cannot be read (encoding utf-8, separator ','): No columns to parse from file",
    ),
    "a title": (
        b"Sales of 2024\n\nx;y\n1;2\n3;4\n",
        "y",
        [],
        "own.csv: cannot be read (encoding utf-8, separator ';'): line 3 has 2 fields, the header 1; line 1 has to name every column: delete a title above it, or name an index column",
    ),
    "a title of a spreadsheet": (
        b"Sales of 2024,,\na,x,y\n1,2,3\n",
        "y",
        [],
        "own.csv: cannot be read (encoding utf-8, separator ','): line 2 has 3 fields, the header 1; line 1 has to name every column: delete a title above it, or name an index column",
    ),
    "an index without a name": (
        b"x,y\n0,1,2\n1,3,4\n",
        "y",
        [],
        "own.csv: cannot be read (encoding utf-8, separator ','): line 2 has 3 fields, the header 2; line 1 has to name every column: delete a title above it, or name an index column",
    ),
    "no header": (
        b"5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,virginica\n",
        "setosa",
        [],
        "own.csv: line 1 holds values, no names (5.1, 3.5, 1.4, 0.2, setosa); put a line above it that names each column",
    ),
    "no header, words": (
        b"red,0.5,yes\n" + b"blue,1.5,no\nred,2.5,yes\n" * 9,
        "yes",
        [],
        "own.csv: line 1 holds values, no names (red, 0.5, yes); put a line above it that names each column",
    ),
    "names again": (
        b"x,y\n1,a\n2,b\nx,y\n3,a\n",
        "y",
        [],
        "own.csv: row 3 below the names repeats them; delete it",
    ),
    "units": (
        b"x,z,y\n[kg],[m],-\n" + b"1,2.5,a\n2,3.5,b\n" * 9,
        "y",
        [],
        "own.csv: row 1 holds units or words ([kg], [m]), no numbers; delete it",
    ),
    "a title of two fields": (
        b"Sales,2024\nx,y\n1,a\n2,b\n",
        "y",
        [],
        "TARGET 'y': no such column; there are: Sales, 2024; row 1 below them names it: delete all lines above that row",
    ),
    "another separator": (
        b"x y\n1 a\n2 b\n",
        "y",
        [],
        "TARGET 'y': no such column; there are: x y; no ',' stands in it: separate columns by a comma, semicolon, tab or |",
    ),
    "HTML": (
        b"<table><tr><th>x</th></tr></table>",
        "y",
        [],
        "own.csv: cannot be read: HTML or XML; save the table as CSV",
    ),
    "header only": (
        b"x,y\n",
        "y",
        [],
        "own.csv: no rows; a header and at least one row are needed",
    ),
    "no such file": (None, "y", [], "own.csv: no such file in "),
    "too many fields": (
        b"x,y\n1,2\n1,2,3\n",
        "y",
        [],
        "own.csv: cannot be read (encoding utf-8, separator ','): line 3 has 3 fields, the header 2; put that line right",
    ),
    "too few fields": (
        b"x;y\n1;2\n1\n",
        "y",
        [],
        "own.csv: cannot be read (encoding utf-8, separator ';'): line 3 has 1 fields, the header 2; put that line right",
    ),
    "binary": (
        b"PK\x03\x04\0\0",
        "y",
        [],
        "own.csv: cannot be read: File is not a zip file; it is damaged: bring it again",
    ),
    "one column": (
        b"y\na\nb\na\nb\n",
        "y",
        [],
        "own.csv: no column can serve as a feature beside 'y'",
    ),
    "constant target": (
        b"x,y\n1,a\n2,a\n",
        "y",
        [],
        "y: only 'a' in all rows; two different ones are needed",
    ),
    "no target": (
        b"x,y\n1,\n2,\n",
        "y",
        [],
        "y: no value in all rows; two different ones are needed",
    ),
    "text as target": (
        text({"x": AMOUNTS, "y": [f"t {n}" for n in AMOUNTS]}).encode(),
        "y",
        [],
        "y: 60 different values in 60 rows, of kind text: neither a number nor at most 100 classes; choose another TARGET",
    ),
    "words as amounts": (
        GOOD.encode(),
        "y",
        ["--problem", "regression"],
        "y: a category, so PROBLEM must be classification",
    ),
    "unknown encoding": (
        GOOD.encode(),
        "y",
        ["--encoding", "utf-9"],
        "own.csv: cannot be read: unknown encoding: utf-9",
    ),
    "wrong encoding": (
        "x,ü\n1,2\n".encode("cp1252"),
        "ü",
        ["--encoding", "utf-8"],
        "own.csv: cannot be read: 'utf-8' codec can't decode byte 0xfc in position 2: invalid start byte",
    ),
    "broken Parquet": (b"PAR1nothing", "y", [], "own.csv: cannot be read"),
    "no target named": (
        GOOD.encode(),
        "",
        [],
        "DATA and TARGET are needed: make contract DATA=file TARGET=column",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(
    here: Path, ask: Callable[..., Any], case: str
) -> None:
    """The thing, the value and the way out, without a traceback; nothing is changed."""
    content, target, words, said = REFUSED[case]
    if content is not None:
        (here / "own.csv").write_bytes(content)
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    done = ask("contract", "--data", "own.csv", "--target", target, *words)
    assert (done.returncode, done.stderr[: len(said) + 7]) == (1, f"Error: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize(
    "config_text, said",
    [("problem = ", "config.toml: not valid TOML"), ("sed = 1\n", "sed: unknown key; known are ")],
)
def test_settings_that_are_broken_are_not_overwritten(
    here: Path, ask: Callable[..., Any], config_text: str, said: str
) -> None:
    """What a person has to put right is named, and everything stays as it is."""
    (here / "own.csv").write_text(GOOD)
    broken = config_text + (here / "config.toml").read_text()
    (here / "config.toml").write_text(broken)
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    done = ask("contract", "--data", "own.csv", "--target", "y")
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize("blocked", CONFIGS)
def test_writing_that_fails_changes_nothing(
    here: Path, ask: Callable[..., Any], blocked: str
) -> None:
    """Both files are written, or neither."""
    (here / "own.csv").write_text(GOOD)
    (here / f"{blocked}.part").mkdir()
    before = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    done = ask("contract", "--data", "own.csv", "--target", "y")
    said = f"Error: {blocked}.part: cannot be written: Is a directory; nothing is changed\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


def test_a_folder_is_refused_with_the_way_to_name_its_files(
    here: Path, ask: Callable[..., Any]
) -> None:
    """A pattern reads many files."""
    (here / "own").mkdir()
    done = ask("contract", "--data", "own", "--target", "y")
    assert done.stderr == "Error: own: a folder; name its files: 'own/*.csv'\n"


def test_the_same_data_give_the_same_files(here: Path, contract: Callable[..., Any]) -> None:
    """A second `make contract` writes nothing and sets nothing aside."""
    (here / "own.csv").write_text(GOOD)
    contract("own.csv", "y")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    contract("own.csv", "y")
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_reviewed_contract_is_kept(here: Path, contract: Callable[..., Any]) -> None:
    """What a person has read and corrected is set aside under a name that is free."""
    (here / "own.csv").write_text(GOOD)
    contract("own.csv", "y")
    file = here / "contract.toml"
    unread = file.read_text()
    reviewed = unread.replace("reviewed = false", "reviewed = true")
    file.write_text(reviewed)
    contract("own.csv", "y")
    assert (file.read_text(), (here / "contract.toml.old-2").read_text()) == (unread, reviewed)


def test_comments_and_choices_in_the_settings_survive(
    here: Path, contract: Callable[..., Any]
) -> None:
    """Only what the data decide is changed."""
    (here / "own.csv").write_text(GOOD)
    contract("own.csv", "y")
    mine = (here / "config.toml").read_text().replace('"roc_auc"', '"accuracy"  # by us')
    (here / "config.toml").write_text("# Ours\n" + mine)
    contract("own.csv", "y")
    assert (here / "config.toml").read_text() == "# Ours\n" + mine


@pytest.mark.parametrize(
    "rows, said",
    [
        ("z\n1\n", "x: column is missing; there are z"),
        ("x\n1,5\n", "line 2 has 2 fields, the header 1"),
        ("x\nmehr\nviel\n", "x: 2 of 2 rows hold no number: 'mehr' (rows 1, 2)"),
    ],
)
def test_rows_that_cannot_be_predicted_are_named(
    here: Path, ask: Callable[..., Any], contract: Callable[..., Any], rows: str, said: str
) -> None:
    """The column, the value and the row; no file is written."""
    (here / "own.csv").write_text(GOOD)
    contract("own.csv", "y")
    assert ask("train").returncode == 0
    (here / "new.csv").write_text(rows)
    done = ask("predict", "--data", "new.csv")
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert not (here / "predictions.csv").exists()


def test_a_date_beside_an_amount_does_not_hide_its_decimal_comma(
    here: Path, contract: Callable[..., Any]
) -> None:
    """Dates, versions and addresses are no numbers, so they do not decide about the marks."""
    rows = [
        [f"{n % 28 + 1:02}.02.2024", f"1.{n:03},56", f"1.2.{n}", f"192.168.100.{n + 100}", n % 2]
        for n in COUNT
    ]
    with (here / "own.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["am", "betrag", "v", "ip", "y"], *rows])
    columns = contract("own.csv", "y")
    assert columns["betrag"] == {"kind": "number", "role": "feature", "range": [1000.56, 1059.56]}
    assert (columns["v"]["kind"], columns["ip"]["kind"]) == ("text", "text")
    assert contract("own.csv", "betrag")["betrag"]["kind"] == "number"


WRITTEN: list[tuple[list[str], list[float]]] = [
    (["(1,005.50)", "20.5", "#DIV/0!", "1,200.25"], [-1005.5, 1200.25]),
    (["$-5.50", "-$7", "($8.25)", "US$ 9"], [-8.25, 9.0]),
    (["2’200.25", "1'005.50", "7"], [7.0, 2200.25]),
    (["5 %", "7.5%", "-2%"], [-2.0, 7.5]),
    (["₺1.5", "₽ 2.5", "3.5 руб.", "₩7"], [1.5, 7.0]),
    (["12,34,567.50", "1,000.25", "7"], [7.0, 1234567.5]),
    (["1.5", "2.5", "Err:502", "#N/D", "########", "\\N", "inf"], [1.5, 2.5]),
]


MIXED: list[tuple[dict[str, list[Any]], dict[str, list[float]]]] = [
    (
        {
            "v": repeated("1.2", "1.10", "3.0"),
            "w": repeated("2.1"),
            "betrag": repeated("1,5", "2,25"),
        },
        {"betrag": [1.5, 2.25], "v": [1.1, 3.0]},
    ),
    (
        {
            "v": repeated("1.2", "3.1"),
            "w": repeated("2.1", "2.2"),
            "betrag": repeated("1.234,56", "7,5"),
        },
        {"betrag": [7.5, 1234.56]},
    ),
    (
        {"uhrzeit": repeated("12.30", "7.15"), "betrag": repeated("1.234,56", "9,5")},
        {"betrag": [9.5, 1234.56]},
    ),
    (
        {"en": repeated("1.5", "2.75"), "de": repeated("1,5", "2,75")},
        {"en": [1.5, 2.75], "de": [1.5, 2.75]},
    ),
]


@pytest.mark.parametrize("table, ends", MIXED)
def test_versions_and_clocks_do_not_outvote_the_decimal_comma(
    here: Path, contract: Callable[..., Any], table: Table, ends: dict[str, list[float]]
) -> None:
    """A value with both marks is nothing but a number; 1.5 is one too where 1,5 is."""
    (here / "own.csv").write_text(text(table | {"y": BASE["y"]}, ";"))
    columns = contract("own.csv", "y")
    assert {name: columns[name]["range"] for name in ends} == ends


def test_a_number_with_the_other_mark_is_named(here: Path, ask: Callable[..., Any]) -> None:
    """A file has one decimal mark; the column that is lost by it says so."""
    table = {"a": repeated("1,234.56", "7.5"), "b": [f"1.{n:03},56" for n in COUNT], "y": BASE["y"]}
    (here / "own.csv").write_text(text(table, ";"))
    done = ask("contract", "--data", "own.csv", "--target", "y")
    assert "numbers if '.' is the decimal mark: add DECIMAL=." in done.stdout


@pytest.mark.parametrize("values, ends", WRITTEN)
def test_an_amount_of_a_spreadsheet_is_a_number(
    here: Path, contract: Callable[..., Any], values: list[str], ends: list[float]
) -> None:
    """Brackets are a minus, an error of Excel is missing, signs are left out."""
    (here / "own.csv").write_text(text({"amount": repeated(*values)} | BASE))
    column = contract("own.csv", "y")["amount"]
    assert (column["kind"], column["range"]) == ("number", ends)


@pytest.mark.parametrize(
    "name, role",
    [("kundennr", "id"), ("OrderNo", "id"), ("numero_cliente", "id"), ("IDCliente", "id")]
    + [("customerid", "id"), ("código cliente", "id"), ("номер_заказа", "id"), ("客户编号", "id")]
    + [
        ("anno", "feature"),
        ("casino", "feature"),
        ("solid", "feature"),
        ("order_amount", "feature"),
    ],
)
def test_an_id_is_known_by_its_name_in_other_languages(
    here: Path, contract: Callable[..., Any], name: str, role: str
) -> None:
    """A word that only ends as one stays a feature."""
    (here / "own.csv").write_text(text({name: [n * n + 7 for n in AMOUNTS]} | BASE))
    assert contract("own.csv", "y")[name]["role"] == role


def test_a_second_copy_of_the_target_is_no_feature(
    here: Path, contract: Callable[..., Any]
) -> None:
    """It would tell the answer."""
    (here / "own.csv").write_text(
        "y,x,y\n" + "".join(f"{y},{x},{y}\n" for x, y in zip(AMOUNTS, BASE["y"], strict=True))
    )
    assert contract("own.csv", "y")["y.1"]["role"] == "ignored"


COPIES: list[list[Any]] = [
    [f"{n}.0" for n in (0, 1, 1)] * 20,  # with a decimal point
    repeated("no", "yes", "yes"),  # in other words
    ["", *repeated(0, 1, 1)[1:]],  # with gaps
]


@pytest.mark.parametrize("copy", COPIES)
def test_the_target_in_other_words_is_no_feature(
    here: Path, ask: Callable[..., Any], copy: list[Any]
) -> None:
    """1.0 for 1, yes for 1, or with gaps: it would tell the answer, which is said."""
    table = {"x": BASE["x"], "part": repeated("a", "b"), "y_flag": copy, "y": repeated(0, 1, 1)}
    (here / "own.csv").write_text(text(table))
    done = ask("contract", "--data", "own.csv", "--target", "y")
    columns = tomllib.loads((here / "contract.toml").read_text())["columns"]
    roles = {name: column["role"] for name, column in columns.items()}
    assert roles == {"x": "feature", "part": "feature", "y_flag": "ignored", "y": "target"}
    assert "a copy of the target y" in done.stdout


def test_first_days_of_months_are_read_month_first(
    here: Path, contract: Callable[..., Any]
) -> None:
    """1/1/2015, 2/1/2015, … are months."""
    days = [f"{n % 12 + 1}/1/{2015 + n // 12}" for n in COUNT]
    (here / "own.csv").write_text(text({"month": days} | BASE))
    assert contract("own.csv", "y")["month"]["format"] == "%m/%d/%Y"


MOMENTS = {
    "%Y%m%d%H%M": lambda n: f"202401{n % 28 + 1:02}1230",
    "%Y%m%d%H%M%S": lambda n: f"202401{n % 28 + 1:02}123015",
    "epoch seconds": lambda n: f"{1_700_000_000 + n}.25",
    "epoch microseconds": lambda n: (1_700_000_000 + n) * 10**6,
    "epoch nanoseconds": lambda n: (1_700_000_000 + n) * 10**9,
    "%Y-%m": lambda n: f"{2019 + n // 12}-{n % 12 + 1:02}",
    "%Y/%m/%d": lambda n: f"2024/1/{n % 28 + 1}",
    "%b-%y": lambda n: f"{('Jan', 'Feb', 'Mar')[n % 3]}-{10 + n % 12}",
    "%Y. %m. %d.": lambda n: f"2024. 1. {n % 28 + 1}.",
    "%Y年%m月%d日": lambda n: f"2024年1月{n % 28 + 1}日",
    "%d.%m.%Y": lambda n: "00.00.0000" if n % 5 == 0 else f"{n % 28 + 1:02}.01.2024",
}


@pytest.mark.parametrize("form", MOMENTS)
def test_a_time_is_one_as_the_service_reads_it(
    here: Path, contract: Callable[..., Any], form: str
) -> None:
    """Digits without a mark are no milliseconds; ISO 8601 is what Python's reader takes for it."""
    (here / "own.csv").write_text(text({"stamp": [MOMENTS[form](n) for n in COUNT]} | BASE))
    column = contract("own.csv", "y")["stamp"]
    assert (column["role"], column["format"]) == ("time", form)


def test_an_index_column_without_a_name_is_an_id(here: Path, contract: Callable[..., Any]) -> None:
    """As pandas writes it in front of the others."""
    rows = text({"": [n + 7 for n in COUNT]} | BASE)
    (here / "own.csv").write_text(rows)
    columns = contract("own.csv", "y")
    assert [column["role"] for column in columns.values()] == ["id", "feature", "target"]


def test_years_can_be_names(here: Path, contract: Callable[..., Any]) -> None:
    """Numbers in order are names of columns."""
    years = {year: BASE["x"] for year in ("2019", "2020", "2021")}
    (here / "own.csv").write_text(text(years | BASE))
    assert list(contract("own.csv", "y")) == ["2019", "2020", "2021", "x", "y"]


def test_a_class_is_one_whatever_its_case_and_blanks(
    here: Path, ask: Callable[..., Any], predicted: Callable[[], list[str]]
) -> None:
    """`Yes`, `yes ` and `YES` are one class, which is said; the metric is that of two classes."""
    labels = repeated("Yes", "no", "yes ", " NO", "YES", "No")
    (here / "own.csv").write_text(text({"x": AMOUNTS, "y": labels}))
    done = ask("contract", "--data", "own.csv", "--target", "y")
    target = tomllib.loads((here / "contract.toml").read_text())["columns"]["y"]
    assert target == {"kind": "category", "role": "target", "categories": ["Yes", "no"]}
    assert "yes, NO, YES, No: the same but for case" in done.stdout
    assert config(here)["metric"] == "roc_auc"
    assert set(predicted()) == {"Yes", "no"}


def test_classes_that_differ_by_case_can_be_kept(
    here: Path, contract: Callable[..., Any], predicted: Callable[[], list[str]]
) -> None:
    """If only case tells two classes apart, or a person lists both, they are two."""
    (here / "own.csv").write_text(text({"x": AMOUNTS, "y": repeated("m", "M")}))
    assert contract("own.csv", "y")["y"]["categories"] == ["M", "m"]
    assert set(predicted()) == {"M", "m"}


@pytest.mark.parametrize("end", [",,\n" * 3, "\n\n", " , ,\n,,\n\n"])
def test_blank_rows_at_the_end_are_no_rows(
    here: Path, contract: Callable[..., Any], predicted: Callable[[], list[str]], end: str
) -> None:
    """No column is nullable because of them, and they get no prediction."""
    (here / "own.csv").write_text(text({"n": AMOUNTS} | BASE) + end)
    columns = contract("own.csv", "y")
    assert not any("nullable" in column for column in columns.values())
    assert len(predicted()) == 60


GAPS: dict[str, dict[str, list[Any]]] = {
    "id": {"order_id": ["", *(f"A{n}" for n in COUNT[1:-1]), ""]},
    "time": {"day": repeated("", *(f"2024-01-{n:02}" for n in range(1, 31)))},
    "group": {"patient_id": repeated("", *(f"P{n}" for n in range(30)))},
    "target": {"y": repeated("no", "yes", "")},
}


@pytest.mark.parametrize("role", GAPS)
def test_a_column_with_gaps_can_have_any_role(
    here: Path, contract: Callable[..., Any], predicted: Callable[[], list[str]], role: str
) -> None:
    """Rows without an id, a time, a group or a target are read, and get a prediction."""
    (here / "own.csv").write_text(text(BASE | GAPS[role]))
    name = next(iter(GAPS[role]))
    column = contract("own.csv", "y")[name]
    assert (column["role"], column["nullable"]) == (role, True)
    found = predicted()
    assert len(found) == 60 and set(found) <= {"no", "yes"}


@pytest.mark.parametrize(
    "days, remark",
    [
        (
            ["01/02/2024", "03/01/2024"],
            'month first (if not: format = "%d/%m/%Y" in contract.toml)',
        ),
        (["02/01/2024", "01/03/2024"], 'day first (if not: format = "%m/%d/%Y" in contract.toml)'),
        (["01/13/2024", "01/02/2024"], "month first, 2024-01-02 to 2024-01-13"),
        (["13/01/2024", "01/02/2024"], "day first, 2024-01-13 to 2024-02-01"),
    ],
)
def test_it_is_said_whether_the_day_or_the_month_comes_first(
    here: Path, ask: Callable[..., Any], days: list[str], remark: str
) -> None:
    """With the other format, if that fits as well."""
    (here / "own.csv").write_text(text({"day": repeated(*days)} | BASE))
    assert remark in ask("contract", "--data", "own.csv", "--target", "y").stdout


@pytest.mark.parametrize(
    "values, words, said, ends",
    [
        (["1.234", "2.500"], [], "1.234: '.' is its decimal mark", [1.234, 2.5]),
        (["1.234", "2.500"], ["--decimal", ","], "", [1234, 2500]),
        (["1.234", "2.5"], [], "", [1.234, 2.5]),
        (["1.234,5", "2.500"], [], "", [1234.5, 2500.0]),
    ],
)
def test_a_mark_that_can_be_read_in_two_ways_is_said(
    here: Path,
    ask: Callable[..., Any],
    values: list[str],
    words: list[str],
    said: str,
    ends: list[float],
) -> None:
    """With the option that reads it in the other way."""
    (here / "own.csv").write_text(text({"amount": repeated(*values), "y": BASE["y"]}, ";"))
    done = ask("contract", "--data", "own.csv", "--target", "y", *words)
    assert (said in done.stdout, "DECIMAL=" in done.stdout) == (True, bool(said))
    columns = tomllib.loads((here / "contract.toml").read_text())["columns"]
    assert columns["amount"]["range"] == ends
