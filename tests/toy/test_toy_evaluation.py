"""How the toy's weights are judged: by prompts, whose videos are averaged first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from cogx_runs.toy.train.cases import held_out_cases, shipped_cases, things_cases
from cogx_runs.toy.train.evaluate import differences, motion, over_prompts, p_by_signs
from cogx_runs.toy.train.job import ATTRIBUTES, UNSAID
from cogx_runs.toy.train.tokenizer import UNKNOWN, encode
from cogx_runs.toy.train.world import HELD_OUT, PLACE_NAMES, SUBJECT_NAMES


def test_seeds_are_averaged_and_the_interval_is_over_prompts() -> None:
    found = differences([1.0, 3.0, 5.0, 7.0, 0.0, 0.0], [2.0, 2.0, 9.0, 9.0, 2.0, 0.0], seeds=2)

    changes = [0.0, -3.0, -1.0]
    low, high = stats.t.interval(0.95, 2, np.mean(changes), stats.sem(changes))
    assert found["prompts"] == changes
    assert [found["mean"], found["low"], found["high"]] == pytest.approx([-4 / 3, low, high], abs=1e-3)
    assert found["prompts_worse_by_margin"] == 1


def test_videos_of_one_prompt_made_twice_do_not_narrow_the_interval() -> None:
    once = differences([1.0, 2.0, 4.0], [3.0, 3.0, 3.0], seeds=1)

    assert differences([1.0, 1.0, 2.0, 2.0, 4.0, 4.0], [3.0] * 6, seeds=2) == once


@pytest.mark.parametrize(
    ("values", "p"), [([-1.0] * 9, 2 / 512), ([-1.0, -2.0, -3.0], 0.25), ([1.0, -1.0], 1.0), ([0.0, 0.0], 1.0)]
)
def test_the_sign_test_counts_all_flips(values: list[float], p: float) -> None:
    assert p_by_signs(values) == pytest.approx(p)


def test_shares_that_are_all_alike_have_an_interval_without_width() -> None:
    assert over_prompts([1.0] * 9) == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_motion_is_the_mean_change_from_frame_to_frame() -> None:
    video = torch.tensor([0, 10, 30], dtype=torch.uint8).view(1, 3, 1, 1, 1).expand(1, 3, 3, 8, 8)

    assert motion(video) == pytest.approx(15)


def test_cases_ask_for_what_should_be_read_back_in_words_that_are_known() -> None:
    shipped, held_out, things = shipped_cases(), held_out_cases(), things_cases()

    assert [len(shipped), len(held_out), len(things)] == [9, 15, 12]
    assert all(len(case.truth) == len(ATTRIBUTES) for case in shipped + held_out + things)
    assert all(case.truth[3:] == (UNSAID,) * 3 for case in shipped + held_out)
    assert all(UNSAID not in case.truth for case in things)
    pairs = {(SUBJECT_NAMES[case.truth[0]], PLACE_NAMES[case.truth[1]]) for case in shipped + things}
    assert not pairs & HELD_OUT
    assert not (encode([case.text for case in shipped + held_out + things]) == UNKNOWN).any()
