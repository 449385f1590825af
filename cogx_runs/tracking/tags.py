"""The tags of tracked runs and of experiments, each spelled once."""

import json
from collections.abc import Mapping
from typing import Any

PREFIX = "cogx."
KIND = "cogx.kind"
"""Content of a run: one of the next four."""
CELL_KIND, REPORT_KIND, OVERVIEW_KIND, COMPARISON_KIND = "run", "report", "overview", "comparison"

SIGNATURE = "cogx.signature"
"""Identity of the pixels."""
OUTPUT_HASH = "cogx.output_hash"
"""Identity of pixels, file and scores."""
COST_AXES = "cogx.cost_axes"
"""The axes of the run's sweep that change time and memory alone: `placement`."""
SWEEP = "cogx.sweep"
PROMPT = "cogx.prompt"
"""The prompt's text."""
COMMAND = "cogx.command"
"""The command that reproduces the run."""

PROCESS_HOST = "cogx.process.host"
PROCESS_ID = "cogx.process.id"
"""Host and number of the process that has claimed a run."""
PROCESS_LOCK = "cogx.process.lock"
"""Name of the lock that the process holds for as long as it has claimed runs."""
PROCESS_CELL = "cogx.process.cell"
"""Identity of a run that its process gave it, by which a run is found whose creation was not answered."""
PROCESS_SEEN = "cogx.process.seen"
"""When the process last gave a sign of life, in ms since 1970 by its host's clock."""
ENV = "cogx.env."
"""Prefix of the tags of provenance: versions, device, commit."""
HOST = "cogx.env.host"
"""Name of the host that a run is computed on."""
WORKER = "cogx.worker"
"""Name of the worker that a run is computed by, where a sweep has several."""
DEVICE_NAME = "cogx.env.device_name"
"""Product name of the device, under which timings are kept."""
DEVICE_ID = "cogx.env.device_id"
"""Identity of the device on its host: UUID of the GPU, or `cpu`."""
MODEL = "cogx.env.model"
"""`SOURCE@REVISION` of the model."""
MODEL_WEIGHTS_SHA256 = "cogx.env.model_weights_sha256"

DIGESTS = "cogx.artifacts"
"""JSON: size in bytes and SHA-256 of each artifact; left out of tables."""
DAMAGED = "cogx.damaged"
"""JSON: the artifacts that `verify` found wrong, each with what is wrong with it."""
LOST = "cogx.lost"
"""The artifacts for whose loss a finished run was ended as KILLED, to be made anew."""

NOISE_SHA256 = "cogx.noise_sha256"
"""SHA-256 of the initial noise."""
TEXT = "cogx.text"
"""Source of the embeddings: `encoder` or `cache`."""
LATENTS = "cogx.latents"
"""LATENTS_KEPT once the latents are stored; also the prefix of LATENTS_DEVICE and LATENTS_PLACEMENT."""
LATENTS_KEPT = "kept"
LATENTS_DEVICE, LATENTS_PLACEMENT = "cogx.latents.device", "cogx.latents.placement"
"""Device and placement with which the latents were denoised."""
LATENTS_FROM = "cogx.latents_from"
"""The run whose stored latents were decoded."""
REUSED_FROM = "cogx.reused_from"
"""The run that this one is a copy of."""
IMPORTED_FROM, IMPORTED_SHA256 = "cogx.imported_from", "cogx.imported_sha256"
"""Name and SHA-256 of the file that another program made; on imported runs alone."""
BESIDE = "cogx.beside"
"""Other work on the device, or a busy machine (`system/load.py`), at the same time; absent where the run was timed
alone."""
FINISHED_BESIDE = "cogx.finished_beside"
"""The runs that were encoded and scored while this one was denoised."""
NOT_BITWISE = "cogx.not_bitwise"
"""The parameters by which the pixels differ a little from the plain ones: `compile, attention`."""
QUANTIZED = "cogx.quantized"
"""Beginning of the next two."""
QUANTIZED_LAYERS, QUANTIZED_BYTES = "cogx.quantized.layers", "cogx.quantized.bytes"
"""On runs with quantisation: the layers in 8 bits of all linear ones of the transformer, `180 of 245`, and the bytes of
its weights without and with it, `3387567744 to 2060764800`."""
CACHE_SKIPPED = "cogx.cache.skipped"
"""What the run's cache skipped: `attention 240 of 600, feed-forward 0 of 600`."""
CACHE_RATIOS = "cogx.cache.ratios"
"""Digest of MagCache's ratios, and whether this run had them `calibrated` or found them `kept`."""
STEPPED_DOWN = "cogx.stepped_down"
"""Placements before and after the GPU ran out of memory."""

DEFINITIONS = "cogx.metrics"
"""JSON: the definition by which each metric was measured."""
DEGENERATE = "cogx.degenerate"
"""Class of a degenerate video: `noise`, `flat`, `frozen` or `nan`."""
DEGENERATE_RULE = "cogx.degenerate.rule"
"""Quantity, value and threshold behind the class."""

FAILURE = "cogx.failure"
"""Why a run failed, in one line."""
COMPARED = "cogx.compared"
"""On the run of several experiments' overviews: key of their view."""
PAGES = "cogx.overview.pages"
"""JSON, on the run of an overview: hash of what each of its pages shows."""

TRIAL = "cogx.trial"
"""Number of the trial in its search, from 1; also the prefix of the next two."""
TRIAL_SEARCH = "cogx.trial.search"
"""Identity of the search."""
TRIAL_PARAMETERS = "cogx.trial.parameters"
"""JSON: the values of the searched axes."""
PROMOTED_FROM = "cogx.promoted_from"
"""Run of the candidate."""
PROMOTED_BY, PROMOTED_RANK = "cogx.promoted_by", "cogx.promoted_rank"
"""The metric that chose the candidate, and its rank, `1 of 8`; several in order where several metrics chose it."""
PICTURE = "cogx.picture"
"""The artifact that stands for a run in tables."""

SWEEP_FILE = "cogx.file"
"""Experiment: its sweep file."""
QUESTION = "cogx.question"
"""Experiment: the sweep's description."""
AXES = "cogx.axes"
"""Experiment, JSON: its axes, each with its type."""
BASELINES = "cogx.baselines"
"""Experiment, JSON: the value that the sweep file's `base` gives to an axis, as text."""
OBJECTIVES = "cogx.objectives"
"""Experiment, JSON: `maximize` or `minimize` for each objective of its search."""
CELLS = "cogx.cells"
"""Experiment: number of cells of its sweep when it last ran."""
PRIMARY = "cogx.primary"
"""Experiment: the metric that carries the verdicts of a report."""
MAX_PROMPTS = "cogx.max_prompts"
"""Experiment: the most prompts that will be compared."""
LOOKS = "cogx.looks"
"""Experiment, JSON: for each metric that carried verdicts the number of prompts at each look at them, and the
`max_prompts` of the first look."""
NOTE_SHA256 = "cogx.note_sha256"
"""Experiment: hash of the description written by this tool; one that a user edited is kept."""

MLFLOW_NOTE = "mlflow.note.content"
"""MLflow's description of a run or experiment, in Markdown."""
MLFLOW_RUN_NAME = "mlflow.runName"
"""MLflow's name of a run."""
MLFLOW_LOGGED_IMAGES = "mlflow.loggedImages"
"""`True` where a run has pictures for MLflow's image grid."""
MLFLOW_VIEW = "mlflow.sharedViewState."
"""Prefix of an experiment's shared views."""


OF_ITS_MP4 = "frames of its mp4"
"""Value of the condition `decoded_as` of an imported video's metrics: no latents are known."""


def metric_tag(metric: str, name: str) -> str:
    """Names the tag of a condition of a metric's value, such as `missing` or `decoded_as`."""
    return f"{PREFIX}{metric}.{name}"


def json_tag(tags: Mapping[str, str], key: str) -> dict[str, Any]:
    """Reads a tag that holds a JSON object; empty where it is absent, or holds anything else, as after an edit by
    hand."""
    try:
        found = json.loads(tags.get(key, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def texts_tag(tags: Mapping[str, str], key: str) -> dict[str, str]:
    """Reads a tag that holds a JSON object of texts, as `json_tag` does; other values are left out."""
    return {name: value for name, value in json_tag(tags, key).items() if isinstance(value, str)}
