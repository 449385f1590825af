"""Votes by prompt: strengths with ties, intervals over prompts and voters, and the metrics' agreement."""

import numpy as np
import pytest
from scipy import optimize, special

from cogx_runs.analysis.preferences import Choice, metric_agreement, preferences


def choices(wins: dict[str, tuple[int, int, int]], voters: int = 1, pair: tuple[int, int] = (0, 1)) -> list[Choice]:
    """Votes on a pair of values: how many prefer the first, the second and neither, by prompt, each by a voter."""
    found = []
    for place, (prompt, counts) in enumerate(wins.items()):
        outcomes = [pair[0]] * counts[0] + [pair[1]] * counts[1] + [None] * counts[2]
        for number, winner in enumerate(outcomes):
            signatures = (f"{prompt}-{pair[0]}", f"{prompt}-{pair[1]}")
            found.append(Choice(prompt, f"v{(number + place) % voters}", *pair, winner, signatures))
    return found


def test_strengths_are_those_of_davidsons_model_by_another_optimiser() -> None:
    votes = [
        *choices({"a": (6, 2, 2)}, 10, (0, 1)),
        *choices({"a": (5, 4, 1)}, 10, (1, 2)),
        *choices({"a": (7, 1, 2)}, 10, (0, 2)),
    ]
    counted = {(0, 1): (6.5, 2.5, 2), (1, 2): (5.5, 4.5, 1), (0, 2): (7.5, 1.5, 2)}  # with half a vote each way

    def loss(given: np.ndarray) -> float:
        strength, tie = np.array([given[0], 0, given[1]]), given[2]
        logs = [
            np.dot(counts, special.log_softmax([strength[a], strength[b], tie + (strength[a] + strength[b]) / 2]))
            for (a, b), counts in counted.items()
        ]
        return -float(np.sum(logs))

    expected = special.expit(optimize.minimize(loss, np.zeros(3), method="Nelder-Mead").x[:2])

    found = preferences(votes, 3, 1)

    assert [found[0].share, found[2].share] == pytest.approx(list(expected), abs=2e-3)
    assert found[1].share is None


def test_twenty_voters_of_two_prompts_are_not_forty_votes() -> None:
    pooled = preferences(choices({f"p{number}": (4, 1, 0) for number in range(9)}, 5), 2, 1)[0]
    split = preferences(choices({"a": (20, 0, 0), "b": (5, 20, 0)}, 20), 2, 1)[0]

    assert pooled.low is not None
    assert pooled.low > 0.5
    assert split.low is not None
    assert split.high is not None
    assert split.low < 0.3 < 0.9 < split.high
    assert (split.prompts, split.voters, split.p) == (2, 20, None)


def test_p_is_over_prompts_however_many_votes_they_have() -> None:
    unanimous = choices({f"p{number}": (1, 0, 0) for number in range(8)})
    many = choices({f"p{number}": (30, 0, 0) for number in range(8)}, 30)

    assert preferences(unanimous, 2, 1)[0].p == pytest.approx(2 / 2**8)
    assert preferences(many, 2, 1)[0].p == pytest.approx(2 / 2**8)
    assert preferences(choices({f"p{number}": (0, 0, 3) for number in range(8)}), 2, 1)[0].p == 1


def test_a_prompt_with_many_votes_weighs_as_one_with_few() -> None:
    even = preferences(choices({"a": (40, 0, 0), "b": (0, 2, 0)}, 40), 2, 1)[0]

    assert even.share == pytest.approx(0.5, abs=0.02)


def test_one_prompt_has_no_interval_and_a_value_without_votes_nothing() -> None:
    found = preferences(choices({"a": (3, 0, 0)}), 3, 1)

    assert (found[0].low, found[0].high) == (None, None)
    assert (found[2].prompts, found[2].voters, found[2].share) == (0, 0, None)
    assert [one.share for one in preferences([], 2, 0)] == [None, None]


def test_a_metric_that_agrees_with_the_votes_has_the_difference_that_three_of_four_see() -> None:
    random = np.random.default_rng(3)
    votes: list[Choice] = []
    scores: dict[str, float] = {}
    for number in range(600):
        prompt, lead = f"p{number % 12}", random.uniform(-3, 3)
        names = (f"{number}a", f"{number}b")
        scores |= {names[0]: lead, names[1]: 0.0}
        winner = 0 if random.random() < special.expit(1.1 * lead) else 1
        votes.append(Choice(prompt, "v", 0, 1, winner, names))

    found = metric_agreement(votes, "clip_score", scores, higher_is_better=True)
    other = metric_agreement(votes, "noise", scores, higher_is_better=False)

    assert found is not None
    assert found.low is not None
    assert other is not None
    assert found.low > 0.65
    assert found.decisive == pytest.approx(np.log(3) / 1.1, rel=0.15)
    assert (found.prompts, found.votes) == (12, 600)
    assert other.share == pytest.approx(1 - found.share)
    assert other.decisive is None
    assert metric_agreement(votes, "none", {}, higher_is_better=True) is None
