"""Full grids: ranked parameters, interactions, rank correlations, and time against work."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cogx_runs.analysis.correlations import rank_correlations
from cogx_runs.analysis.effects import effects
from cogx_runs.analysis.interactions import interactions
from cogx_runs.analysis.ranking import rank_parameters
from cogx_runs.analysis.timing import fit_time, tokens_of
from cogx_runs.analysis.wording import interaction_sentence
from cogx_runs.errors import CogxError
from tests.support.frames import frame_of, run
from tests.support.studies import PROMPTS, SCORES


def grid(metric: str, of: Any, prompts: Sequence[str] = PROMPTS[:8], **given: Any) -> list[dict[str, Any]]:
    return [
        run(prompt_name=prompt, num_inference_steps=steps, guidance_scale=guidance, **{metric: of(n, steps, guidance)},
            **given)
        for n, prompt in enumerate(prompts) for steps in (10, 50) for guidance in (1.0, 6.0)
    ]  # fmt: skip


def test_parameters_are_ranked_by_their_largest_change() -> None:
    rows = grid("clip_score", lambda n, steps, guidance: 20 + n + 0.01 * steps + guidance)

    found = effects(frame_of(rows), ["num_inference_steps", "guidance_scale"], ["clip_score"])

    assert [(one.aspect, one.rank, one.axis) for one in rank_parameters(found)] == [
        ("quality", 1, "guidance_scale"),
        ("quality", 2, "num_inference_steps"),
    ]
    assert [effect.settings for effect in found] == [2, 2]
    assert [effect.mean for effect in found] == pytest.approx([-0.4, -5.0])


def test_an_interaction_is_a_difference_of_differences() -> None:
    none = frame_of(grid("clip_score", lambda n, steps, guidance: 20 + n + steps + guidance))
    some = frame_of(grid("clip_score", lambda n, steps, guidance: 20 + (1 + n) * steps * guidance))

    (without,) = interactions(none, "num_inference_steps", "guidance_scale", "clip_score")
    (found,) = interactions(some, "num_inference_steps", "guidance_scale", "clip_score")

    assert (without.mean, without.verdict, without.missing_prompts) == (0.0, "inconclusive", 6)
    expected = [(1 + n) * (10 - 50) * (1 - 6) for n in range(8)]
    low, high = stats.ttest_1samp(expected, 0).confidence_interval(0.95)
    assert (found.mean, found.t_low, found.t_high) == pytest.approx((np.mean(expected), low, high))
    assert (found.prompts, found.squares, found.verdict) == (8, 8, "higher")
    assert interaction_sentence(found).startswith(
        "The change of the CLIP score from num_inference_steps 50 to 10 is 900.00 higher at guidance_scale 1 "
        "than at 6 ("
    )
    assert interaction_sentence(found).endswith("; 8 prompts): higher, exploratory.")
    assert "is the same at guidance_scale 1 as at 6" in interaction_sentence(without)
    turned = interactions(some, "guidance_scale", "num_inference_steps", "clip_score")[0]
    assert (turned.mean, turned.p) == pytest.approx((found.mean, found.p))


def test_rank_correlation_is_within_prompts_where_they_have_the_cells() -> None:
    rows = grid("clip_score", lambda n, steps, guidance: 100 * n + steps + guidance)
    sized = [{**row, "metrics.file_size_bytes": 1e4 - row["metrics.clip_score"] % 100} for row in rows]

    (found,) = rank_correlations(frame_of(sized), ["clip_score", "file_size_bytes"])

    assert (found.kind, found.rho, found.prompts, found.cells) == ("within prompts", pytest.approx(-1), 8, 32)
    assert (found.low, found.high) == pytest.approx((-1, -1))
    one_each = [
        run(prompt_name=prompt, clip_score=score, file_size_bytes=size)
        for prompt, score, size in zip(PROMPTS, SCORES, range(9), strict=False)
    ]
    (across,) = rank_correlations(frame_of(one_each), ["clip_score"])
    assert across.kind == "across prompts"
    assert across.rho == pytest.approx(stats.spearmanr(SCORES, range(9)).statistic)
    assert across.low is not None
    assert across.low < across.rho < across.high  # type: ignore[operator]
    (one_prompt,) = rank_correlations(frame_of(sized[:4]), ["clip_score"])
    assert (one_prompt.low, one_prompt.prompts) == (None, 1)


def test_time_is_fitted_to_the_tokens_that_go_through() -> None:
    assert (tokens_of(49, 480, 720, 226), tokens_of(25, 480, 720, 226)) == (17_776, 9_676)

    def seconds(n: int, steps: int, guidance: float) -> float:
        return 2.0 + 0.5 * steps * (1 if guidance <= 1 else 2) * 17_776 / 1e6

    rows = grid("denoise_s", seconds)
    beside = [{**row, "tags.cogx.beside": "another sweep", "metrics.denoise_s": 1e3} for row in rows]

    fit = fit_time(frame_of(rows + beside))

    assert (fit.fixed_s, fit.s_per_million_tokens, fit.r_squared) == pytest.approx((2.0, 0.5, 1.0))
    assert (fit.cells, fit.prompts, fit.token_counts, fit.device, fit.left_out) == (32, 8, 1, "A chip", 0)
    with pytest.raises(CogxError, match="1 different amounts of work; a line needs"):
        fit_time(frame_of([row for row in rows if row["params.num_inference_steps"] == "10"][::2]))
