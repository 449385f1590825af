"""Models: the rules that their configurations set, and folders that are not what they should be."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from safetensors import safe_open
from transformers import T5Config, T5EncoderModel

from benchmarks.random_model import SIZES
from cogx_runs.errors import CogxError
from cogx_runs.models.cards import HUB_MODELS, ModelCard, resolve_model
from cogx_runs.models.configs import TransformerConfig
from cogx_runs.models.download import weights_gb
from cogx_runs.models.expected import transformer_weights
from cogx_runs.models.weights import weights_sha256
from cogx_runs.system.disk import cache_directory

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder that a test may spoil."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def refusal(model: Path) -> str:
    with pytest.raises(CogxError) as caught:
        resolve_model(str(model))
    return str(caught.value)


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def test_as_many_frames_come_back_as_the_card_says(tiny_model: Path) -> None:
    vae = AutoencoderKLCogVideoX.from_pretrained(tiny_model / "vae")
    card = HUB_MODELS["2b"]
    decoded = {}
    with torch.no_grad():
        for latent_frames in range(1, 14):
            decoded[latent_frames] = vae.decode(torch.zeros(1, 4, latent_frames, 2, 2)).sample.shape[2]

    assert {frames: card.decoded_frames(frames) for frames in range(1, 50)} == {
        frames: decoded[(frames - 1) // vae.config.temporal_compression_ratio + 1] for frames in range(1, 50)
    }
    assert {frames: card.decoded_frames(frames) for frames in (25, 29, 49)} == {25: 25, 29: 32, 49: 49}


@pytest.mark.parametrize(("model", "last"), [("2b", 49), ("5b", 49)])
def test_valid_frame_counts_are_8n_plus_1_up_to_the_models_own_and_come_back_as_asked_for(
    model: str, last: int
) -> None:
    card = HUB_MODELS[model]

    assert card.valid_frames() == [9, 17, 25, 33, 41, last]
    assert [card.decoded_frames(frames) for frames in card.valid_frames()] == card.valid_frames()


def test_the_card_of_2b_is_that_of_its_published_configuration() -> None:
    assert resolve_model("2b") == ModelCard(
        name="2b",
        source="zai-org/CogVideoX-2b",
        revision="1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01",
        dtype="float16",
        scheduler="ddim",
        height=480,
        width=720,
        size_multiple=16,
        num_frames=49,
        max_frames=49,
        temporal_compression=4,
        max_sequence_length=226,
        num_train_timesteps=1000,
        timestep_spacing="trailing",
        transformer=TransformerConfig(
            num_attention_heads=30,
            attention_head_dim=64,
            sample_height=60,
            sample_width=90,
            sample_frames=49,
            patch_size=2,
            max_text_seq_length=226,
            num_layers=30,
        ),
        transformer_parameters=1_693_783_872,
        text_encoder_parameters=4_762_310_656,
        vae_parameters=215_583_907,
        clip_model="ViT-B-32:openai",
    )


def test_5b_differs_from_2b_in_its_weights_its_precision_and_its_scheduler() -> None:
    small, large = vars(resolve_model("2b")), vars(resolve_model("5b"))

    assert {key: large[key] for key in large if large[key] != small[key]} == {
        "name": "5b",
        "source": "zai-org/CogVideoX-5b",
        "revision": "8d6ea3f817438460b25595a120f109b88d5fdfad",
        "dtype": "bfloat16",
        "scheduler": "dpm",
        "transformer": small["transformer"].model_copy(
            update={"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
        ),
        "transformer_parameters": 5_570_283_072,
    }


def test_1_5_has_5b_s_blocks_and_its_own_frames_size_and_rate() -> None:
    card, large = resolve_model("1.5-5b"), vars(resolve_model("5b"))

    assert {key: value for key, value in vars(card).items() if value != large[key]} == {
        "name": "1.5-5b",
        "source": "zai-org/CogVideoX1.5-5B",
        "revision": "fdc5267c90b5c06492985b966e43aae984e189e0",
        "scheduler": "ddim",
        "height": 768,
        "width": 1360,
        "max_height": 768,
        "max_width": 1360,
        "num_frames": 81,
        "max_frames": 161,
        "fps": 16,
        "transformer": large["transformer"].model_copy(
            update={
                "patch_size_t": 2, "patch_bias": False,
                "sample_height": 96, "sample_width": 170, "sample_frames": 81,
            }
        ),
        "transformer_parameters": 5_570_676_352,
        "hub_gb": 31.1,
    }  # fmt: skip
    assert card.valid_frames() == [17, 33, 49, 65, 81, 97, 113, 129, 145, 161]
    assert weights_gb(card) == 31.1
    assert transformer_weights(card.transformer)["patch_embed.proj.bias"] == [3072]
    assert resolve_model("THUDM/CogVideoX1.5-5B") == replace(card, source="THUDM/CogVideoX1.5-5B")


def test_a_folder_has_the_rules_of_1_5_by_its_configs_whatever_its_name(tiny_1_5: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_1_5, tmp_path / "CogVideoX-2b-anime")

    card = resolve_model(str(folder))

    assert (card.dtype, card.num_frames, card.fps) == ("bfloat16", 17, 16)
    assert card.valid_frames() == [17, 33]
    assert (card.height, card.width, card.max_height, card.max_width) == (32, 48, 32, 48)
    edit(folder / "transformer" / "config.json", sample_height=300, sample_width=300)  # as diffusers' converter writes
    card = resolve_model(str(folder))
    assert (card.height, card.width, card.max_height, card.max_width) == (768, 1360, 2400, 2400)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_rotary_positional_embeddings": False}, "patch_size_t: needs use_rotary_positional_embeddings"),
        ({"use_learned_positional_embeddings": True}, "patch_size_t: has no use_learned_positional_embeddings beside"),
        ({"ofs_embed_dim": 8}, "ofs_embed_dim: is of a model that animates an image"),
    ],
)
def test_a_folder_with_patches_in_time_that_the_pipeline_cannot_run_is_refused(
    tiny_1_5: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = shutil.copytree(tiny_1_5, tmp_path / "model")
    edit(folder / "transformer" / "config.json", **changes)

    assert message in refusal(folder)


def test_a_hub_model_takes_the_revision_that_is_asked_for() -> None:
    assert resolve_model("2b", "abc").revision == "abc"


def test_the_card_of_a_folder_is_read_from_its_configs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    card = resolve_model("model")

    assert card == ModelCard(
        name="model",
        source=str(model),
        revision=card.revision,
        dtype="float16",
        scheduler="ddim",
        height=32,
        width=32,
        size_multiple=16,
        num_frames=17,
        max_frames=17,
        tile_height=64,
        tile_width=64,
        temporal_compression=4,
        max_sequence_length=226,
        num_train_timesteps=1000,
        timestep_spacing="trailing",
        transformer=card.transformer,
        transformer_parameters=card.transformer_parameters,
        text_encoder_parameters=card.text_encoder_parameters,
        vae_parameters=card.vae_parameters,
        latent_channels=4,
        vae_channels=8,
    )
    assert card.is_local
    assert not resolve_model("2b").is_local


def test_a_folder_with_rotary_positions_runs_in_bfloat16_as_5b_does(model: Path) -> None:
    edit(model / "transformer" / "config.json", use_rotary_positional_embeddings=True)
    edit(model / "scheduler" / "scheduler_config.json", _class_name="CogVideoXDPMScheduler")

    card = resolve_model(str(model))

    assert (card.dtype, card.scheduler) == ("bfloat16", "dpm")


def test_the_parameters_of_a_folder_are_counted_from_its_headers(tiny_model: Path) -> None:
    counted = {}
    for component in ("transformer", "text_encoder", "vae"):
        (path,) = (tiny_model / component).glob("*.safetensors")
        with safe_open(path, "pt") as file:
            counted[component] = sum(file.get_tensor(key).numel() for key in file.keys())  # noqa: SIM118 (no mapping)

    card = resolve_model(str(tiny_model))

    assert counted == {
        "transformer": card.transformer_parameters,
        "text_encoder": card.text_encoder_parameters,
        "vae": card.vae_parameters,
    }
    assert card.parameters == sum(counted.values())


def test_the_parameters_of_hub_models_are_those_of_their_published_configurations() -> None:
    with torch.device("meta"):
        small = CogVideoXTransformer3DModel(num_attention_heads=30, num_layers=30)
        large = CogVideoXTransformer3DModel(
            num_attention_heads=48, num_layers=42, use_rotary_positional_embeddings=True
        )
        later = CogVideoXTransformer3DModel(**SIZES["1.5-5b"]["transformer"])
        text_encoder = T5EncoderModel(
            T5Config(d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
        )
        vae = AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(128, 256, 256, 512), layers_per_block=3, latent_channels=16,
        )  # fmt: skip

    for name, transformer in (("2b", small), ("5b", large), ("1.5-5b", later)):
        card = HUB_MODELS[name]
        assert card.hidden_size == transformer.config.num_attention_heads * transformer.config.attention_head_dim
        assert [card.transformer_parameters, card.text_encoder_parameters, card.vae_parameters] == [
            sum(parameter.numel() for parameter in module.parameters()) for module in (transformer, text_encoder, vae)
        ]


def test_a_name_that_is_no_model_is_answered_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CogxError) as caught:
        resolve_model("2bb")

    assert str(caught.value) == "no model '2bb': neither a known name nor a folder here; did you mean '2b'?"


def test_a_folder_takes_no_revision(tiny_model: Path) -> None:
    with pytest.raises(CogxError) as caught:
        resolve_model(str(tiny_model), "main")

    assert str(caught.value) == f"{tiny_model}: has no revisions to choose from; leave `revision` out"


@pytest.mark.parametrize(
    "name",
    ["model_index.json", "transformer/config.json", "vae/config.json", "scheduler/scheduler_config.json"],
)
def test_a_config_that_is_missing_broken_or_no_object_is_named(model: Path, name: str) -> None:
    path = model / name
    path.write_text("[1]", encoding="utf-8")
    no_object = refusal(model)
    path.write_text('{"a": ', encoding="utf-8")
    broken = refusal(model)
    path.unlink()
    missing = refusal(model)

    assert no_object == f"{path}: holds no JSON object; copy or download it again"
    assert broken.startswith(f"{path}: is not valid JSON (")
    assert broken.endswith("); copy or download it again")
    assert missing == f"{path}: is missing; name a complete model folder in diffusers' format"


def test_another_kind_of_pipeline_is_refused(model: Path) -> None:
    edit(model / "model_index.json", _class_name="CogVideoXImageToVideoPipeline")

    assert refusal(model) == f"{model}: is a CogVideoXImageToVideoPipeline, not a CogVideoXPipeline"


def test_another_kind_of_scheduler_is_refused(model: Path) -> None:
    edit(model / "scheduler" / "scheduler_config.json", _class_name="EulerDiscreteScheduler")

    assert refusal(model) == f"{model}/scheduler: is a EulerDiscreteScheduler, which CogVideoX does not use"


@pytest.mark.parametrize(
    ("name", "key"), [("transformer/config.json", "sample_height"), ("vae/config.json", "block_out_channels")]
)
def test_a_config_without_a_key_that_a_plan_needs_is_named(model: Path, name: str, key: str) -> None:
    edit(model / name, **{key: None})

    assert str(model / name) in refusal(model)
    assert key in refusal(model)


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
def test_a_component_without_weights_is_named(model: Path, component: str) -> None:
    for path in (model / component).glob("*.safetensors"):
        path.unlink()

    assert refusal(model) == f"{model / component}: holds no .safetensors weights; copy or download it again"


def test_weights_of_which_a_part_is_missing_are_refused(model: Path) -> None:
    shard = model / "transformer" / "diffusion_pytorch_model-00001-of-00002.safetensors"
    (model / WEIGHTS).rename(shard)
    missing = "diffusion_pytorch_model-00002-of-00002.safetensors"
    index = {"metadata": {}, "weight_map": {"a": shard.name, "b": missing}}
    (model / f"{WEIGHTS}.index.json").write_text(json.dumps(index), encoding="utf-8")

    assert missing in refusal(model)


def test_truncated_weights_are_refused_with_the_size_that_they_should_have(model: Path) -> None:
    path = model / WEIGHTS
    size = path.stat().st_size
    os.truncate(path, size - 1)

    assert refusal(model) == f"{path}: has {size - 1:,} bytes instead of {size:,}; copy or download it again"


@pytest.mark.parametrize("size", [0, 7, 8, 100])
def test_weights_truncated_within_their_header_are_refused(model: Path, size: int) -> None:
    os.truncate(model / WEIGHTS, size)

    assert refusal(model) == f"{model / WEIGHTS}: is truncated within its header; copy or download it again"


def test_a_git_lfs_pointer_in_the_place_of_weights_is_refused(model: Path) -> None:
    (model / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")

    assert refusal(model).startswith(f"{model / WEIGHTS}: is ")


def test_weights_whose_header_is_no_json_are_refused(model: Path) -> None:
    (model / WEIGHTS).write_bytes((4).to_bytes(8, "little") + b"nope")

    assert refusal(model) == f"{model / WEIGHTS}: is no safetensors file; copy or download it again"


def test_the_revision_stays_when_nothing_that_matters_changes(model: Path, tmp_path: Path) -> None:
    before = resolve_model(str(model)).revision
    (model / "README.md").write_text("A model.", encoding="utf-8")
    os.utime(model / "vae" / "config.json", ns=(1, 1))
    moved = model.rename(tmp_path / "moved")

    assert resolve_model(str(moved)).revision == before


def test_the_revision_changes_with_the_bytes_and_with_the_time_of_weights_and_with_a_config(model: Path) -> None:
    path = model / WEIGHTS
    revisions = [resolve_model(str(model)).revision]
    os.utime(path, ns=(1, 1))
    revisions.append(resolve_model(str(model)).revision)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    revisions.append(resolve_model(str(model)).revision)
    edit(model / "scheduler" / "scheduler_config.json", snr_shift_scale=1.0)
    revisions.append(resolve_model(str(model)).revision)
    (model / "tokenizer" / "spiece.model").write_bytes(b"another tokenizer")
    revisions.append(resolve_model(str(model)).revision)

    assert len(set(revisions)) == 5


def test_the_hash_of_the_weights_is_over_every_byte_of_every_file(model: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted(model.rglob("*.safetensors")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())

    assert weights_sha256(model) == digest.hexdigest()


def test_the_hash_of_the_weights_is_kept_until_their_times_change(model: Path) -> None:
    first = weights_sha256(model)
    path = model / WEIGHTS
    times = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    os.utime(path, ns=(times, times))
    kept = weights_sha256(model)
    os.utime(path, ns=(times, times + 1))
    anew = weights_sha256(model)

    assert kept == first
    assert anew != first


def test_the_hash_of_the_weights_is_kept_in_the_users_cache(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))

    digest = weights_sha256(tiny_model)

    kept = [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]
    assert [path.read_text(encoding="ascii").partition("\n")[0] for path in kept] == [digest]
    assert kept[0].parent == tmp_path / "elsewhere" / "cogx-runs" / "weights_sha256"


def test_a_kept_hash_that_was_damaged_is_taken_anew(tiny_model: Path) -> None:
    digest = weights_sha256(tiny_model)
    (kept,) = (cache_directory() / "weights_sha256").iterdir()
    content = kept.read_text(encoding="ascii")
    for damaged in ("", digest, content.replace(content[5], "0" if content[5] != "0" else "1", 1), "\n" * 129):
        kept.write_text(damaged, encoding="ascii")
        assert weights_sha256(tiny_model) == digest
        assert kept.read_text(encoding="ascii") == content


def test_a_model_without_its_tokenizer_is_refused(model: Path) -> None:
    shutil.rmtree(model / "tokenizer")

    with pytest.raises(CogxError, match=r"model/tokenizer: holds no spiece.model or tokenizer.json; copy or download"):
        resolve_model(str(model))


def test_a_hub_id_is_the_model_that_is_in_the_cache_at_its_commit(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--someone--CogVideoX-2b-anime"
    shutil.copytree(tiny_model, kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    card = resolve_model("someone/CogVideoX-2b-anime")

    assert (card.name, card.revision) == ("someone/CogVideoX-2b-anime", commit)
    assert card.source == str(kept / "snapshots" / commit)
    with pytest.raises(CogxError, match="`hf download someone/other --revision v1` fetches it"):
        resolve_model("someone/other", "v1")
    for name in ("some--one/model", "someone/..model", "someone/model.git"):
        with pytest.raises(CogxError, match="neither a known name nor a folder here"):
            resolve_model(name)
