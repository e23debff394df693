"""The datasheet: every count and range is that of the data, and no value of a person is shown."""

from importlib import import_module
from typing import Any

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.markdown import split_page
from mlops_ladder.problem import read_data
from mlops_ladder.settings import Settings

TIMES = "2023-01-31 08:00:00 to 2024-05-01 10:30:00"


@pytest.fixture(name="datasheet", scope="module")
def _datasheet() -> Any:
    """The module behind `ladder datasheet`."""
    return import_module("mlops_ladder.data.datasheet")


@pytest.fixture(name="text", scope="module")
def _text(datasheet: Any, contract: Contract, settings: Settings) -> str:
    """The sheet of the configured data, with words of the user's own."""
    return f"{render_sheet(datasheet, read_data(settings), contract, settings)}\nMy own words.\n"


def render_sheet(datasheet: Any, frame: pd.DataFrame, *more: Any) -> str:
    """The sheet of these rows, without the part below the line."""
    page = datasheet.render_page(frame, *more)
    return split_page(datasheet.SHEET, page, datasheet.OWN_WORDS_LINE)[0]


def test_a_fresh_sheet_says_what_the_data_hold(
    datasheet: Any, text: str, contract: Contract, settings: Settings
) -> None:
    """Each column has its line, with its role; the number of rows is there."""
    for name, column in contract.columns.items():
        assert f"| `{name}` | {column.role} | {column.kind} |".replace("||", "") in text
    assert f"{len(read_data(settings)):,} rows of {len(contract.columns)} columns" in text
    assert split_page(datasheet.SHEET, text, datasheet.OWN_WORDS_LINE)[1] == "\nMy own words.\n"


def test_names_and_values_are_text_in_the_sheet(datasheet: Any, contract: Contract) -> None:
    """A category or a column that holds markup is shown as it is written, in one cell."""
    column = contract.columns[contract.target].model_copy(update={"kind": "category"})
    name, value = "a|`b`", "<script>alert(1)</script>\n|"
    known = contract.model_copy(update={"columns": {name: column}})
    assert datasheet.format_column(name, pd.DataFrame({name: [value]}), known) == (
        "| a&#124;&#96;b&#96; | target | category | 0.0% |"
        " &#60;script&#62;alert(1)&#60;/script&#62; &#124; 100.0% |"
    )


def test_an_edited_count_is_found(
    datasheet: Any, text: str, contract: Contract, settings: Settings
) -> None:
    """A number that is not that of the data fails, and both lines are shown."""
    frame = read_data(settings)
    rows, wanted = f"{len(frame):,} rows", render_sheet(datasheet, frame, contract, settings)
    assert "is that of the data" in datasheet.compare_datasheet(text, wanted)
    with pytest.raises(ProjectError, match="differs from the data") as found:
        datasheet.compare_datasheet(text.replace(rows, "1 rows", 1), wanted)
    assert "1 rows" in str(found.value) and rows in str(found.value)


def test_other_data_make_the_sheet_stale(
    datasheet: Any, text: str, contract: Contract, settings: Settings
) -> None:
    """A row less is another sheet."""
    wanted = render_sheet(datasheet, read_data(settings).iloc[1:], contract, settings)
    with pytest.raises(ProjectError, match="run `make datasheet`"):
        datasheet.compare_datasheet(text, wanted)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([3.0, None, 1.0, 2.5], "1 to 3, median 2.5"),
        (["b", "a", "b", None], "b 66.7%, a 33.3%"),
        (list("aaabbcde"), "a 37.5%, b 25.0%, c 12.5%, 2 more"),
        ([True, False, True], "True 66.7%, False 33.3%"),
        (pd.to_datetime(["2024-05-01 10:30", "2023-01-31 08:00"]), TIMES),
        ([None, None], "nothing"),
    ],
    ids=["numbers", "words", "many words", "truths", "times", "nothing"],
)
def test_a_column_is_told_by_its_values(datasheet: Any, values: list[object], said: str) -> None:
    """Numbers by their range, times by the first and the last, words by how frequent they are."""
    assert datasheet.summarize_values(pd.Series(values)) == said


@pytest.mark.parametrize("role", ["personal", "id", "ignored"])
def test_no_value_of_a_person_is_shown(datasheet: Any, contract: Contract, role: str) -> None:
    """Of such a column only the number of different values is told."""
    name = contract.inputs()[0]
    columns = contract.columns | {name: contract.columns[name].model_copy(update={"role": role})}
    other = contract.model_copy(update={"columns": columns})
    line = datasheet.format_column(name, pd.DataFrame({name: ["Ada", "Ada", "Grace"]}), other)
    assert "2 different values" in line and "Ada" not in line


def test_make_datasheet_writes_and_keeps_own_words(
    datasheet: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without the line between, nothing is overwritten."""
    with pytest.raises(ProjectError, match="put it back above your own words"):
        split_page(datasheet.SHEET, "All mine.", datasheet.OWN_WORDS_LINE)
    datasheet.write_datasheet(check=True)
    assert capsys.readouterr().out.startswith("DATASHEET.md: ")
