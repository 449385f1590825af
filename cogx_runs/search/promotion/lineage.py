"""The lineage of finals: tags with their candidate, and with the metrics that chose it."""

from collections.abc import Mapping

from cogx_runs.analysis.promotion.choice import Candidate
from cogx_runs.tracking.store import RunStore
from cogx_runs.tracking.tags import PROMOTED_BY, PROMOTED_FROM, PROMOTED_RANK


def lineage(present: Mapping[str, str], candidate: Candidate, by: str) -> dict[str, str]:
    """Builds the tags of a candidate's final. Metrics that chose the same candidate before, by the `present` tags, are
    kept."""
    ranks = {}
    if present.get(PROMOTED_FROM) == candidate.run_id:
        metrics, places = (present.get(tag, "").split(", ") for tag in (PROMOTED_BY, PROMOTED_RANK))
        ranks = dict(zip(metrics, places, strict=False))
    ranks[by] = f"{candidate.rank} of {candidate.of}"
    return {PROMOTED_FROM: candidate.run_id, PROMOTED_BY: ", ".join(ranks), PROMOTED_RANK: ", ".join(ranks.values())}


def tag_finals(store: RunStore, experiment: str, finals: Mapping[str, Candidate], by: str) -> None:
    """Writes the lineage of finished finals, given by run id, where their tags lack it, as those of finals that were
    finished before the promotion do."""
    for run in list(store.runs([experiment], finished_only=True)):
        if run.run_id in finals:
            wanted = lineage(run.tags, finals[run.run_id], by)
            if wanted.items() - run.tags.items():
                store.amend(run.run_id, {}, wanted)
