"""The best candidates of each prompt at few steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from cogx_runs.analysis.pairs import DEGENERATE_COLUMN
from cogx_runs.analysis.promotion.previews import STEPS, of_newest_texts, previews, ranked
from cogx_runs.analysis.strata import card_column, is_of_the_clip, with_cards
from cogx_runs.errors import CogxError, did_you_mean
from cogx_runs.formatting import count
from cogx_runs.metrics.card import Direction
from cogx_runs.metrics.registry import COMPARISONS, EXTRAS, is_of_machine, qualities, quality, rescore_command
from cogx_runs.tracking.columns import METRICS, metric_column, param_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import SIGNATURE


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A finished cell at few steps that is not degenerate, with its rank among those of its prompt."""

    prompt: str
    signature: str
    run_id: str
    run_name: str
    device: str
    """The device it ran on, `cuda` or `cpu`."""
    value: float
    """Its value of the metric that chooses."""
    rank: int
    """Its rank, 1 for the best; of equal values the smaller seed is first."""
    of: int
    """Candidates of its prompt."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """All candidates, and which of them are run again at more steps."""

    by: str
    direction: Direction
    from_steps: int
    steps: int
    top: int | None
    """How many candidates of each prompt are chosen; None for all."""
    candidates: tuple[Candidate, ...]
    """By prompt, the best first."""
    notes: tuple[str, ...]
    """Remarks on the choice for a reader."""

    @property
    def promoted(self) -> tuple[Candidate, ...]:
        """The chosen candidates."""
        return tuple(one for one in self.candidates if self.top is None or one.rank <= self.top)

    @property
    def by_prompt(self) -> tuple[tuple[Candidate, ...], ...]:
        """The candidates of each prompt, the best first."""
        return tuple(tuple(group) for _, group in groupby(self.candidates, key=lambda one: one.prompt))


def choose(frame: pd.DataFrame, by: str, steps: int, *, from_steps: int | None = None, top: int | None = 1) -> Choice:
    """Ranks the candidates of each prompt by a metric at the fewer steps.

    `frame` holds the runs of one experiment, as `load_runs` returns them. Candidates of a prompt are its finished cells
    at `from_steps` that are not degenerate, whatever they differ in; None is the one count below `steps` that is there.
    Raises CogxError for a metric that cannot choose, for candidates without a value or with values of several
    definitions, where the step count of the candidates is ambiguous, and where all are degenerate.
    """
    direction = direction_to_choose_by(frame, by, "--by")
    before = _from_steps(frame, steps, from_steps)
    current = of_newest_texts(frame, before)
    here = current[(current[param_column(STEPS)] == before).fillna(False).astype(bool)]
    degenerate = _degenerate(here)
    usable = here[~here[tag_column(SIGNATURE)].isin(degenerate[tag_column(SIGNATURE)])]
    _check_complete(usable, by)
    _check_one_definition(usable, by)
    rows = ranked(previews(current, by, before, steps), direction)
    candidates = []
    for _, group in rows.groupby("text", sort=False):
        for rank, row in enumerate(group.to_dict("records"), 1):
            names = ("prompt", "signature", "run_id", "run_name", "device")
            known = {name: str(row[name]) for name in names}
            candidates.append(Candidate(**known, value=float(row["preview"]), rank=rank, of=len(group)))
    if not candidates and degenerate.empty:
        raise CogxError(f"--from-steps {before}: no video of the prompts' present texts is finished at that count")
    if not candidates:
        kinds = ", ".join(sorted(set(degenerate[DEGENERATE_COLUMN])))
        raise CogxError(
            f"--from-steps {before}: all {count(len(degenerate), 'candidate')} are degenerate ({kinds}), so that there "
            "is nothing to choose"
        )
    return Choice(
        by=by,
        direction=direction,
        from_steps=before,
        steps=steps,
        top=top,
        candidates=tuple(candidates),
        notes=tuple(_notes(usable, degenerate, candidates)),
    )


def direction_to_choose_by(frame: pd.DataFrame, metric: str, flag: str) -> Direction:
    """Returns the better direction of a metric. Raises CogxError naming `flag` for one that does not measure a video's
    quality."""
    card, usable = quality(metric), qualities_of(frame)
    if metric_column(metric) not in frame.columns:
        raise CogxError(f"{flag} {metric}: no run here has it; {did_you_mean(metric, usable)}")
    instead = f"use {', '.join(usable)}" if usable else "no run here has a metric that would do"
    if card is not None and card.direction is not None:
        return card.direction
    if is_of_machine(metric):
        raise CogxError(f"{flag} {metric}: is of the machine and not of the video; {instead}")
    if any(comparison.card.name == metric for comparison in COMPARISONS):
        raise CogxError(f"{flag} {metric}: compares a video with another and says nothing of it alone; {instead}")
    raise CogxError(f"{flag} {metric}: nobody knows which direction is better; {instead}")


def qualities_of(frame: pd.DataFrame) -> list[str]:
    """Lists the metrics of quality that some run has, in the order of registration, other CLIPs' scores after that of
    the runs' own."""
    order = [card.name for card in qualities(EXTRAS)]
    names = sorted(str(column).removeprefix(METRICS) for column in frame.columns if str(column).startswith(METRICS))
    there = [name for name in names if quality(name) is not None and frame[metric_column(name)].notna().any()]
    return sorted(there, key=lambda name: order.index(name if name in order else name.partition(".")[0]))


def _from_steps(frame: pd.DataFrame, steps: int, asked: int | None) -> int:
    """Finds the step count of the candidates."""
    finished = frame.loc[frame["status"] == RunState.FINISHED, param_column(STEPS)].dropna()
    counts = sorted({int(count) for count in finished if count < steps})
    if asked is not None and asked >= steps:
        raise CogxError(f"--from-steps {asked}: must be fewer than the {steps} of --steps")
    if not counts:
        raise CogxError(f"--steps {steps}: no finished run has fewer steps, so that there is nothing to choose from")
    listed = ", ".join(map(str, counts))
    if asked is None and len(counts) > 1:
        raise CogxError(f"--from-steps: there are finished runs at {listed} steps; name one count")
    if asked is not None and asked not in counts:
        raise CogxError(f"--from-steps {asked}: no finished run has that many; there are {listed}")
    return counts[0] if asked is None else asked


def _check_complete(here: pd.DataFrame, by: str) -> None:
    """Raises CogxError where a finished candidate has no value."""
    finished = here[here["status"] == RunState.FINISHED]
    signatures = finished[tag_column(SIGNATURE)]
    lacking = set(signatures) - set(signatures[finished[metric_column(by)].notna()])
    if lacking:
        names = sorted(set(finished.loc[signatures.isin(lacking), "run_name"].astype(str)))
        named = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise CogxError(
            f"--by {by}: {len(lacking)} of {signatures.nunique()} finished candidates have no value ({named}); "
            f"`{rescore_command(by)}` may add it"
        )


def _check_one_definition(here: pd.DataFrame, by: str) -> None:
    """Raises CogxError where the values to compare are of several CLIPs or definitions."""
    finished = with_cards(here[here["status"] == RunState.FINISHED], (by,))
    for name in [card_column(by), *([param_column("clip_model")] if is_of_the_clip(by) else [])]:
        found = sorted(set(finished[name].dropna().astype(str)))
        if len(found) > 1:
            raise CogxError(f"--by {by}: the candidates have values of {len(found)} definitions: {', '.join(found)}")


def _degenerate(here: pd.DataFrame) -> pd.DataFrame:
    """Selects the degenerate candidates, a row each: by the finished run, else by the newest one that was aborted."""
    if DEGENERATE_COLUMN not in here.columns:
        return here.iloc[:0].assign(**{DEGENERATE_COLUMN: ""})
    finished, failed = (here[here["status"] == state] for state in (RunState.FINISHED, RunState.FAILED))
    each = pd.concat([finished, failed]).drop_duplicates(tag_column(SIGNATURE))
    return each[each[DEGENERATE_COLUMN].notna()]


def _notes(usable: pd.DataFrame, degenerate: pd.DataFrame, candidates: Sequence[Candidate]) -> list[str]:
    notes = []
    of = {one.prompt: one.of for one in candidates}
    for name, group in degenerate.groupby(degenerate[param_column("prompt_name")].astype(str)):
        prompt = str(name)
        named = f"{len(group)} of {count(len(group) + of.get(prompt, 0), 'candidate')}"
        what = f"degenerate ({', '.join(sorted(set(group[DEGENERATE_COLUMN])))})"
        if prompt in of:
            notes.append(f"{prompt}: {named} {what}, and so not chosen among")
        else:
            notes.append(f"{prompt}: {named} {what}, so that none is promoted")
    signatures = {one.signature for one in candidates}
    waiting = usable[~usable[tag_column(SIGNATURE)].isin(signatures)].drop_duplicates(tag_column(SIGNATURE))
    for text, number in waiting.groupby(param_column("prompt_name")).size().items():
        notes.append(f"{text}: {count(number, 'candidate')} not finished, and so not chosen among")
    alone = [one.prompt for one in candidates if one.of == 1]
    if alone:
        notes.append(f"{', '.join(alone)}: one candidate, so that there is no choice")
    return notes
