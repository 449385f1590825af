"""Effects in plain English."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cogx_runs.analysis.effects import effects
from cogx_runs.analysis.wording import sentence
from tests.support.frames import frame_of, run
from tests.support.studies import PROMPTS, clip_effects, study


def test_sentences_state_the_finding_and_no_more() -> None:
    (better,) = clip_effects(study())
    (inconclusive,) = clip_effects(study([4.0, -1.0, 2.0] * 3))
    (small,) = clip_effects(study([0.2, 0.21, 0.2, 0.19] * 4))
    (less,) = clip_effects(study([0.2, 0.21, 0.2, 0.19] * 2))
    (few,) = clip_effects(study([0.2, -0.2] * 4))

    assert sentence(better) == (
        "At guidance_scale 12 the CLIP score is on average 1.00 higher than at 6 (95% interval +0.55 to +1.45; "
        "9 prompts, 1 seed): better. 0 of 9 prompts lose more than 1.00 (95% interval of all such prompts 0% to 34%); "
        "the median prompt changes by +1.00 (+0.50 to +1.50)."
    )
    too_few = f"inconclusive. {inconclusive.prompts} prompts are too few; try about {inconclusive.more_prompts}."
    assert too_few in sentence(inconclusive)
    assert "is on average 0.20 higher than at 6 (90% interval +0.20 to +0.20; 16 prompts, 1 seed)" in sentence(small)
    small_text = ": equivalent within 1.00, though not the same. Up to 17% of prompts may still change by more."
    assert small_text in sentence(small)
    assert ": better, on average by less than the margin of 1.00. 0 of 8 prompts lose" in sentence(less)
    assert (
        ". The mean is within the margin, but 31% of prompts may still change by more. 6 more prompts would bring it "
        "to 20%, if none of them does."
    ) in sentence(few)


def test_degenerate_videos_count_and_are_mentioned() -> None:
    noise = {"cogx.degenerate": "noise"}
    rows = [row | {"tags.cogx.degenerate": None} for row in study([-9.0, -8.0, 1.0])]
    rows[1] |= {f"tags.{name}": value for name, value in noise.items()}
    rows[3] |= {f"tags.{name}": value for name, value in noise.items()}
    timed = [row | {"metrics.wall_time_s": 1.0 + place % 2} for place, row in enumerate(rows)]

    (effect,) = clip_effects(rows)
    (time,) = effects(frame_of(timed), ["guidance_scale"], ["wall_time_s"])
    (none,) = clip_effects(study([-9.0, -8.0, 1.0]))

    assert (effect.mean, effect.degenerate, effect.degenerate_baseline) == (pytest.approx(-16 / 3), 2, 0)
    assert effect == replace(none, degenerate=2)
    assert (
        sentence(effect) == f"{sentence(none)} Degenerate: 2 of 3 videos at 12, 0 of 3 at 6. They count like any other."
    )
    assert (time.degenerate, "egenerate" in sentence(time)) == (2, False)


def test_a_sentence_writes_a_metric_as_its_card_does_and_never_a_change_as_zeros() -> None:
    def said(metric: str, changes: Sequence[float], base: float = 1.0) -> str:
        def row(prompt: str, guidance: float, change: float) -> dict[str, Any]:
            measured: Any = {metric: base + guidance / 12 * change}
            return run(prompt_name=prompt, guidance_scale=guidance, **measured)

        rows = [
            row(prompt, guidance, change)
            for prompt, change in zip(PROMPTS, changes, strict=False)
            for guidance in (0.0, 12.0)
        ]
        (one,) = effects(frame_of(rows), ["guidance_scale"], [metric], {"guidance_scale": 0.0})
        return sentence(one)

    assert said("file_size_bytes", [1500.0] * 3, 1e5) == (
        "At guidance_scale 12 the file size is on average 1.5 kB higher than at 0 (the same difference in each; "
        "3 prompts, 1 seed): inconclusive, exploratory. 3 prompts are too few; 6 are the least. "
        "0 of 3 prompts change more than 5.0 kB (95% interval of all such prompts 0% to 71%)."
    )
    assert "95% interval +0.28 dB to +2.12 dB, Student's;" in said("psnr", [0.83, 1.2, 1.57], 4.0)
    assert "the motion is 0.10 % higher than at 0 (1 prompt" in said("motion_magnitude", [0.1])
    assert ", 1 seed): equivalent within 0.0500 s, exploratory, though not the same." in said(
        "wall_time_s", [0.01, 0.012] * 7
    )
    assert "the PSNR is 0.00125 dB lower than" in said("psnr", [-0.00125])
    assert "the PSNR is the same to the digits shown as at 0" in said("psnr", [1e-9])
    assert "the unheard_of is 0.50 higher than" in said("unheard_of", [0.5])
