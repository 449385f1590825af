"""What MLflow shows as the description of an experiment and of a run: Markdown, with pictures."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from mlflow.entities import Run

NOTE = "mlflow.note.content"
LIMIT = 18_000
"""Characters of an experiment's note; MLflow refuses a tag of more than 20,000."""
RUN_LIMIT = 7_500
"""Of a run's, of 8,000."""
PICTURE = "cogx.picture"
"""The tag that names the artifact which stands for a run."""
_SHOWN = (("clip_score", "CLIP score", "{:.2f}"), ("wall_time_s", "wall s", "{:.1f}"), ("step_s", "s/step", "{:.3f}"),
          ("peak_vram_gib", "VRAM GiB", "{:.2f}"), ("file_size_bytes", "kB", "{:.0f}"))  # fmt: skip


def experiment_note(name: str, question: str, axes: Sequence[str], runs: Sequence[Run], links: Iterable[str]) -> str:
    """The question, and a table of the results as far as they fit. `runs` are in the order of the table; `links` are
    Markdown links to views."""
    head = f"{escaped(question)}\n\n{' · '.join(links)}\n\n"
    varied = [*axes, *(column for column in ("prompt_name", "seed") if column not in axes and _varies(column, runs))]
    metrics = [item for item in _SHOWN if any(item[0] in run.data.metrics for run in runs)]
    titles = ["", *varied, *(title for _, title, _ in metrics), ""]
    table = f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n"
    rest = "\n{} more runs: `cogx-runs runs " + name + "`\n"
    for number, run in enumerate(runs):
        row = _row(run, varied, metrics)
        if len(head) + len(table) + len(row) + len(rest) + 8 > LIMIT:
            return head + table + rest.format(len(runs) - number)
        table += row
    return head + table


def _row(run: Run, varied: Sequence[str], metrics: Sequence[tuple[str, str, str]]) -> str:
    run_id, experiment = run.info.run_id, run.info.experiment_id
    numbers = [
        form.format(run.data.metrics[key] / (1000 if title == "kB" else 1)) if key in run.data.metrics else ""
        for key, title, form in metrics
    ]
    values = [_value(run, column) for column in varied]
    if run.info.status == "FINISHED":
        video = f"/#/experiments/{experiment}/runs/{run_id}/artifacts/video.mp4"
        last = f"[video]({video})"
        first = picture(run_id, run.data.tags.get(PICTURE, ""))
    else:
        last, first = run.info.status.lower(), ""
    link = f"[run](/#/experiments/{experiment}/runs/{run_id})"
    return f"| {' | '.join([first, *values, *numbers, f'{last} {link}'])} |\n"


def run_note(what: str, prompt: str, run_id: str, metrics: Mapping[str, float], command: str) -> str:
    """What a run is in one line, its picture, its numbers, and the command that makes it again."""
    numbers = [
        f"{title} {form.format(metrics[key] / (1000 if title == 'kB' else 1))}"
        for key, title, form in _SHOWN
        if key in metrics
    ]
    note = (
        f"{escaped(what)}\n\n> {escaped(prompt)}\n\n{', '.join(numbers)}\n\n{picture(run_id, 'contact_sheet.png')}\n\n"
        f"Make it again:\n\n```\n{command.replace('```', '` ` `')}\n```\n"
    )
    return note if len(note) <= RUN_LIMIT else note.replace(escaped(prompt), escaped(prompt[:500]) + " …")[:RUN_LIMIT]


def picture(run_id: str, artifact: str) -> str:
    """An image of a run in Markdown; empty where it has none."""
    return f"![](/get-artifact?path={quote(artifact, safe='')}&run_uuid={run_id})" if artifact else ""


def escaped(text: str) -> str:
    """Text that stands for itself in Markdown, in a table too."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]{}()#+!|~-])", r"\\\1", plain)


def _value(run: Run, parameter: str) -> str:
    number = run.data.metrics.get(f"axis.{parameter}")
    return escaped(run.data.params.get(parameter, "")) if number is None else f"{number:.12g}"


def _varies(column: str, runs: Sequence[Run]) -> bool:
    return len({run.data.params.get(column) for run in runs if column in run.data.params}) > 1
