"""Validation: rows that break the contract are refused, every breach by its column."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract, merge_violations, raise_for_violations
from mlops_ladder.data.validation import build_schema, find_contract_violations
from mlops_ladder.model.training import prepare_training_rows
from mlops_ladder.settings import Settings


@pytest.fixture(name="rows")
def _rows(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The configured data, each input as its kind, numbered from 0."""
    return validate_and_cast(frame, contract, contract.inputs()).reset_index(drop=True)


def changed(contract: Contract, name: str, **update: Any) -> Contract:
    """The contract with other promises about one column."""
    column = contract.columns[name].model_copy(update=update)
    return contract.model_copy(update={"columns": contract.columns | {name: column}})


def one_of(contract: Contract, *kinds: Any) -> str:
    """An input of these kinds; without one, the test does not apply."""
    names = contract.inputs(*kinds)
    if not names:
        pytest.skip(f"no input of kind {' or '.join(kinds)}")
    return names[0]


def planted(rows: pd.DataFrame, name: str, *values: Any) -> pd.DataFrame:
    """The rows with these values in the first of them."""
    found = rows[name].astype("object")
    found.iloc[: len(values)] = values
    return rows.assign(**{name: found.infer_objects()})


def told(rows: pd.DataFrame, contract: Contract, name: str) -> list[str]:
    """What is said of a column."""
    found = [breach for breach in find_contract_violations(rows, contract) if breach.is_refused]
    return [str(breach) for breach in found if breach.column == name]


def test_every_input_of_the_model_has_its_rules(contract: Contract) -> None:
    """The schema covers every input of the model."""
    assert list(build_schema(contract, contract.inputs()).columns) == contract.inputs()


def test_the_configured_data_break_nothing(
    frame: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """The data of the project keep its own contract, or are learned from with no breach left."""
    found = find_contract_violations(prepare_training_rows(frame, contract, settings), contract)
    assert [str(breach) for breach in found if breach.is_refused or breach.is_expectation] == []


def test_a_value_out_of_range_is_named_with_its_row(rows: pd.DataFrame, contract: Contract) -> None:
    """A number beyond the range is told with its column, range, value and row."""
    name = one_of(contract, "number", "integer")
    low, high = float(rows[name].min()), float(rows[name].max())
    known = changed(contract, name, range=(low, high), enforce=True)
    found = told(planted(rows, name, high + 1), known, name)
    assert len(found) == 1
    start = f"{name}: 1 of {len(rows):,} rows break {low} ≤ {name} ≤ {high}: "
    assert found[0].startswith(start) and str(high + 1) in found[0]
    assert found[0].endswith("(rows 1)")


def test_a_part_of_a_whole_is_named(rows: pd.DataFrame, contract: Contract) -> None:
    """A fraction in a column of whole numbers is told."""
    name = one_of(contract, "number", "integer")
    whole = changed(contract, name, kind="integer", range=None)
    found = told(planted(rows.assign(**{name: 1.0}), name, 0.5), whole, name)
    assert [line.split(" rows ")[1].split(":")[0] for line in found] == ["hold no whole number"]


def test_a_new_category_is_named(rows: pd.DataFrame, contract: Contract) -> None:
    """A word that is none of the categories is told with its row."""
    name = one_of(contract, "category")
    words = sorted(rows[name].dropna().unique())
    known = changed(contract, name, categories=words, enforce=True)
    found = told(planted(rows, name, words[0], "new to all"), known, name)
    rule = f"hold none of the {len(words)} categories"
    assert found == [f"{name}: 1 of {len(rows):,} rows {rule}: 'new to all' (rows 2)"]


def test_what_is_only_expected_is_reported_and_refuses_nothing(
    rows: pd.DataFrame, contract: Contract, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values outside an inferred range or categories: counted by row, printed, not refused."""
    number, word = one_of(contract, "number", "integer"), one_of(contract, "category")
    low, high = float(rows[number].min()), float(rows[number].max())
    words = sorted(rows[word].dropna().unique())
    free = changed(contract, number, range=(low, high), enforce=False)
    free = changed(free, word, categories=words, enforce=False)
    found = find_contract_violations(
        planted(planted(rows, number, high + 1), word, words[0], "new"), free
    )
    found = [
        breach for breach in found if breach.column in (number, word) and breach.max_share is None
    ]
    assert [(breach.column, breach.is_refused) for breach in found] == [
        (name, False) for name in contract.columns if name in (number, word)
    ]
    assert {breach.column: breach.mask.nonzero()[0].tolist() for breach in found} == {
        number: [0],
        word: [1],
    }
    raise_for_violations(found)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(f"outside, not refused: {breach}" for breach in found)


def test_a_class_that_the_target_does_not_have_is_refused(contract: Contract) -> None:
    """The classes are what a model may answer: no guess, so that a slip of the pen is no class."""
    target = changed(
        contract, contract.target, kind="category", categories=["no", "yes"], range=None
    )
    rows = pd.DataFrame({contract.target: ["no", "yes", "yess"]})
    (found,) = find_contract_violations(rows, target)
    assert found.is_refused and str(found).endswith("none of the 2 categories: 'yess' (rows 3)")


@pytest.mark.parametrize(("holes", "refused"), [([5, 5, 5, 5], False), ([20, 0, 0, 21], True)])
def test_a_share_of_missing_values_is_judged_of_all_rows_of_a_stream(
    rows: pd.DataFrame, contract: Contract, holes: list[int], refused: bool
) -> None:
    """20 of 100 in one frame are no flood where 10 % of all rows may be missing; 41 of 400 are."""
    name = contract.inputs()[0]
    loose = changed(contract, name, nullable=True, missing=0.1, range=None, categories=None)
    known = rows[[name]].dropna().sample(100, replace=True, random_state=0, ignore_index=True)
    found = [
        breach
        for count in holes
        for breach in find_contract_violations(
            known.mask(pd.Series(np.arange(100) < count), axis=0), loose
        )
    ]
    (whole,) = [breach.with_total(400) for breach in merge_violations(found)]
    assert (whole.count, whole.is_refused) == (sum(holes), refused)


def test_a_hole_where_none_may_be_is_named(rows: pd.DataFrame, contract: Contract) -> None:
    """A missing value in a column that is not nullable is told."""
    name = contract.inputs()[0]
    strict = changed(contract, name, nullable=False)
    holes = rows.dropna(subset=[name]).reset_index(drop=True)
    found = told(planted(holes, name, None, None), strict, name)
    assert len(found) == 1 and "(rows 1, 2)" in found[0]
    assert found[0].startswith(f"{name}: 2 of {len(holes):,} rows are missing, and the contract")


@pytest.mark.parametrize(("rows_in_all", "lines"), [(100, 1), (99, 0)])
def test_a_flood_of_holes_is_named_where_there_are_rows_enough(
    rows: pd.DataFrame, contract: Contract, rows_in_all: int, lines: int
) -> None:
    """More missing values than the contract calls normal are told, of a hundred rows or more."""
    name = contract.inputs()[0]
    many = rows[[name]].sample(rows_in_all, replace=True, random_state=0, ignore_index=True)
    flooded = many.mask(pd.Series(np.arange(rows_in_all) < 20), axis=0)
    loose = changed(contract, name, nullable=True, missing=0.1, range=None, categories=None)
    assert len(told(flooded, loose, name)) == lines


def test_an_id_that_comes_twice_is_named(rows: pd.DataFrame, contract: Contract) -> None:
    """Rows that share an id are told."""
    name = contract.inputs()[0]
    named = rows.assign(**{name: [f"row {number}" for number in range(len(rows))]})
    unique = changed(contract, name, kind="text", role="id", range=None, categories=None)
    found = told(planted(named, name, "same", "same"), unique, name)
    rule = "hold an id that another row has too"
    assert found == [f"{name}: 2 of {len(rows):,} rows {rule}: 'same' (rows 1, 2)"]
    assert told(named, unique, name) == []


def test_rows_are_numbered_as_in_the_file(rows: pd.DataFrame, contract: Contract) -> None:
    """Of rows that are a part of a file, the breach tells their place in it."""
    name = contract.inputs()[0]
    part = planted(rows.dropna(subset=[name]).tail(3), name, None)
    found = told(part, changed(contract, name, nullable=False), name)
    assert found[0].endswith(f"(rows {part.index[0] + 1})")


def test_training_is_refused_with_every_breach(
    frame: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """A lost column, a word among numbers and a missing value are refused by one error."""
    first, *others = contract.inputs()
    numeric = contract.inputs("number", "integer", "boolean", "time")
    if not {*others} & {*numeric} or len(others) < 2:
        pytest.skip("needs a number or a time, and two further inputs")
    odd = next(name for name in others if name in numeric)
    empty = next(name for name in others if name != odd)
    broken = frame.dropna(subset=[contract.target])  # other rows are not learned from
    broken = broken.drop(columns=first).astype({odd: "object", empty: "object"})
    broken.iloc[0, list(broken).index(odd)] = "nonsense"
    broken.iloc[0, list(broken).index(empty)] = None
    with pytest.raises(ProjectError) as error:
        prepare_training_rows(
            broken, changed(contract, empty, nullable=False), settings, [find_contract_violations]
        )
    said = str(error.value)
    holes = f"{empty}: {broken[empty].isna().sum():,} of"
    wanted = [f"{first}: column is missing", f"{odd}: 1 of", holes]
    assert [line for line in wanted if line not in said] == []
