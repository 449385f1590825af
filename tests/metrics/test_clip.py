"""CLIP score with real open_clip on a small random CLIP."""

import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.metrics.clip import ClipEncoder, check_clip
from cogx_runs.metrics.clip_score import METRIC, frame_scores
from cogx_runs.metrics.compression import compression_change, write_with_change
from cogx_runs.metrics.metric import Measured
from cogx_runs.metrics.registry import cards
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.metrics.subject import Subject
from cogx_runs.video import Frames, read_mp4, write_mp4

PROMPT = "a panda plays the guitar"


def score_of(frames: Frames, prompt: str, clip: Path) -> Measured:
    measured = METRIC.measure(Subject(frames, prompt, str(clip), 8))
    assert measured is not None
    return measured


@pytest.fixture(scope="module")
def frames() -> Frames:
    return np.random.default_rng(0).integers(0, 256, (20, 24, 40, 3), dtype=np.uint8)


def test_the_score_is_100_cosine_of_open_clips_own_features_averaged_over_all_frames(
    tiny_clip: Path, frames: Frames
) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")([PROMPT])
    with torch.no_grad():
        text = model.eval().encode_text(tokens, normalize=True)
        images = torch.stack([preprocess(Image.fromarray(frame)) for frame in frames])
        expected = 100 * (model.encode_image(images, normalize=True) @ text.T).mean().item()

    score = score_of(frames, PROMPT, tiny_clip)

    assert score.value == pytest.approx(expected, abs=1e-4)
    assert len(score.by_frame) == 20
    assert score.conditions == {
        "model": str(tiny_clip), "prompt_tokens": "7", "token_limit": "77", "prompt_truncated": "False"
    }  # fmt: skip


def test_a_prompt_beyond_the_context_is_scored_truncated_with_its_end_token_and_says_so(
    tiny_clip: Path, frames: Frames
) -> None:
    long = "word " * 200

    score = score_of(frames, long, tiny_clip)

    assert (score.conditions["prompt_tokens"], score.conditions["prompt_truncated"]) == ("202", "True")
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")([long])
    assert tokens[0, -1] == 49407
    assert score.value == pytest.approx(score_of(frames, "word " * 75, tiny_clip).value, abs=1e-5)


def test_a_folder_without_weights_scores_nothing(tiny_clip: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_clip / "open_clip_config.json", tmp_path)

    with pytest.raises(CogxError, match="has no open_clip_model.safetensors; name a folder"):
        ClipEncoder(str(tmp_path))


def test_a_frames_score_is_100_for_equal_embeddings_minus_100_for_opposite_and_0_for_orthogonal_ones() -> None:
    text = np.array([3.0, 0.0], dtype=np.float32)
    images = np.array([[5.0, 0.0], [-1.0, 0.0], [0.0, 2.0]], dtype=np.float32)

    assert frame_scores(images, text).tolist() == [100, -100, 0]


def test_the_score_does_not_depend_on_the_order_of_the_frames(tiny_clip: Path, frames: Frames) -> None:
    forwards = score_of(frames, PROMPT, tiny_clip).value

    assert score_of(frames[::-1], PROMPT, tiny_clip).value == pytest.approx(forwards, abs=1e-5)


def test_a_video_is_scored_before_h264_and_as_its_mp4_shows_it(tiny_clip: Path, frames: Frames, tmp_path: Path) -> None:
    file = tmp_path / "video.mp4"
    write_mp4(frames, file, 8)
    subject, scorer = Subject(frames, PROMPT, str(tiny_clip), 8), Scorer(str(tiny_clip))

    scored, alone = scorer.score(subject, file).values, scorer.score(subject).values

    assert scored["clip_score"] == score_of(frames, PROMPT, tiny_clip).value
    assert scored["clip_score_file"] == score_of(read_mp4(file), PROMPT, tiny_clip).value != scored["clip_score"]
    assert {name for name in scored if scored[name] != alone[name]} == {"clip_score_file"}
    assert alone["clip_score_file"] == alone["clip_score"]
    assert compression_change(cards()["clip_score"], alone) is None


def test_a_score_is_shown_with_what_h264_does_to_it() -> None:
    card, metrics = cards()["clip_score"], {"clip_score": 34.2, "wall_time_s": 1.0}

    assert write_with_change(card, metrics) == "34.20"
    assert write_with_change(card, {**metrics, "clip_score_file": 32.9}) == "34.20 (mp4 −1.30)"
    assert write_with_change(cards()["wall_time_s"], {**metrics, "clip_score_file": 32.9}) == "1.0 s"


def test_an_mp4_that_cannot_be_read_back_costs_its_score_and_no_other(
    tiny_clip: Path, frames: Frames, tmp_path: Path
) -> None:
    (tmp_path / "video.mp4").write_bytes(b"no video")

    scores = Scorer(str(tiny_clip)).score(Subject(frames[:9], PROMPT, str(tiny_clip), 8), tmp_path / "video.mp4")

    assert list(scores.failures) == ["clip_score_file"]
    assert scores.values["clip_score"] == score_of(frames[:9], PROMPT, tiny_clip).value


def test_a_local_checkpoint_of_an_architecture_is_loaded_with_its_activation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("RN50-quickgelu")
    torch.save(model.state_dict(), tmp_path / "weights.pt")

    encoder = ClipEncoder(f"RN50-quickgelu:{tmp_path}/weights.pt")

    assert type(encoder._model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def test_weights_that_need_quickgelu_ask_for_it_since_open_clip_only_warns() -> None:
    from cogx_runs.metrics import clip

    assert open_clip.get_pretrained_cfg("ViT-B-32", "openai")["quick_gelu"]
    assert clip._needs_quick_gelu("ViT-B-32", "openai")
    assert not clip._needs_quick_gelu("ViT-B-32", "laion2b_s34b_b79k")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-31:openai", r"no such folder or architecture; did you mean 'ViT-B-32'\?"),
        ("ViT-B-32:openay", r"'openay' is no file and no weights of ViT-B-32; did you mean 'openai'\?"),
        ("ViT-B-32", "is no file and no weights of ViT-B-32"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_right_one(name: str, message: str) -> None:
    with pytest.raises(CogxError, match=message):
        check_clip(name)


def test_a_folder_that_is_no_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(CogxError, match="has no open_clip_config.json"):
        check_clip(str(tmp_path))


def test_weights_that_cannot_be_had_are_told_apart_from_a_wrong_name() -> None:
    with pytest.raises(WeightsUnavailableError, match="not on this machine and HF_HUB_OFFLINE is set"):
        check_clip("ViT-B-32:openai")
