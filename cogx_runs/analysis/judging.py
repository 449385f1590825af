"""The verdicts of a whole report: what it compares is judged together."""

from collections.abc import Mapping, Sequence

from cogx_runs.analysis.effects import Contrast, Effect, Margin, differences_of, effect_of
from cogx_runs.analysis.interactions import Interaction, Square, interaction_of, square_differences
from cogx_runs.analysis.sequential import ONE_LOOK, Looks
from cogx_runs.analysis.verdict import judge_families


def judge_report(
    contrasts: Sequence[Contrast],
    squares: Sequence[Square],
    margins: Mapping[str, Margin | None],
    looks: Looks = ONE_LOOK,
) -> tuple[list[Effect], list[Interaction]]:
    """Judges all comparisons of a report: the primary ones as one family, so that at most 5% of reports claim a primary
    difference that is not there, the others by their rate of false discoveries.

    Returns the effects of the contrasts that have pairs, and the interactions of the squares, in their order.
    """
    paired = [one for one in contrasts if one.pairs.each]
    judged = judge_families(
        [
            *((differences_of(one, margins), one.family) for one in paired),
            *((square_differences(one, margins), one.family) for one in squares),
        ],
        looks,
    )
    found = [effect_of(one, judgement) for one, judgement in zip(paired, judged[: len(paired)], strict=True)]
    others = [interaction_of(one, judgement) for one, judgement in zip(squares, judged[len(paired) :], strict=True)]
    return found, others
