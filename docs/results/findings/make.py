"""The tables and figures of findings.md, computed from the runs that keep.py has kept; needs no GPU and no store.

python docs/results/findings/make.py                  # writes the tables between their marks, and docs/images
python docs/results/findings/make.py --check          # writes nothing; exits with 1 where the tables are others
python docs/results/findings/make.py --print FOLDER   # prints the tables of what was kept in FOLDER, of any model
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import figures
import tables
from study import FOLDER, FRAMES, GUIDANCE, SCORE, STEPS, SWEEPS, VALUES, Study
from tables import interactions_of, ranks
from writing import (
    as_table,
    bullets,
    interval_of,
    mean_of,
    only,
    signed_number,
)

import cogx_runs
from cogx_runs.analysis.correlations import RankCorrelation
from cogx_runs.analysis.promotion.agreement import agreement
from cogx_runs.analysis.verdict import Verdict
from cogx_runs.formatting import signed

DOCUMENT = Path(__file__).parent.with_suffix(".md")

SATURATED = 34.0
"""Above it the toy's CLIP tells good videos apart hardly at all (docs/toy.md)."""
STEP_S = {49: 0.659, 25: 0.285}
DECODE_S = {49: 3.53, 25: 1.81}
WITHOUT_GUIDANCE = 0.344 / 0.682
"""Of 2b on one H100, by frames, and a step's share at guidance 1: docs/results/measurements.md, by hand."""
EXPECTED: dict[tuple[str, float], Verdict] = {
    (GUIDANCE, 1): "worse", (GUIDANCE, 3): "inconclusive", (GUIDANCE, 12): "inconclusive",
    (STEPS, 5): "worse", (STEPS, 10): "worse", (STEPS, 25): "inconclusive",
    (FRAMES, 25): "inconclusive",
}  # fmt: skip
"""Of the CLIP score on toy: what the words of findings.md, which are written by hand, rest on."""
EXPECTED_THRESHOLD = 22


def facts(study: Study) -> str:
    runs = study.runs()
    base = study.by_seed()
    versions = ", ".join(f"{name} {only(runs[f'tags.cogx.env.{name}'])}" for name in ("torch", "diffusers"))
    return bullets([
        f"{len(runs)} runs of {runs['tags.cogx.output_hash'].nunique()} different cells: "
        f"{runs['params.prompt_name'].nunique()} prompts, {runs['params.seed'].nunique()} seeds "
        f"({', '.join(map(str, base.columns))}).",
        f"Model `{only(runs['params.model'])}` in {only(runs['params.dtype'])}, placement "
        f"{only(runs['params.placement'])}, on one {only(runs['tags.cogx.env.device_name'])}; {versions}.",
        f"At the baseline (guidance 6, 50 steps, 49 frames) the mean CLIP score is {base.to_numpy().mean():.2f}, and "
        f"{(base.to_numpy() > SATURATED).sum()} of {base.size} videos score above {SATURATED}.",
    ])  # fmt: skip


def claims(study: Study) -> str:
    """The figures of the old claims, each beside the verdict on toy that was written by hand."""

    def said(axis: str, value: float) -> str:
        effect = study.effects[SCORE, axis, float(value)]
        return f"{value:g}: {mean_of(effect)} ({interval_of(effect)})"

    def rho(found: RankCorrelation) -> str:
        return f"{signed_number(found.rho, 2)} ({signed_number(found.low, 2)} to {signed_number(found.high, 2)})"

    point = study.threshold.point(study.threshold.found)
    assert point is not None
    largest = max(interactions_of(study, SCORE), key=lambda one: abs(one.mean))
    names = {"steps": "steps", "guidance": "guidance", "seed": "seeds alone"}
    sizes = {names[name]: cogx_runs.rank_correlations(study.runs(name), [SCORE])[0] for name in names}
    preview = agreement(study.runs("steps"), SCORE, 25, 50)
    assert preview is not None
    ranked = ranks(study)
    return as_table(
        ["old claim", "verdict on toy", "CLIP score, with 95% interval", "section"],
        [
            [
                "GS 6 is the sweet spot",
                "**1 is worse; that 6 is the best is not shown**: 3 and 12 differ by less than 1 in every prompt",
                "against 6, at " + "; ".join(said(GUIDANCE, value) for value in (1, 3, 12)),
                "[guidance](#guidance)",
            ],
            [
                "10 steps collapse, 25 are nearly 50",
                "**10 is worse**, by a point on average and by 4 in one prompt; **25 is near 50**: no prompt loses a "
                "point, though nine prompts cannot show that hardly any would",
                "against 50, at " + "; ".join(said(STEPS, value) for value in (10, 25)),
                "[steps](#steps)",
            ],
            [
                "there is a threshold at 20 to 25",
                f"**{study.threshold.found}**, if up to {study.threshold.may_lose:.0%} of prompts may lose more than a "
                "point; the loss grows steadily, without a step",
                f"{point.count} less 50: {signed(point.mean)} ({100 * (1 - 2 * study.threshold.alpha):.3g}%: "
                f"{signed(point.low)} to {signed(point.high)})",
                "[threshold](#threshold)",
            ],
            [
                "guidance and steps act independently",
                "**inconclusive**: 12 falls off at 10 steps and not at 50, which is not shown for four comparisons",
                f"guidance {largest.value_a:g} less {largest.baseline_a:g}, at {largest.value_b} steps less at "
                f"{largest.baseline_b}: {mean_of(largest)} ({interval_of(largest)})",
                "[grid](#guidance-against-steps)",
            ],
            [
                "file size follows quality",
                "**along steps only**; not along guidance or seeds. It follows how much changes from frame to frame",
                "rho, varying " + "; ".join(f"{name} {rho(one)}" for name, one in sizes.items()),
                "[file size](#file-size)",
            ],
            [
                "frames change duration only",
                "**no change is shown** on average; each single video is another one",
                "against 49, at " + said(FRAMES, 25),
                "[frames](#frames)",
            ],
            [
                "try 3 to 5 seeds at 25 steps, then run the best at 50",
                "**it holds**: the order stays, and the chosen are better at 50 than the other seeds",
                f"tau {preview.tau:.2f} ({preview.tau_low:.2f} to {preview.tau_high:.2f}); the best is the best in "
                f"{preview.hits} of {preview.prompts}",
                "[previews](#previews)",
            ],
            [
                "the ranking of parameters",
                "**quality: guidance, then steps**, over the values swept; time: steps; memory: all the same",
                "; ".join(f"{one[1]} {one[2]} {one[3]}" for one in ranked if one[0] == "quality")
                + f"; two seeds of a prompt differ by {study.of_seeds.difference:.2f}",
                "[ranking](#ranking)",
            ],
        ],
    )  # fmt: skip


def costs(study: Study) -> str:
    """What the sweeps cost with 2b, each alone; the search as it went on toy."""
    searched = {study.threshold.reference, *(point.count for point in study.threshold.curve)}
    rows = []
    for name in ("seed", "guidance", "steps", "frames", "grid", "all", "time", "threshold"):
        planned = cogx_runs.plan_sweeps([SWEEPS / f"{name}.yaml"], use_store=False, device="cpu")
        is_search = name == "threshold"
        specs = [run.spec for run in planned.runs if run.action == "run"]
        specs = [spec for spec in specs if not is_search or spec.num_inference_steps in searched]
        seconds = sum(_seconds(spec.num_frames, spec.num_inference_steps, spec.guidance_scale) for spec in specs)
        command = f"`cogx-runs {'threshold' if is_search else 'sweep'} sweeps/findings/{name}.yaml`"
        rows.append([command, str(len(specs)), f"{seconds / 3600:.1f}"])
    return as_table(["command", "videos", "hours"], rows)


def _seconds(num_frames: int, steps: int, guidance: float) -> float:
    share = 1.0 if guidance > 1 else WITHOUT_GUIDANCE
    return steps * STEP_S[num_frames] * share + DECODE_S[num_frames]


BLOCKS: dict[str, Callable[[Study], str]] = {
    "facts": facts,
    "claims": claims,
    "seeds": tables.seeds,
    "prompts": tables.by_prompt,
    "guidance": tables.of_axis(GUIDANCE),
    "steps": tables.of_axis(STEPS),
    "fidelity": tables.fidelity,
    "threshold": tables.threshold,
    "grid": tables.grid,
    "sizes": tables.sizes,
    "frames": tables.of_axis(FRAMES),
    "single frames": tables.frames,
    "times": tables.times,
    "previews": tables.previews,
    "ranking": tables.ranking,
    "costs": costs,
}


def check_words(study: Study) -> None:
    """Stop where the words of findings.md, written by hand, no longer rest on these runs."""
    found = {key: study.effects[SCORE, key[0], float(key[1])].verdict for key in EXPECTED}
    if found != EXPECTED or study.threshold.found != EXPECTED_THRESHOLD:
        other = {key: verdict for key, verdict in found.items() if verdict != EXPECTED[key]}
        sys.exit(
            f"the words of findings.md rest on other verdicts than these runs give ({other}, threshold "
            f"{study.threshold.found}): read the tables with --print and write the words again"
        )


def filled(study: Study) -> str:
    """The document with each table between its marks computed anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, block in BLOCKS.items():
        places = list(re.finditer(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", text, re.DOTALL))
        if len(places) != 1:
            sys.exit(f"findings.md: has no single place marked {name!r}")
        text = f"{text[: places[0].start()]}\n{block(study)}\n\n{text[places[0].end() :]}"
    return text


def draw(study: Study) -> None:
    figures.draw_effects([study.effects[SCORE, axis, float(value)] for axis, value in VALUES])
    figures.draw_threshold(study.threshold)
    figures.draw_previews(study.runs("steps"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--check", action="store_true")
    chosen.add_argument("--print", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    study = Study(arguments.print or FOLDER)
    if arguments.print:
        for name, block in BLOCKS.items():
            sys.stdout.write(f"## {name}\n\n{block(study)}\n\n")
        return
    check_words(study)
    text = filled(study)
    if not arguments.check:
        DOCUMENT.write_text(text, encoding="utf-8")
        draw(study)
    elif text != DOCUMENT.read_text(encoding="utf-8"):
        sys.exit("findings.md: its tables are not those of the kept runs; run python docs/results/findings/make.py")


if __name__ == "__main__":
    main()
