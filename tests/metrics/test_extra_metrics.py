"""The extra metrics: what VBench's code says with the same random weights, their rules, and how they are asked for.

Published weights are in no test: their values are not known here.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.metrics import aesthetic, dynamic_degree, registry
from cogx_runs.metrics.aesthetic import aesthetic_metric
from cogx_runs.metrics.dynamic_degree import (
    degree_metric,
    fastest_speed,
    is_dynamic,
    pairs_needed,
    sampled,
    speed_limit,
)
from cogx_runs.metrics.network_metric import NetworkMetric
from cogx_runs.metrics.registry import EXTRAS, card_of, cards, metrics
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.metrics.subject import Subject
from cogx_runs.metrics.subject_consistency import subject_metric
from cogx_runs.metrics.weights_file import WeightsFile
from tests.support.random_weights import dino_state, flow_videos, head_state, raft_state, save_weights
from tests.support.reference_videos import FIXTURES, reference_videos, save_random_clip

REFERENCE: dict[str, Any] = json.loads((FIXTURES / "reference_extras.json").read_text("utf-8"))["videos"]


@pytest.fixture(scope="module")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, NetworkMetric[Any]]]:
    """The extra metrics with random weights."""
    folder = tmp_path_factory.mktemp("extras")
    save_random_clip(folder / "clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder))
        found: dict[str, NetworkMetric[Any]] = {
            "aesthetic_quality": aesthetic_metric(str(folder / "clip"), save_weights(head_state(), "head")),
            "subject_consistency": subject_metric(save_weights(dino_state(), "dino")),
            "dynamic_degree": degree_metric(save_weights(raft_state(), "raft")),
        }
        for metric in found.values():
            metric.check("")
        yield found


def subject(frames: np.ndarray, fps: float = 8) -> Subject:
    return Subject(frames, "a panda", "a CLIP that nobody has", fps)


@pytest.mark.parametrize("name", ["aesthetic_quality", "subject_consistency"])
def test_an_extra_metric_says_what_vbench_says_with_the_same_weights(
    extras: dict[str, NetworkMetric[Any]], name: str
) -> None:
    for video, frames in reference_videos().items():
        measured = extras[name].measure(subject(frames))

        assert measured is not None
        assert measured.value == pytest.approx(REFERENCE[video][name], abs=1e-6), video
        assert len(measured.conditions["weights_sha256"]) == 64


def test_dynamic_degree_finds_the_speeds_that_vbench_finds_with_the_same_weights_and_judges_them_alike(
    extras: dict[str, NetworkMetric[Any]],
) -> None:
    found = {name: extras["dynamic_degree"].measure(subject(frames)) for name, frames in flow_videos().items()}

    assert {name: measured.value for name, measured in found.items() if measured} == {"square": 0, "noise": 1}
    for name, measured in found.items():
        expected = REFERENCE[f"flow_{name}"]["dynamic_degree"]
        assert measured is not None
        assert measured.by_frame == pytest.approx(expected["speeds"], rel=1e-4)
        assert (measured.value, float(measured.conditions["limit_px"])) == (expected["moves"], expected["thres"])
        assert measured.conditions["pairs_needed"] == str(expected["count_num"])


def test_the_rule_of_dynamic_degree_is_vbenchs() -> None:
    frames = np.zeros((49, 1, 1, 3), np.uint8)
    flow = np.zeros((2, 10, 20), np.float32)
    flow[:, 0, :10] = [[3.0], [4.0]]

    assert [len(sampled(frames, fps)) for fps in (4, 8, 12, 24, 30)] == [49, 49, 25, 17, 13]
    assert fastest_speed(flow) == 5  # the fastest 10 of 200 pixels
    assert [speed_limit(480, 720), speed_limit(256, 256)] == [11.25, 6]
    assert [pairs_needed(count) for count in (3, 13, 16, 25, 49)] == [1, 3, 4, 6, 12]
    assert is_dynamic([7, 7, 1, 1, 7, 7, *[1] * 9], 6)
    assert not is_dynamic([7, 7, 6, 1, 7, *[1] * 10], 6)


def test_videos_that_can_have_no_value_have_none_and_frames_too_small_for_raft_are_refused(
    extras: dict[str, NetworkMetric[Any]],
) -> None:
    video = reference_videos()["frozen"]

    assert extras["subject_consistency"].measure(subject(video[:1])) is None
    assert extras["dynamic_degree"].measure(subject(video, fps=16)) is None
    with pytest.raises(CogxError, match="^dynamic degree: 96x64: needs frames of at least 128x128$"):
        extras["dynamic_degree"].measure(subject(video))


def test_extras_are_measured_where_they_are_named_and_known_nowhere_else(
    extras: dict[str, NetworkMetric[Any]], tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogx_runs.metrics.scoring.EXTRAS", extras)
    video = Subject(reference_videos()["cut"], "a panda", str(tiny_clip), 8)

    plain = Scorer(str(tiny_clip)).score(video).measured
    asked = Scorer(str(tiny_clip), ["subject_consistency"]).score(video).measured

    assert asked.keys() - plain.keys() == {"subject_consistency"}
    assert not EXTRAS.keys() & (plain.keys() | cards().keys() | registry.versions().keys())
    assert not EXTRAS.keys() & registry.cards_of_every_cell().keys()
    assert registry.cards_of_every_cell(["dynamic_degree"]).keys() >= {"clip_score", "dynamic_degree"}
    assert [card.name for card in registry.qualities(EXTRAS)][len(registry.qualities()) :] == [
        "aesthetic_quality",
        "subject_consistency",
    ]
    assert {name: card_of(name) for name in EXTRAS} == registry.extra_cards()
    assert len(metrics()) == len(plain)


def test_weights_that_are_not_here_are_a_line_that_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)

    scorer = Scorer("toy", ["aesthetic_quality", "dynamic_degree"])

    place = tmp_path / "cache" / "torch" / "hub" / "checkpoints"
    assert scorer.unavailable == {
        "aesthetic_quality": f"aesthetic quality: LAION's weights are not at {place}/sa_0_4_vit_l_14_linear.pth; "
        f"download {aesthetic.HEAD.url} there (HF_HUB_OFFLINE is set); the weights of CLIP ViT-L-14:openai "
        "(timm/vit_large_patch14_clip_224.openai) are not on this machine (HF_HUB_OFFLINE is set); connect once",
        "dynamic_degree": f"dynamic degree: RAFT's weights are not at {place}/raft_large_C_T_V1-22a6c225.pth; download "
        f"{dynamic_degree.RAFT.url} there (HF_HUB_OFFLINE is set)",
    }


def test_a_file_that_is_damaged_another_or_of_another_network_is_told_from_the_published_one() -> None:
    good = save_weights(head_state(), "file")
    digest = hashlib.sha256(good.path.read_bytes()).hexdigest()

    def fault(sha256: str = "") -> str:
        file = WeightsFile(title="its weights", url=good.url, size="", licence="", sha256=sha256)
        with pytest.raises(WeightsUnavailableError) as caught:
            subject_metric(file).check("")
        return str(caught.value)

    assert good.load("x")[1] == digest
    assert fault("0123") == (
        f"subject consistency: {good.path} has SHA-256 {digest[:16]}, and its weights have 0123; remove it, and "
        f"download {good.url} there"
    )
    assert fault(digest[:8]).startswith(
        f"subject consistency: {good.path} has other weights ('patch_embed.proj.weight')"
    )
    narrow = {"patch_embed.proj.weight": torch.zeros(8, 3, 16, 16), "blocks.0.norm1.weight": torch.zeros(8)}
    torch.save(narrow, good.path)
    assert fault().startswith(f"subject consistency: {good.path} has other weights (")
    good.path.write_bytes(b"cut off")
    assert fault().startswith(f"subject consistency: {good.path} cannot be read: ")
    good.path.unlink()
    good.path.symlink_to("/proc/self/mem")  # a file whose first byte cannot be read, by root neither
    assert fault().startswith(f"subject consistency: {good.path} cannot be read: Input/output error; remove it")


def test_every_extra_says_where_its_weights_come_from_and_by_which_licence() -> None:
    described = [weights.described for metric in EXTRAS.values() for weights in metric.weights]

    assert [text.rpartition(", ")[2] for text in described] == ["MIT)", "MIT)", "Apache-2.0)", "BSD-3-Clause)"]
