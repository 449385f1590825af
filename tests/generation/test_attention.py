"""Other kernels of attention: the same function around another kernel, taken out without a trace."""

from typing import Any

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from torch.nn import functional

from benchmarks.random_model import TINY
from cogx_runs.generation import attention
from cogx_runs.generation.attention import set_attention


def exact(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Stands in for a kernel that needs a GPU, with its layout: batch x tokens x heads x head size."""
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)


@pytest.mark.parametrize("has_rotary", [False, True])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_another_kernel_takes_the_place_of_pytorchs_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, has_rotary: bool, is_compiled: bool
) -> None:
    monkeypatch.setattr(attention, "_kernel", lambda _: exact)
    torch.manual_seed(0)
    sizes = {**TINY["transformer"], "use_rotary_positional_embeddings": has_rotary, "num_layers": 1}
    transformer = CogVideoXTransformer3DModel(**sizes).eval()
    rotary = (torch.rand(5 * 2 * 2, 16), torch.rand(5 * 2 * 2, 16)) if has_rotary else None
    if is_compiled:
        for block in transformer.transformer_blocks:
            block.forward = torch.compile(block.forward, fullgraph=True, dynamic=False, backend="aot_eager")
    inputs: dict[str, Any] = {
        "hidden_states": torch.randn(1, 5, 4, 4, 4), "encoder_hidden_states": torch.randn(1, 226, 32),
        "timestep": torch.tensor([7]), "image_rotary_emb": rotary,
    }  # fmt: skip

    def predicted() -> torch.Tensor:
        with torch.no_grad():
            sample: torch.Tensor = transformer(**inputs).sample
        return sample

    plain = predicted()
    set_attention(transformer, "fa4")
    other = predicted()
    set_attention(transformer, "sdpa")

    torch.testing.assert_close(other, plain, rtol=1e-5, atol=1e-5)
    assert torch.equal(predicted(), plain)
    assert {type(block.attn1.processor).__name__ for block in transformer.transformer_blocks} == {
        "CogVideoXAttnProcessor2_0"
    }


def test_the_named_kernel_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(attention, "_kernel", lambda name: called.append(name) or exact)
    transformer = CogVideoXTransformer3DModel(**TINY["transformer"]).eval()

    set_attention(transformer, "sage")
    with torch.no_grad():
        transformer(torch.randn(1, 5, 4, 4, 4), torch.randn(1, 226, 32), torch.tensor([7]))

    assert called == ["sage"] * 2
