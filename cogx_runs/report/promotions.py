"""What an experiment's promotions show: whether previews agree with finals, and what previews are worth."""

from dataclasses import dataclass

import pandas as pd

from cogx_runs.analysis.promotion.agreement import agreement
from cogx_runs.analysis.promotion.gains import PreviewGain, PreviewGains
from cogx_runs.analysis.promotion.previews import STEPS, of_newest_texts
from cogx_runs.analysis.promotion.wording import describe_agreement, gains_of
from cogx_runs.errors import CogxError
from cogx_runs.tracking.columns import RUN_ID, STATUS, param_column, tag_column
from cogx_runs.tracking.run import RunState
from cogx_runs.tracking.tags import PROMOTED_BY, PROMOTED_FROM


@dataclass(frozen=True)
class PromotionContent:
    """The finals at one step count of candidates that one metric chose at another."""

    metric: str
    from_steps: int
    steps: int
    sentences: tuple[str, ...]
    gains: PreviewGains | None
    """None where the candidates are of several models, sizes or precisions."""

    @property
    def rows(self) -> tuple[PreviewGain, ...]:
        """What a reader is shown of the gains."""
        return () if self.gains is None else self.gains.shown(self.from_steps)


def promotions_of(runs: pd.DataFrame) -> list[PromotionContent]:
    """Describes each promotion of an experiment, by the lineage of its finished finals; `runs` are as `load_runs`
    returns them."""
    names = [tag_column(PROMOTED_FROM), tag_column(PROMOTED_BY)]
    if not set(names) <= set(runs.columns):
        return []
    finals = runs[(runs[STATUS] == RunState.FINISHED) & runs[names].notna().all(axis=1)]
    previewed = runs.set_index(RUN_ID)[param_column(STEPS)]
    found = {
        (metric, int(previewed[candidate]), int(steps))
        for candidate, by, steps in finals[[*names, param_column(STEPS)]].itertuples(index=False, name=None)
        if candidate in previewed.index
        for metric in by.split(", ")
    }
    return [_content(runs, *one) for one in sorted(found)]


def _content(runs: pd.DataFrame, metric: str, from_steps: int, steps: int) -> PromotionContent:
    gains, about_gains = gains_of(runs, metric, from_steps, steps)
    try:
        agreed = agreement(of_newest_texts(runs, from_steps), metric, from_steps, steps)
    except CogxError:  # said above
        agreed = None
    about = [] if agreed is None else describe_agreement(agreed)
    return PromotionContent(metric, from_steps, steps, (*about, *about_gains), gains)
