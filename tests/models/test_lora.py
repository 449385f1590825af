"""LoRA files as a plan reads them: found, identified by content, and refused in one line."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cogx_runs import toy
from cogx_runs.definitions.lora import Lora
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.errors import CogxError, InputError
from cogx_runs.models import hub
from cogx_runs.models.cards import resolve_model
from cogx_runs.models.lora import read_lora, resolve_loras
from tests.support.loras import QUERY, lora_tensors, write_lora
from tests.support.planning import make_sweep, resolve


def test_a_list_of_adapters_is_kept_as_one_text_that_reads_as_it() -> None:
    listed = Parameters.model_validate({"lora": [{"source": "a.safetensors", "scale": 0.5}, {"source": "b"}]})

    assert listed.lora == "a.safetensors*0.5 + b"
    assert Parameters(lora=listed.lora) == listed
    assert [Parameters.model_validate({"lora": none}).lora for none in (None, "none")] == ["none", "none"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "is an empty list; write each adapter as FILE"),
        ([{"file": "a"}], "source: Field required"),
        ([{"source": "a", "scale": 11}], "scale: Input should be less than or equal to 10"),
        ("a + ", "names no file"),
    ],
)
def test_adapters_written_otherwise_are_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Parameters.model_validate({"lora": value})


def test_the_signature_follows_the_content_of_an_adapter_and_its_scales_and_not_its_name(tmp_path: Path) -> None:
    one, copy, other = (
        str(write_lora(tmp_path / name, seed=seed)) for name, seed in (("one", 0), ("copy", 0), ("other", 1))
    )
    axis = (one, f"{one}*0.5", other, f"{one} + {other}")
    cells = resolve(make_sweep({"lora": ("none", *axis)}, base=Parameters(model="toy")))

    (copied,) = resolve(make_sweep({}, base=Parameters(lora=copy, model="toy")))
    (scaled,) = resolve(make_sweep({}, base=Parameters(lora=one, lora_scale=0.5, model="toy")))
    assert len({cell.signature for cell in (*cells, scaled)}) == 6
    assert copied.signature == cells[1].signature
    assert copied.lora == f"{copy}#{read_lora(Lora(source=copy)).sha256[:12]}"
    assert len({cell.pipeline_key for cell in (*cells, scaled)}) == 6


def test_without_an_adapter_a_grid_has_one_cell_whatever_the_scale(tmp_path: Path) -> None:
    file = str(write_lora(tmp_path / "one"))

    cells = resolve(make_sweep({"lora": ("none", file), "lora_scale": (0.5, 1.0)}, base=Parameters(model="toy")))

    assert [(cell.lora == "none", cell.lora_scale) for cell in cells] == [(True, 1.0), (False, 0.5), (False, 1.0)]


def _pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({QUERY: 1}))


def _saved_by_torch(path: Path) -> None:
    torch.save(lora_tensors(2), path)


def _cut(path: Path) -> None:
    write_lora(path)
    path.write_bytes(path.read_bytes()[:-1])


def _other_names(path: Path) -> None:
    save_file({"lora_unet_to_q.alpha": torch.ones(1)}, path)


def _one_sided(path: Path) -> None:
    save_file({f"transformer.{QUERY}.lora_A.weight": torch.ones(2, 256)}, path)


def _other_ranks(path: Path) -> None:
    tensors = lora_tensors(2)
    save_file(tensors | {f"transformer.{QUERY}.lora_A.weight": torch.ones(3, 256)}, path)


def _other_model(path: Path) -> None:
    write_lora(path, width=1920)


def _other_layer(path: Path) -> None:
    write_lora(path, layer="transformer_blocks.29.attn1.to_q")


def _dora(path: Path) -> None:
    config = {"transformer.r": 2, "transformer.lora_alpha": 2, "transformer.use_dora": True}
    save_file(lora_tensors(2), path, metadata={"lora_adapter_metadata": json.dumps(config)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_pickled, "is pickled, and reading it could run code; convert it to .safetensors"),
        (_saved_by_torch, "is pickled, and reading it could run code"),
        (_cut, "bytes instead of"),
        (_other_names, "holds 'lora_unet_to_q.alpha', which is none of a CogVideoX LoRA's names"),
        (_one_sided, f"has lora_A of {QUERY} without the other matrix"),
        (_other_ranks, f"the matrices of {QUERY} are of ranks 3 and 2"),
        (_other_model, f"adapts {QUERY} of 1920x1920 values, which in toy has 256x256"),
        (_other_layer, "adapts transformer_blocks.29.attn1.to_q, which is no linear layer of toy"),
        (_dora, "use_dora: such adapters are not merged here"),
        (Path.mkdir, "neither a file here nor OWNER/NAME on the hub"),
    ],
)
def test_a_file_that_is_no_adapter_of_the_model_is_one_line_while_planning(
    tmp_path: Path, damage: object, message: str
) -> None:
    path = tmp_path / "broken.safetensors"
    damage(path)  # type: ignore[operator]

    with pytest.raises(InputError) as raised:
        resolve(make_sweep({"lora": ("none", str(path))}, base=Parameters(model="toy")))

    (line,) = str(raised.value).splitlines()
    assert line.startswith("exp.yaml:axes.lora: ")
    assert str(path) in line
    assert message in line


def test_a_file_that_has_changed_since_it_was_named_is_refused(tmp_path: Path) -> None:
    path = write_lora(tmp_path / "one")
    named = resolve_loras(str(path), resolve_model("toy"))
    write_lora(path, seed=1)

    with pytest.raises(CogxError, match="is another file than"):
        resolve_loras(named, resolve_model("toy"))


def test_an_adapter_of_the_hub_is_its_repositorys_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {("owner/night", "pytorch_lora_weights.safetensors"): write_lora(tmp_path / "a"),
            ("owner/night", "ink.safetensors"): write_lora(tmp_path / "b", seed=1)}  # fmt: skip
    monkeypatch.setattr(hub, "cached_file", lambda repository, file, _=None: kept.get((repository, file)))

    assert [read_lora(Lora(source=name)).path.name for name in ("owner/night", "owner/night/ink.safetensors")] == [
        "a", "b",
    ]  # fmt: skip
    with pytest.raises(CogxError, match=r"owner/day are not on this machine and HF_HUB_OFFLINE is set"):
        read_lora(Lora(source="owner/day"))


def test_the_shipped_adapter_is_one_of_the_toy_and_small() -> None:
    file = read_lora(Lora(source="toy"))

    file.check(resolve_model("toy"))
    assert toy.lora_file().stat().st_size < 10**6
    assert {file.factor(layer) for layer in file.layers} == {1.0}
