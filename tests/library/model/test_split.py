"""The split: parts that share nothing, in the order of time, and columns that tell the target."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.model import training
from mlops_ladder.model.split import (
    find_duplicates_across_splits,
    find_overlaps,
    find_target_leakage,
    list_row_ids,
    MIN_ROWS,
    split_three_ways,
    Splits,
)
from mlops_ladder.settings import Settings

LEAK, NAME, TIME, GROUP = "a leaked copy", "an id", "a time", "a group"


@pytest.fixture(name="rows", scope="module")
def _rows(frame: pd.DataFrame, contract: Contract, settings: Settings) -> pd.DataFrame:
    """The configured data as they are learned from."""
    return training.prepare_training_rows(frame, contract, settings)


@pytest.fixture(name="whole", scope="module")
def _whole(rows: pd.DataFrame, contract: Contract, settings: Settings) -> Splits:
    """The configured data in three parts."""
    return split_three_ways(rows, contract, settings)


def declared(contract: Contract, **columns: Column) -> Contract:
    """The contract with these columns in place of its times and groups."""
    kept = {
        name: column
        for name, column in contract.columns.items()
        if column.role not in ("time", "group")
    }
    return contract.model_copy(update={"columns": kept | columns})


def test_every_row_is_in_one_part(whole: Splits, rows: pd.DataFrame, contract: Contract) -> None:
    """The parts share no row, id or group, keep the order of time, and hold every row."""
    assert not find_overlaps(whole, contract)
    every = [row for _, part in whole.items() for row in part.index]
    assert sorted(every) == list(rows.index)


def test_the_holdout_is_that_of_training(
    whole: Splits, rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """`make train` and the pipeline are judged by the same rows."""
    assert list(whole.holdout.index) == list(
        training.split_holdout(rows, contract, settings)[1].index
    )


def test_the_ids_say_the_part_of_each_row(whole: Splits, contract: Contract) -> None:
    """A line for each row: its ids, or its number, and its part."""
    found = list_row_ids(whole, contract)
    assert list(found) == [*(contract.names("id") or ["row"]), "key", "part"]
    assert found["part"].value_counts().to_dict() == {n: len(part) for n, part in whole.items()}
    assert not found.duplicated().any()


WHERE, SIZE, YES = "where", "size", "yes"
PLAIN = Contract(
    columns={
        NAME: Column(kind="text", role="ignored"),
        GROUP: Column(kind="category", role="ignored"),
        WHERE: Column(kind="category", role="feature"),
        SIZE: Column(kind="number", role="feature", nullable=True),
        YES: Column(kind="boolean", role="target"),
    }
)


def sized(count: int) -> pd.DataFrame:
    """Rows without a time, each another one; the first ones are the same however many there are."""
    numbers = pd.Series(range(count))
    return pd.DataFrame(
        {
            NAME: numbers.astype(str),
            GROUP: (numbers % 40).astype(str),
            WHERE: numbers.mod(3).map({0: "Köln", 1: "東京", 2: "Łódź"}),
            SIZE: np.random.default_rng(0).normal(size=count),
            YES: numbers % 2 == 0,
        }
    )


KEYS = {
    "id": {NAME: Column(kind="text", role="id")},
    "group": {GROUP: Column(kind="text", role="group")},
    "row": {},
}


@pytest.mark.parametrize("role", KEYS)
def test_further_rows_move_no_row_to_another_part(settings: Settings, role: str) -> None:
    """Rows that come later, in any order and with values missing, leave each row where it was."""
    known = PLAIN.model_copy(update={"columns": PLAIN.columns | KEYS[role]})
    whole = sized(900)
    whole.loc[800:, SIZE] = np.nan
    less = split_three_ways(sized(600), known, settings)
    more = split_three_ways(whole.sample(frac=1, random_state=1), known, settings)
    for name, part in less.items():
        assert set(part[NAME]) == set(vars(more)[name][NAME]) & set(sized(600)[NAME])
        assert 0 < len(part) < 600
    assert abs(len(more.holdout) / 900 - settings.holdout) < (0.2 if role == "group" else 0.05)


def test_equal_rows_are_in_one_part(settings: Settings) -> None:
    """A row that is delivered twice is not learned from and held out; nor is a corrected answer."""
    once = sized(300)
    twice = pd.concat([once, once.assign(**{YES: ~once[YES]})], ignore_index=True)
    kept, held = training.split_holdout(twice, PLAIN, settings)
    assert not set(kept[SIZE]) & set(held[SIZE])


def test_rows_of_few_kinds_are_still_split_at_random(settings: Settings) -> None:
    """If inputs repeat, each kind of row is learned from and held out, in the same shares."""
    rows = sized(3000).assign(**{SIZE: 1.0})
    kept, held = training.split_holdout(rows, PLAIN, settings)
    assert set(kept[WHERE]) == set(held[WHERE]) == set(rows[WHERE])
    assert abs(held[YES].mean() - 0.5) < 0.06
    again = training.split_holdout(pd.concat([rows, rows], ignore_index=True), PLAIN, settings)[1]
    assert list(again.index[again.index < len(rows)]) == list(held.index)
    mixed = training.split_holdout(
        rows.sample(frac=1, random_state=1, ignore_index=True), PLAIN, settings
    )
    counts = [it[[WHERE, YES]].value_counts().to_dict() for it in (held, mixed[1])]
    assert counts[0] == counts[1]  # another order of the same rows holds out the same ones


def test_a_row_in_two_parts_is_found(whole: Splits, contract: Contract) -> None:
    """A held-out row that is learned from as well is told."""
    mixed = replace(whole, train=pd.concat([whole.train, whole.holdout.head(1)]))
    assert "row: 1 stand in more than one of train, validation, holdout: " in "\n".join(
        find_overlaps(mixed, contract)
    )


def test_an_id_in_two_parts_is_found(whole: Splits, contract: Contract) -> None:
    """An id on both sides is told, also where the rows differ."""
    named = declared(contract, **{NAME: Column(kind="text", role="id")})
    parted = Splits(*(part.assign(**{NAME: part.index.astype(str)}) for _, part in whole.items()))
    same = str(parted.train[NAME].iloc[0])
    mixed = replace(parted, holdout=parted.holdout.assign(**{NAME: same}))
    assert [line for line in find_overlaps(mixed, named) if line.startswith(f"{NAME}: 1 stand in")]


def test_times_out_of_order_are_found(whole: Splits, contract: Contract) -> None:
    """A part that begins before the one that it follows has ended is told."""
    timed = declared(contract, **{TIME: Column(kind="time", role="time")})
    days = iter(pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-02"]))
    mixed = Splits(*(part.assign(**{TIME: next(days)}) for _, part in whole.items()))
    assert find_overlaps(mixed, timed)[-1] == f"{TIME}: holdout begins before validation ends"


def test_groups_stay_together(rows: pd.DataFrame, contract: Contract, settings: Settings) -> None:
    """Rows of one group are in one part; a group in two parts is told."""
    grouped = declared(contract, **{GROUP: Column(kind="category", role="group")})
    known = rows.assign(**{GROUP: [f"group {number % 4}" for number in range(len(rows))]})
    found = split_three_ways(known, grouped, settings)
    assert not find_overlaps(found, grouped)
    mixed = replace(found, holdout=found.holdout.assign(**{GROUP: found.train[GROUP].iloc[0]}))
    assert find_overlaps(mixed, grouped)[-1].startswith(f"{GROUP}: 1 stand in more than one of")


@pytest.mark.parametrize("groups", [1, 2])
def test_too_few_groups_are_refused(
    rows: pd.DataFrame, contract: Contract, settings: Settings, groups: int
) -> None:
    """Three parts need three groups, and the error says what to do."""
    grouped = declared(contract, **{GROUP: Column(kind="category", role="group")})
    known = rows.assign(**{GROUP: [f"group {number % groups}" for number in range(len(rows))]})
    with pytest.raises(ProjectError, match=f"{groups} groups of {GROUP}: too few for three parts"):
        split_three_ways(known, grouped, settings)


def test_too_few_rows_are_refused(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """Two rows make no three parts."""
    with pytest.raises(ProjectError, match="2 rows: too few for three parts"):
        split_three_ways(rows.head(2), declared(contract), settings)


def test_a_row_that_is_learned_from_and_held_out_is_told(whole: Splits, contract: Contract) -> None:
    """Held-out rows that equal one that is learned from are counted."""
    copied = replace(whole, holdout=pd.concat([whole.train.head(1), whole.holdout.head(0)]))
    assert find_duplicates_across_splits(copied, contract)[0].startswith(
        "1 of 1 held-out rows equal one"
    )


@pytest.mark.parametrize("scale", ["copy", "negative", "monotone", "code", "noise"])
def test_a_leaked_target_is_told(
    rows: pd.DataFrame, contract: Contract, settings: Settings, scale: str
) -> None:
    """A column that is the target on whatever scale, or nearly so, is named."""
    some = rows.dropna(subset=[contract.target]).head(2000)
    if len(some) < 2 * MIN_ROWS:
        pytest.skip(f"leaks are told from {MIN_ROWS} rows on")
    # A code is told by rows of other folds: where nearly each occurs once, no fold knows it.
    if scale == "code" and some[contract.target].nunique() > len(some) / 10:
        pytest.skip("of codes that hardly repeat nothing can be learned")
    numbers = pd.Series(pd.factorize(some[contract.target], sort=True)[0], some.index, float)
    leaked: dict[str, pd.Series] = {
        "copy": numbers,
        "negative": -numbers,
        "monotone": numbers**0.5,
        "code": numbers.map(lambda value: f"code {value * 7919 % 10007}"),
        "noise": numbers + np.random.default_rng(0).normal(size=len(some)) * numbers.std() / 100,
    }
    column = Column(kind="category" if scale == "code" else "number", role="feature", nullable=True)
    known = Contract(columns={LEAK: column, contract.target: contract.columns[contract.target]})
    found = find_target_leakage(some.assign(**{LEAK: leaked[scale]}), known, settings)
    assert [line for line in found if line.startswith(f"{LEAK}: alone it tells ")]


def test_no_column_of_the_configured_data_leaks(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """No input alone tells the target, but for those that the settings allow."""
    assert not find_target_leakage(rows, contract, settings)


def test_an_allowed_column_is_not_told(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """What `leaks.allowed` names may tell the target."""
    known = declared(contract, **{LEAK: Column(kind="category", role="feature")})
    copied = rows.assign(**{LEAK: rows[contract.target].astype(str)})
    allowed = settings.leaks.model_copy(update={"allowed": [*settings.leaks.allowed, LEAK]})
    told = find_target_leakage(copied, known, settings.model_copy(update={"leaks": allowed}))
    assert [line for line in told if line.startswith(LEAK)] == []
