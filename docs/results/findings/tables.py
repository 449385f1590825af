"""The tables of the sections of docs/results/findings.md."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from study import FRAMES, GUIDANCE, PROMPT, QUALITIES, SCORE, SEED, STEPS, VALUES, Study
from writing import as_table, bullets, cell_of, interval_of, mean_of, number, signed_number, title

import cogx_runs
from cogx_runs.analysis.interactions import Interaction
from cogx_runs.analysis.intervals import Sample
from cogx_runs.analysis.promotion.agreement import agreement
from cogx_runs.analysis.promotion.choice import choose
from cogx_runs.analysis.promotion.finals import compare
from cogx_runs.analysis.promotion.gains import preview_gains
from cogx_runs.analysis.promotion.wording import describe_comparison, describe_gains
from cogx_runs.analysis.threshold import threshold_sentence
from cogx_runs.analysis.wording import yardstick
from cogx_runs.formatting import signed
from cogx_runs.report.sentences import about_fit

MOST = 0.9
"""The share of a mean that is asked of how few pairs it is made."""


def of_axis(axis: str) -> Callable[[Study], str]:
    """The table of an axis' effects on all metrics."""

    def table(study: Study) -> str:
        values = [value for name, value in VALUES if name == axis]
        baseline = study.effects[SCORE, axis, values[0]].baseline
        rows = []
        for metric in QUALITIES:
            found = [study.effects[metric, axis, value] for value in values]
            rows.append([title(metric), number(metric, found[0].baseline_mean), *map(cell_of, found)])
        return as_table(["metric", f"mean at {baseline:g}", *(f"{axis} {value:g}" for value in values)], rows)

    return table


def by_prompt(study: Study) -> str:
    """The CLIP score's change of each prompt, and of how few pairs the means are made."""
    columns = {key: study.by_pair(*key) for key in VALUES}
    means = {key: changes.groupby("prompt").mean() for key, changes in columns.items()}
    base = study.by_seed().mean(axis=1)
    rows = [
        [prompt, f"{base[prompt]:.2f}", *(signed_number(mean[prompt], 2) for mean in means.values())]
        for prompt in base.index
    ]
    rows.append(
        ["**mean**", f"**{base.mean():.2f}**", *(f"**{signed_number(one.mean(), 2)}**" for one in means.values())]
    )
    rows.append(["median pair", "", *(signed_number(changes.median(), 2) for changes in columns.values())])
    parts = {key: carriers(changes.to_numpy()) for key, changes in columns.items()}
    rows.append([
        f"pairs that make {MOST:.0%} of the mean", "",
        *(f"{few} of {len(columns[key])}" for key, (few, _) in parts.items()),
    ])  # fmt: skip
    rows.append(["mean of the other pairs", "", *(signed_number(rest, 2) for _, rest in parts.values())])
    rows.append([
        "prompts that change by less than 1", "",
        *(f"{(mean.abs() < 1).sum()} of {len(mean)}" for mean in means.values()),
    ])  # fmt: skip
    short = {GUIDANCE: "guidance", STEPS: "steps", FRAMES: "frames"}
    return as_table(["CLIP score", "baseline", *(f"{short[axis]} {value:g}" for axis, value in VALUES)], rows)


def carriers(changes: npt.NDArray[np.floating[Any]]) -> tuple[int, float]:
    """How many changes, those furthest to the mean's side first, make MOST of the sum; and the mean of the others."""
    ordered = np.sort(changes * np.sign(changes.mean()))[::-1]
    few = int(np.argmax(np.cumsum(ordered) >= MOST * ordered.sum())) + 1
    return few, float(ordered[few:].mean() * np.sign(changes.mean()))


def fidelity(study: Study) -> str:
    """How near fewer steps come to the very video of 50."""
    runs = study.runs("steps")
    rows = []
    for count in (5, 10, 25):
        here = runs[runs[f"params.{STEPS}"] == count]
        row = [str(count)]
        for metric, digits in (("psnr.num_inference_steps_50", 1), ("ssim.num_inference_steps_50", 3)):
            values = here.groupby("params.prompt_name")[f"metrics.{metric}"].mean().astype(float)
            sample = Sample.of(values.to_numpy())
            low, high = sample.interval(0.95)
            row.append(f"{sample.mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})")
            row.append(f"{values.min():.{digits}f}, {values.idxmin()}")
        rows.append(row)
    return as_table(["steps", "PSNR to 50 steps, dB", "lowest prompt", "SSIM to 50 steps", "lowest prompt"], rows)


def seeds(study: Study) -> str:
    """The spread between seeds, beside that between prompts and the changes of the other parameters."""
    found = study.of_seeds
    rows = [
        [one.prompt, *(f"{value:.2f}" for value in (one.mean, one.deviation, one.lowest, one.highest))]
        for one in found.by_prompt
    ]
    deviations = np.array([one.deviation for one in found.by_prompt])
    of_means = np.std([one.mean for one in found.by_prompt], ddof=1)
    others = ", ".join(
        f"{axis} {value:g} {signed_number(study.effects[SCORE, axis, float(value)].mean, 2)}" for axis, value in VALUES
    )
    return "\n\n".join([
        as_table(["prompt", "mean CLIP score", "standard deviation over seeds", "lowest", "highest"], rows),
        bullets([
            f"Between the seeds of a prompt the standard deviation is {found.deviation:.2f} on average over prompts "
            f"(95% interval {found.low:.2f} to {found.high:.2f}), {np.median(deviations):.2f} in the middle prompt, "
            f"and above 1 in {(deviations > 1).sum()} of {found.prompts}. Two seeds of one prompt differ by "
            f"{found.difference:.2f} on average.",
            f"Between prompts it is {found.between_prompts:.2f} (that of their means, {of_means:.2f}, less what seeds "
            f"put into them): {found.share_of_prompts:.0%} of the variance of a single video's score is between "
            "prompts, the rest between seeds.",
            f"The mean changes of the other parameters, for comparison: {others}.",
        ]),
    ])  # fmt: skip


def grid(study: Study) -> str:
    """Means over prompts and seeds of the combinations, and the interactions."""
    runs = study.runs("grid")
    tables = []
    for metric in (SCORE, "background_consistency", "file_size_bytes"):
        means = runs.pivot_table(index=f"params.{GUIDANCE}", columns=f"params.{STEPS}", values=f"metrics.{metric}")
        rows = [[f"guidance {value:g}", *(number(metric, mean) for mean in row)] for value, row in means.iterrows()]
        tables.append(as_table([title(metric), *(f"{count} steps" for count in means.columns)], rows))
    rows = []
    for metric in (SCORE, "background_consistency", "file_size_bytes"):
        for one in interactions_of(study, metric):
            more = "" if one.more_prompts is None else str(one.more_prompts)
            rows.append([
                title(metric), f"{one.baseline_a:g} to {one.value_a:g}", f"{one.value_b}, against {one.baseline_b}",
                mean_of(one), interval_of(one), one.verdict, more,
            ])  # fmt: skip
    headers = ["change of", "from guidance", "at steps", "is more by", "95% interval", "verdict", "new prompts needed"]
    tables.append(as_table(headers, rows))
    return "\n\n".join(tables)


def threshold(study: Study) -> str:
    found = study.threshold
    rows = [
        [str(point.count), signed(point.mean), f"{signed(point.low)} to {signed(point.high)}", point.verdict]
        for point in found.curve
    ]
    level = f"{100 * (1 - 2 * found.alpha):.3g}% interval"
    return "\n\n".join(
        [as_table(["steps", f"CLIP score less {found.reference}'s", level, "verdict"], rows), threshold_sentence(found)]
    )


def sizes(study: Study) -> str:
    """File size with the other metrics, by what was varied."""
    names = {"seed": "seeds", "guidance": "guidance and seeds", "steps": "steps and seeds", "grid": "all three"}
    metrics = [metric for metric in QUALITIES if metric != "file_size_bytes"]
    found = {name: cogx_runs.rank_correlations(study.runs(name), metrics) for name in names}
    rows = []
    for place, metric in enumerate(metrics):
        ones = [of[place] for of in found.values()]
        assert all(one.metric == metric for one in ones)
        rows.append([
            title(metric),
            *(f"{signed_number(one.rho, 2)}<br>{signed_number(one.low, 2)} to {signed_number(one.high, 2)}"
              for one in ones),
        ])  # fmt: skip
    headers = [f"{names[name]} ({of[0].cells} videos)" for name, of in found.items()]
    return as_table(["file size with", *headers], rows)


def frames(study: Study) -> str:
    """How far a single video of fewer frames is from its longer one, beside how far seeds are from each other."""
    changes = study.by_pair(FRAMES, 25).abs()
    base = study.by_seed()
    runs = study.runs("frames")
    scores = runs.pivot_table(index=[PROMPT, SEED], columns=f"params.{FRAMES}", values=f"metrics.{SCORE}").astype(float)
    taus = Sample.of([group[25].corr(group[49], method="kendall") for _, group in scores.groupby(level=0)])
    low, high = taus.interval(0.95)
    is_length = study.video_pairs["frames"] < study.video_pairs["other_frames"]
    lengths, others = (study.video_pairs.loc[chosen, "psnr"] for chosen in (is_length, ~is_length))
    return bullets([
        f"The CLIP score of the same prompt and seed differs by {changes.mean():.2f} on average between 25 and 49 "
        f"frames (more than 1 in {(changes > 1).sum()} of {len(changes)} pairs); between two seeds of one prompt by "
        f"{study.of_seeds.difference:.2f}.",
        f"The order of a prompt's {len(base.columns)} seeds by it at 25 frames and at 49: Kendall's tau "
        f"{signed_number(taus.mean, 2)} (95% interval {signed_number(low, 2)} to {signed_number(high, 2)}; "
        f"{taus.count} prompts).",
        f"25 frames against the first 25 of 49: PSNR {lengths.mean():.1f} dB on average (of the mp4s). Two seeds of "
        f"a prompt, of 49 frames: {others.mean():.1f} dB.",
    ])  # fmt: skip


def times(study: Study) -> str:
    rows = []
    for metric in dict.fromkeys(one.metric for one in study.of_costs):
        for effect in (one for one in study.of_costs if one.metric == metric):
            rows.append([
                title(metric), f"{effect.axis} {effect.value:g} against {effect.baseline:g}",
                number(metric, effect.baseline_mean), mean_of(effect), interval_of(effect), effect.verdict,
            ])  # fmt: skip
    fit = cogx_runs.fit_time(study.runs("time"))
    table = as_table(["measure", "change", "mean at the baseline", "mean change", "95% interval", "verdict"], rows)
    return "\n\n".join([table, about_fit("", fit)])


def previews(study: Study) -> str:
    runs = study.runs("steps")
    rows = []
    for metric in (SCORE, "background_consistency"):
        for few in (25, 10, 5):
            one = agreement(runs, metric, few, 50)
            assert one is not None
            tau = f"{signed_number(one.tau_low, 2, with_sign=False)} to {one.tau_high:.2f}"
            rows.append([
                title(metric), str(few), f"{one.tau:.2f} ({tau})",
                f"{one.hits} of {one.prompts} ({one.hit_low:.0%} to {one.hit_high:.0%}; {one.chance:.0%})",
                f"{one.regret:.3g} ({one.regret_low:.3g} to {one.regret_high:.3g})", f"{one.random_regret:.3g}",
            ])  # fmt: skip
    choice = choose(runs, SCORE, 50, from_steps=25)
    said = [
        describe_comparison(one, choice)
        for metric in (SCORE, "background_consistency")
        for one in compare(runs, choice, metric)
    ]
    headers = [
        "metric", "steps of the preview", "Kendall's tau with 50 steps", "the best is the best (interval; by chance)",
        "lost by choosing early", "lost by choosing at random",
    ]  # fmt: skip
    early = agreement(runs, SCORE, 25, 50)
    assert early is not None
    ordered = sorted(early.by_prompt, key=lambda one: -one.random_regret)
    share = sum(one.random_regret for one in ordered[:2]) / sum(one.random_regret for one in ordered)
    count = early.by_prompt[0].candidates
    said += [
        f"Of what choosing at random would lose, {share:.0%} is lost in two prompts, "
        f"{ordered[0].prompt} and {ordered[1].prompt}.",
        f"{count} seeds at 25 steps and the best at 50 take {count * 25 + 50} steps a prompt; {count} at 50 take "
        f"{count * 50}; 3 seeds would take {3 * 25 + 50} against {3 * 50}.",
    ]
    said += describe_gains(preview_gains(runs, SCORE, 50, 25), 25)
    return "\n\n".join([as_table(headers, rows), bullets(said)])


def ranking(study: Study) -> str:
    table = as_table(["by", "rank", "parameter", "largest mean change, 95% interval", "at", "verdict"], ranks(study))
    return "\n\n".join([table, yardstick(study.of_seeds)])


def ranks(study: Study) -> list[list[str]]:
    found = [*study.effects.values(), *study.of_costs]
    rows = []
    for one in cogx_runs.rank_parameters(found):
        effect = one.effect
        rows.append([
            one.aspect, str(one.rank or "–"), one.axis, f"{mean_of(effect)} ({interval_of(effect)})",
            f"{effect.value:g}, against {effect.baseline:g}", effect.verdict,
        ])  # fmt: skip
    return rows


def interactions_of(study: Study, metric: str) -> list[Interaction]:
    return cogx_runs.interactions(study.runs("grid"), GUIDANCE, STEPS, metric)
