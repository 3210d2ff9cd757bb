"""Scatter and residual alone decide nothing: known truth and invariance do."""

from __future__ import annotations

from stemdask.tuning.candidates import Candidate
from stemdask.tuning.choice import choose, merit, objection
from stemdask.tuning.scores import Score, median_of

CONFIG = {"columns": 900.0, "chi2": 2.9, "regularity": 2.8, "agreement": 1.3, "shift": 0.3, "error": 1.7}


def score(failure: str = "", **values: float) -> Score:
    keys = {"columns.shape": "gaussian"} if values or failure else {}
    return Score(Candidate(keys, ()), {} if failure else CONFIG | values, failure)


def test_a_smaller_scatter_and_residual_are_no_reason() -> None:
    odd = score(chi2=1.2, regularity=0.5, agreement=0.2)
    assert choose([score(), odd]) == 0
    assert objection(odd, score()) == ""  # nothing speaks against it either


def test_what_is_nearer_to_the_truth_is_taken() -> None:
    assert choose([score(), score(error=1.2, agreement=2.0)]) == 1
    assert choose([score(), score(error=1.65)]) == 0  # by less than the margin
    assert choose([score(), score(error=1.2), score(error=0.9)]) == 2


def test_what_gains_in_one_and_loses_in_another_stays_out() -> None:
    assert objection(score(error=1.2, shift=2.0), score()) == "moves more with a crop"
    assert objection(score(shift=0.1, error=1.71), score()) == "is further from a known truth"
    assert objection(score(error=1.2, chi2=3.5), score()) == "explains the image less"
    assert objection(score(error=1.2, columns=700.0), score()) == "finds 78 % of the columns"
    assert objection(score(error=float("nan")), score()) == "does not find what was drawn"
    assert choose([score(), score(error=1.2, shift=2.0), score(shift=0.1, error=1.71), score(error=float("nan"))]) == 0


def test_another_name_for_the_same_is_said_to_change_nothing() -> None:
    assert objection(score(error=1.7001), score()) == "changes nothing"
    first = score()
    assert objection(first, first) == ""


def test_a_wrong_shape_that_stays_where_it_is_is_no_reason_to_keep_it() -> None:
    still = score(shift=0.04, error=8.6)
    assert objection(score(error=1.8, shift=1.9), still) == ""
    assert choose([still, score(error=1.8, shift=1.9)]) == 1


def test_where_the_config_fails_the_best_of_the_others_is_taken() -> None:
    failed = score(failure="columns overlap")
    assert choose([failed, score(error=2.0), score(error=1.5), failed]) == 2
    assert choose([failed, failed]) == 0
    assert merit(failed) == float("inf")


def test_every_twin_counts() -> None:
    def of(little: float, much: float) -> Score:
        return Score(Candidate({}, ()), {"shift": 0.0, "error_little": little, "error_much": much})

    assert choose([of(10.0, 10.0), of(5.0, 11.0)]) == 0
    assert choose([of(10.0, 10.0), of(5.0, 9.0)]) == 1


def test_the_median_over_frames_leaves_out_what_is_not_known() -> None:
    frames = [{"error": 1.0, "shift": float("nan")}, {"error": 3.0, "shift": 2.0}, {"error": 2.0, "shift": 4.0}]
    assert median_of(Candidate({}, ()), frames).values == {"error": 2.0, "shift": 3.0}
