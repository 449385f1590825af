"""Which cell a free worker of several takes next."""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping

from cogx_runs.definitions.spec import RunSpec

Group = Hashable
"""What cells share that are run one after the other without anything being loaded or compiled between them."""


def group_of(spec: RunSpec) -> Group:
    """Tells with which cells one shares its loaded pipeline and, where it is compiled, its compiled step."""
    return (spec.model_key, spec.pipeline_key, spec.shape if spec.compile else None)


def choose_cell(
    cells: Mapping[int, RunSpec], own: Group | None, at_work: Collection[Group], signatures: Collection[str]
) -> int:
    """Picks a cell, by its place in the plan, for a worker that was last at the group `own`.

    Its own group comes first, then one that no other worker is at, then the group with the most cells left; among
    those the first cell whose pixels nobody generates. `at_work` are the groups of the other workers, `signatures`
    those of the cells that are being run.
    """
    groups = {place: group_of(spec) for place, spec in cells.items()}
    left = Counter(groups.values())
    busy = set(at_work)

    def rank(place: int) -> tuple[bool, bool, bool, int, int]:
        group = groups[place]
        is_twin = cells[place].signature in signatures
        return is_twin, group != own, group in busy, -left[group] if group in busy else 0, place

    return min(cells, key=rank)
