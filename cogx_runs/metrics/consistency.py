"""Metrics of the image embeddings of a video's frames: consistency, and quality by pairs of opposite texts.

Embeddings are T x D and of any length; only their direction counts.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cogx_runs.metrics.card import Likeness, MetricCard
from cogx_runs.metrics.metric import MeanMetric
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.temporal import require_two_frames

Embeddings = npt.NDArray[np.float32]
"""Image embeddings, T x D, one per frame."""

CLIP_IQA_PROMPTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "quality": ("Good photo.", "Bad photo."),
        "noisiness": ("Clean photo.", "Noisy photo."),
        "sharpness": ("Sharp photo.", "Blurry photo."),
    }
)
"""Opposite texts by torchmetrics' name of the pair; the first is the better one."""


def background_consistency(embeddings: Embeddings) -> npt.NDArray[np.float64]:
    """Averages, for each frame after the first, its cosines to the previous and to the first frame, each at least 0;
    T - 1 values, whose mean is the metric. 0 to 1, higher is better.

    Follows VBench's `vbench/background_consistency.py` (Huang et al., CVPR 2024), there with CLIP ViT-B/32 on the
    pixels of `vbench_pixels`. Raises CogxError for a single frame.
    """
    require_two_frames(len(embeddings), "background consistency")
    units = _units(embeddings)
    to_previous = np.einsum("td,td->t", units[1:], units[:-1])
    to_first = units[1:] @ units[0]
    mean: npt.NDArray[np.float64] = (np.maximum(0, to_previous) + np.maximum(0, to_first)) / 2
    return mean


def adjacent_consistency(embeddings: Embeddings) -> npt.NDArray[np.float64]:
    """Computes the cosine of each frame to the next; T - 1 values, whose mean is the metric. -1 to 1, higher is better.

    Follows the "frame consistency" of Gen-1 (Esser et al., ICCV 2023) and of later papers: the mean cosine of the CLIP
    image embeddings of consecutive frames. Raises CogxError for a single frame.
    """
    require_two_frames(len(embeddings), "adjacent-frame consistency")
    units = _units(embeddings)
    cosines: npt.NDArray[np.float64] = np.einsum("td,td->t", units[1:], units[:-1])
    return cosines


def antonym_scores(embeddings: Embeddings, texts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Computes how much nearer each frame is to the first text of a pair than to the second: softmax(100 x cosine).

    `texts` are P pairs of text embeddings, P x 2 x D; T x P values, 0 to 1, of which a half is uninformative. Follows
    CLIP-IQA (Wang et al., AAAI 2023) as torchmetrics' `CLIPImageQualityAssessment` does for a CLIP of the user's
    choice, with the factor of 100 in place of the model's own temperature.
    """
    cosines = np.einsum("td,pcd->tpc", _units(embeddings), _units(texts))
    scores: npt.NDArray[np.float64] = 1 / (1 + np.exp(-100 * (cosines[..., 0] - cosines[..., 1])))
    return scores


def _units(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Scales each vector to length 1; in double precision, since cosines of frames are near 1."""
    precise = vectors.astype(float)
    units: npt.NDArray[np.float64] = precise / np.linalg.norm(precise, axis=-1, keepdims=True)
    return units


def _antonym_scores(subject: Subject, pair: str) -> npt.NDArray[np.float64]:
    texts = np.stack([subject.clip.embed_text(text) for text in CLIP_IQA_PROMPTS[pair]])
    return antonym_scores(subject.image_embeddings, texts[None])[:, 0]


def _iqa(pair: str, title: str, fooled_by: str) -> MeanMetric:
    better, worse = CLIP_IQA_PROMPTS[pair]
    card = MetricCard(
        name=f"clip_iqa_{pair}",
        title=title,
        definition=f'softmax of 100 x cosine of image and text over "{better}" and "{worse}": the share of the first, '
        "mean over frames; a half says nothing",
        source="CLIP-IQA, Wang et al. 2023; torchmetrics' CLIPImageQualityAssessment with the run's CLIP",
        direction="higher",
        digits=3,
        margin=0.05,
        uses_clip=True,
        presumes=frozenset({Likeness.SIZE}),
        fooled_by=fooled_by,
    )
    return MeanMetric(card, lambda subject: _antonym_scores(subject, pair))


METRICS = (
    MeanMetric(
        MetricCard(
            name="background_consistency",
            title="background consistency",
            definition="mean over frames after the first of half the sum of the cosines to the frame before and to the "
            "first frame, each at least 0, of CLIP image embeddings; frames scaled as VBench scales them",
            source="VBench, Huang et al. 2024, vbench/background_consistency.py, there with ViT-B/32",
            direction="higher",
            digits=4,
            margin=0.005,
            uses_clip=True,
            presumes=frozenset(Likeness),
            fooled_by="a frozen video has 1; more frames have more time to leave the first",
        ),
        lambda subject: background_consistency(subject.vbench_embeddings),
        frames_needed=2,
    ),
    MeanMetric(
        MetricCard(
            name="clip_consistency",
            title="adjacent-frame consistency",
            definition="mean cosine of the CLIP image embeddings of consecutive frames",
            source="frame consistency of Gen-1, Esser et al. 2023",
            direction="higher",
            digits=4,
            margin=0.005,
            uses_clip=True,
            presumes=frozenset({Likeness.RATE, Likeness.SIZE}),
            fooled_by="a frozen video has 1; a slow drift into another scene costs nothing",
        ),
        lambda subject: adjacent_consistency(subject.image_embeddings),
        frames_needed=2,
    ),
    _iqa("quality", "CLIP-IQA quality", "style and subject: a drawing is no good photo"),
    _iqa("noisiness", "CLIP-IQA noisiness", "a higher value is cleaner, whatever the name says; flat frames are clean"),
    _iqa("sharpness", "CLIP-IQA sharpness", "depth of field and mist are blurry"),
)
