"""Arithmetic: what so many predictions need, by numbers that a reader can work out by hand."""

from {{ cookiecutter.package_name }}.improvement import Costs
from {{ cookiecutter.package_name }}.scaling.arithmetic import Assumed, Measured, planned, told

SEEN = Measured(rows=10_000, bytes=500)
COSTS = Costs(currency="EUR", serving_hour=0.1)


def test_a_billion_a_day_is_worked_out() -> None:
    """Rates, workers, storage and cost, from a worker of 10,000 rows a second."""
    plan = planned(SEEN, COSTS)
    assert (round(plan.mean), round(plan.peak)) == (11_574, 34_722)
    assert round(plan.batch_rate) == 69_444
    assert plan.batch_workers == 12  # of 6,000 rows a second each
    assert (plan.log_gb, plan.kept_gb) == (500, 15_000)
    assert round(plan.batch_cost * 1000, 4) == 2.4  # six machines for four hours
    assert round(plan.storage_cost * 1000, 4) == 12.5
    assert plan.online(1000) == 58


def test_half_the_predictions_need_half_as_much() -> None:
    """The cost of a million stays as it is, but for a machine that is begun."""
    whole, half = (planned(SEEN, COSTS, Assumed(predictions=it)) for it in (1.2e9, 6e8))
    assert half.batch_workers * 2 in (whole.batch_workers, whole.batch_workers + 1)
    assert half.storage_cost == whole.storage_cost


def test_what_is_told_says_what_was_measured_and_what_is_assumed() -> None:
    """Line by line."""
    lines = told(planned(SEEN, COSTS), SEEN, COSTS).splitlines()
    assert ["assumed" in it for it in lines] == [True, True, False, False, False]
    assert ["measured" in it for it in lines] == [False, False, True, True, False]
