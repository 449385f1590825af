"""Aesthetic quality: LAION's linear head on the image embeddings of CLIP ViT-L/14, as VBench takes it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cogx_runs.metrics.card import Likeness, MetricCard
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.network_metric import NetworkMetric
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.weights_file import HubWeights, WeightsFile

if TYPE_CHECKING:
    import torch
    from torch import nn

CLIP_MODEL = "ViT-L-14:openai"
"""The CLIP that the head was trained on, whichever CLIP the run names."""
CLIP = HubWeights(
    title=f"the weights of CLIP {CLIP_MODEL}",
    repository="timm/vit_large_patch14_clip_224.openai",
    filenames=("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    size="1.7 GB",
    licence="MIT",
)
HEAD = WeightsFile(
    title="LAION's weights",
    url="https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/main/sa_0_4_vit_l_14_linear.pth",
    size="4 kB",
    licence="MIT",
    sha256="2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
)
CARD = MetricCard(
    name="aesthetic_quality",
    title="aesthetic quality",
    definition="a linear head on the normalised embedding of CLIP ViT-L/14, of frames scaled as VBench scales them, "
    "over 10; mean over frames",
    source="LAION's aesthetic predictor V1; VBench, Huang et al. 2024, vbench/aesthetic_quality.py",
    direction="higher",
    digits=3,
    margin=0.01,
    presumes=frozenset({Likeness.SIZE}),
    fooled_by="taste of those who rated pictures on the web; a still of good colours; it sees no motion",
)


def aesthetic_metric(clip_model: str = CLIP_MODEL, head: WeightsFile = HEAD) -> "NetworkMetric[Any]":
    """Builds the metric of a CLIP and of the head on its embeddings.

    T values about 0 to 1, LAION's scale of 1 to 10 over 10; higher is better. Follows VBench's
    `vbench/aesthetic_quality.py`: a head of `sa_0_4_vit_l_14_linear.pth` on embeddings of length 1.
    """
    from_hub = (CLIP,) if clip_model == CLIP_MODEL else ()
    return NetworkMetric(
        card=CARD,
        file=head,
        build=_head,
        apply=lambda head, subject: _measure(head, subject, clip_model),
        others=from_hub,
        check_others=lambda: _encoder(clip_model),
    )


def _head(state: "dict[str, torch.Tensor]") -> "nn.Linear":
    from torch import nn

    head = nn.Linear(state["weight"].shape[1], 1)
    head.load_state_dict(state)
    return head.eval()


def _measure(head: "nn.Linear", subject: Subject, clip_model: str) -> Measured:
    import torch
    from torch.nn.functional import normalize

    embeddings = torch.tensor(_encoder(clip_model).embed_frames(subject.frames, as_vbench=True))
    with torch.no_grad():
        values = head(normalize(embeddings, dim=-1)).squeeze(-1).numpy() / 10
    return Measured(float(np.mean(values)), tuple(values.tolist()))


def _encoder(clip_model: str) -> Any:
    from cogx_runs.metrics.clip import encoder_of  # open_clip: planning reads only the card

    return encoder_of(clip_model)


METRIC = aesthetic_metric()
