"""The arithmetic of the benchmarks: what is divided by what, and which rows are run."""

import pytest

from bench.paired import (
    INPUTS,
    ROUND_MAX_NS,
    ROUND_NS,
    Goal,
    Row,
    duration,
    paired,
    pass_count,
    ratio_text,
    select,
    summarize,
    table,
)


def test_ratio_is_the_median_of_rounds_not_the_ratio_of_medians():
    row = summarize("r", [(10, 10), (40, 20), (90, 30)], 1)
    assert row.ratios == (1.0, 2.0, 3.0)
    assert row.value == 2.0
    assert (row.ours, row.against) == (40, 20)


def test_one_disturbed_round_does_not_move_the_median():
    row = summarize("r", [(10, 10), (10, 10), (9000, 10), (10, 10), (10, 10)], 1)
    assert row.value == 1.0


def test_nanoseconds_are_divided_by_the_operations():
    row = summarize("r", [(2560, 5120)] * 5, 256)
    assert (row.ours, row.against) == (10, 20)


def test_where_more_is_better_the_ratio_says_how_many_times_faster():
    row = summarize("r", [(10, 200)] * 5, 1, goal=Goal(must=18, stretch=23, at_least=True))
    assert row.value == 20
    assert row.cells()[-2] == "must"


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal(must=1.1, stretch=1.06), 1.06, "stretch"),
        (Goal(must=1.1, stretch=1.06), 1.07, "must"),
        (Goal(must=1.1, stretch=1.06), 1.11, "missed"),
        (Goal(must=18, stretch=23, at_least=True), 23, "stretch"),
        (Goal(must=18, stretch=23, at_least=True), 22.9, "must"),
        (Goal(must=18, stretch=23, at_least=True), 17.9, "missed"),
        (Goal(must=10), 10, "must"),
    ],
)
def test_verdict_at_the_bounds(goal: Goal, value: float, verdict: str):
    assert goal.verdict(value) == verdict


def test_a_row_without_a_goal_may_still_say_how_many_times_faster():
    row = summarize("r", [(10, 200)] * 5, 1, faster=True)
    assert row.value == 20
    assert row.cells()[-2] == ""


def test_a_row_without_ratios_is_judged_by_its_nanoseconds():
    row = Row(name="r", ours=0.5, goal=Goal(must=1))
    assert row.cells()[1:7] == ("0.50 ns", "", "", "≤ 1 ns", "", "must")


def test_a_row_that_was_not_measured_says_why_and_nothing_else():
    assert Row(name="r", note="not installed").cells() == ("r", *[""] * 6, "not installed")


class Counter:
    """A side that takes a fixed time per input and remembers which it was given."""

    def __init__(self, ns: int) -> None:
        self.ns = ns
        self.given: list[int] = []

    def __call__(self, first: int, last: int) -> int:
        self.given += range(first, last)
        return self.ns * (last - first)


def test_both_sides_see_every_input_equally_often():
    ours, against = Counter(1_000_000), Counter(2_000_000)
    row = paired("r", ours, against, rounds=5, turn=16)
    assert row.ratios == (0.5,) * 5
    assert (row.ours, row.against) == (1_000_000, 2_000_000)
    assert sorted(ours.given) == sorted(against.given)
    assert {ours.given.count(i) for i in range(INPUTS)} == {ours.given.count(0)}


def test_sides_are_not_exchanged_when_the_other_begins():
    row = paired("r", Counter(3_000_000), Counter(1_000_000), rounds=6, turn=64)
    assert row.ratios == (3.0,) * 6


def test_smoke_runs_each_input_once_on_both_sides_and_gives_no_figure():
    ours, against = Counter(1), Counter(1)
    row = paired("r", ours, against, rounds=0)
    assert ours.given == against.given == list(range(INPUTS))
    assert row.ours is None


@pytest.mark.parametrize(
    ("ours", "against", "passes"),
    [
        (ROUND_NS, ROUND_NS, 1),
        (ROUND_NS // 10, ROUND_NS, 10),
        (1, ROUND_MAX_NS, 1),  # a slow other side bounds the round
        (0, 0, ROUND_NS),  # a clock too coarse to tell
    ],
)
def test_passes_fill_a_round_and_respect_its_bound(ours: int, against: int, passes: int):
    assert pass_count(ours, against) == passes


def test_a_turn_in_which_somebody_else_ran_does_not_count():
    class Disturbed(Counter):
        def __call__(self, first: int, last: int) -> int:
            slow = 50 if first == 0 else 1
            return super().__call__(first, last) * slow

    row = paired("r", Disturbed(1_000_000), Counter(1_000_000), rounds=5, turn=16)
    assert row.value == 1.0


def test_select_keeps_the_order_of_the_suites():
    assert select(["a", "b", "c"], ["c", "a"]) == ["a", "c"]
    assert select(["a", "b"], []) == ["a", "b"]


def test_select_refuses_an_unknown_name_and_lists_the_others():
    with pytest.raises(ValueError, match="'x' is none of a, b"):
        select(["a", "b"], ["a", "x"])


@pytest.mark.parametrize(
    ("ns", "text"), [(0.514, "0.51 ns"), (334.2, "334 ns"), (9999, "9999 ns"), (25_300, "25.3 µs")]
)
def test_duration_text(ns: float, text: str):
    assert duration(ns) == text


def test_ratio_text_has_the_extremes():
    assert ratio_text([1.02, 1.04, 1.31]) == "1.040× (1.020–1.310)"
    assert ratio_text([20.0, 21.0, 22.0]) == "21.0× (20.0–22.0)"
    assert ratio_text([]) == ""


def test_markdown_has_as_many_cells_in_every_line():
    lines = table([Row(name="a", ours=1), Row(name="b", note="n")], markdown=True).splitlines()
    assert len({line.count("|") for line in lines}) == 1
