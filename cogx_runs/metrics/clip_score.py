"""CLIP score: how well the frames fit the prompt, before H.264 and as the mp4 shows them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cogx_runs.metrics.card import Dependence, Likeness, MetricCard
from cogx_runs.metrics.metric import MeanMetric
from cogx_runs.metrics.subject import Subject
from cogx_runs.models.tokens import count_clip_tokens

CARD = MetricCard(
    name="clip_score",
    title="CLIP score",
    definition="100 x cosine of image and text embedding, mean over all frames; a prompt beyond CLIP's context is "
    "cut with its end token kept",
    source="Hessel et al. 2021; torchmetrics' CLIPScore, without its cut at 0",
    direction="higher",
    margin=1.0,
    uses_clip=True,
    presumes=frozenset({Likeness.SIZE}),
    fooled_by="a prompt of more than 77 tokens, whose rest it does not see; a still picture of the prompt",
)
FILE_CARD = replace(
    CARD,
    name="clip_score_file",
    title="CLIP score of the mp4",
    definition="the CLIP score over the frames read back from the mp4, which are those that a viewer sees",
    depends_on=frozenset({Dependence.FILE}),
    repeats=CARD.name,
)


def frame_scores(images: npt.NDArray[np.float32], text: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Computes 100 x the cosine of each image embedding (T x D) with a text embedding (D); T values."""
    images = images / np.linalg.norm(images, axis=-1, keepdims=True)
    scores: npt.NDArray[np.float32] = 100 * (images @ (text / np.linalg.norm(text)))
    return scores


def _frame_scores(subject: Subject) -> npt.NDArray[np.float32]:
    return frame_scores(subject.image_embeddings, subject.clip.embed_text(subject.prompt))


def _conditions(subject: Subject) -> dict[str, str]:
    """Returns the CLIP, and whether it reads the whole prompt."""
    count = count_clip_tokens(subject.prompt, subject.clip_model)
    return {
        "model": subject.clip_model,
        "prompt_tokens": str(count.tokens),
        "token_limit": str(count.limit),
        "prompt_truncated": str(count.is_cut),
    }


METRIC = MeanMetric(CARD, _frame_scores, keeps_frames=True, conditions=_conditions)
FILE_METRIC = MeanMetric(FILE_CARD, _frame_scores)
