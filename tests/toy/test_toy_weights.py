"""The shipped toy weights: whole, small, loadable offline, and as their document says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cogx_runs import toy
from cogx_runs.errors import CogxError
from tests.support.paths import ROOT


def test_the_weights_are_as_shipped_and_small() -> None:
    assert toy.pipeline_dir().is_dir()
    assert toy.clip_dir().is_dir()
    size = sum(p.stat().st_size for p in toy.WEIGHTS_DIR.rglob("*") if p.is_file())
    assert size <= 25 * 2**20


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    (folder / "clip").mkdir(parents=True)
    name = "clip/tokenizer.json"
    shutil.copy(toy.WEIGHTS_DIR / name, folder / name)
    entries = json.loads((toy.WEIGHTS_DIR / "MANIFEST.json").read_text("utf-8"))
    (folder / "MANIFEST.json").write_text(json.dumps({name: entries[name]}), "utf-8")
    return folder


def test_an_altered_file_is_named(copied: Path) -> None:
    toy.check_weights(copied)
    toy.check_weights.cache_clear()
    (copied / "clip/tokenizer.json").write_text("{}", "utf-8")

    with pytest.raises(CogxError, match="tokenizer.json is not as shipped"):
        toy.check_weights(copied)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "clip/tokenizer.json").unlink()

    with pytest.raises(CogxError, match="tokenizer.json is missing"):
        toy.check_weights(copied)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(CogxError, match="MANIFEST.json"):
        toy.check_weights(tmp_path)


def test_the_pipeline_makes_a_video_of_its_default_size() -> None:
    from diffusers import CogVideoXPipeline

    pipe = CogVideoXPipeline.from_pretrained(toy.pipeline_dir(), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    frames = pipe(
        prompt="a panda",
        num_inference_steps=2,
        num_frames=9,
        max_sequence_length=pipe.transformer.config.max_text_seq_length,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).frames

    assert frames.shape == (1, 9, 3, 64, 64)
    assert torch.isfinite(frames).all()
    assert pipe.transformer.config.max_text_seq_length == 96


def test_the_shipped_tokenizers_know_every_word_of_the_shipped_prompts() -> None:
    from tokenizers import Tokenizer

    from cogx_runs.toy.train.captions import shipped_prompts

    for path in (toy.pipeline_dir() / "tokenizer", toy.clip_dir()):
        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        for text in shipped_prompts().values():
            assert "<unk>" not in tokenizer.encode(text).tokens
        assert tokenizer.encode("a zebra").tokens == ["a", "<unk>", "</s>"]


def test_open_clip_loads_the_toy_clip_from_its_folder() -> None:
    import open_clip

    name = f"local-dir:{toy.clip_dir()}"
    model, _, _ = open_clip.create_model_and_transforms(name)
    tokens = open_clip.get_tokenizer(name)(["a panda in a park"])
    with torch.no_grad():
        features = model.encode_text(tokens, normalize=True)

    assert features.shape == (1, 128)
    assert features.norm().item() == pytest.approx(1)


@pytest.mark.slow
def test_the_toy_clip_scores_a_blurred_drawing_lower_than_the_drawing() -> None:
    from torch.nn.functional import avg_pool2d

    from cogx_runs.toy.train.captions import plain_caption
    from cogx_runs.toy.train.data import draw_set
    from cogx_runs.toy.train.reading import Reader

    cpu = torch.device("cpu")
    drawn = draw_set(16, 9, 900, cpu)
    captions = [plain_caption(scene).text for scene in drawn.scenes]
    sharp = drawn.frames[:, 4]
    blurred = avg_pool2d(sharp.float(), 3, 1, 1, count_include_pad=False).round().to(torch.uint8)
    reader = Reader(toy.clip_dir(), cpu)

    before, after = (torch.tensor(reader.scores(images[:, None], captions)) for images in (sharp, blurred))

    assert (before > 30).all()
    assert (after < before).all()
    assert (before - after).mean() > 3


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((toy.WEIGHTS_DIR / "evaluation.json").read_text("utf-8"))
    return found


def test_the_table_of_the_document_is_the_evaluation_of_the_weights(evaluation: dict[str, Any]) -> None:
    document = (ROOT / "docs" / "toy.md").read_text("utf-8")

    _, _, rest = document.partition("| steps | guidance | CLIP score |")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rest.split("\n\n")[0].splitlines()[2:]]

    expected = []
    for setting in evaluation["settings"]:
        found = setting.get("difference")
        expected.append(
            [
                f"{setting['num_inference_steps']}",
                f"{setting['guidance_scale']:g}",
                f"{setting['clip_score']:.1f}",
                "{mean:+.1f} ({low:+.1f} to {high:+.1f})".format(**found) if found else "",
                f"{found['prompts_worse_by_margin']} of 9" if found else "",
                *(f"{setting[name]:.0%}" for name in ("subject", "place", "colour")),
                f"{setting['motion']:.1f}",
                f"{setting['seed_difference']:.1f}",
            ]
        )
    assert rows == expected


def test_a_study_of_the_toy_tells_the_story_of_a_real_one(evaluation: dict[str, Any]) -> None:
    settings = {(row["num_inference_steps"], row["guidance_scale"]): row for row in evaluation["settings"]}
    best = settings[50, 6.0]

    assert settings[50, 1.0]["difference"]["high"] < 0
    assert settings[50, 1.0]["difference"]["prompts_worse_by_margin"] >= 6
    assert settings[5, 6.0]["difference"]["high"] < settings[10, 6.0]["difference"]["mean"]
    assert settings[10, 6.0]["difference"]["high"] < 0
    assert settings[25, 6.0]["difference"]["low"] > -1
    assert min(best["subject"], best["place"], best["colour"]) >= 0.9
    assert all(drawn["clip_score"] > best["clip_score"] for drawn in evaluation["ceilings"].values())
