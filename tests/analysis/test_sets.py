"""The kernel distance of two sets of videos: unbiased, of exact level, and able to see a shift."""

import numpy as np
import pytest

from cogx_runs.analysis.sets import set_distance


def test_the_distance_is_the_unbiased_one_written_out() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 5, 3))

    def kernel(one: np.ndarray, other: np.ndarray) -> float:
        return float((one @ other / 3 + 1) ** 3)

    own = [
        sum(kernel(a, b) for i, a in enumerate(group) for j, b in enumerate(group) if i != j) / 20
        for group in (first, second)
    ]
    across = sum(kernel(a, b) for i, a in enumerate(first) for j, b in enumerate(second) if i != j) / 20

    assert set_distance(first, second).distance == pytest.approx(sum(own) - 2 * across)


def test_sets_that_do_not_differ_are_about_0_apart_and_rarely_called_different() -> None:
    found = []
    for number in range(60):
        random = np.random.default_rng(number)
        prompts = random.normal(size=(20, 30))
        found.append(set_distance(*(prompts + 0.5 * random.normal(size=(2, 20, 30)))))

    assert abs(np.mean([one.distance for one in found])) < 2e-2
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.12


def test_a_shift_of_some_dimensions_is_seen_with_45_videos_a_side() -> None:
    random = np.random.default_rng(0)
    prompts = random.normal(size=(45, 400))
    first, second = prompts + 0.5 * random.normal(size=(2, 45, 400))
    second[:, :40] += 0.4

    assert set_distance(first, second).p < 0.01
    assert set_distance(first, first).p == 1


def test_sets_without_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="two pairs at least"):
        set_distance(np.zeros((1, 4)), np.zeros((1, 4)))
