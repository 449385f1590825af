"""The kernels of the transformer's attention.

diffusers' `set_attention_backend` has no effect on CogVideoX: its processor calls PyTorch's function itself. A
processor here is that one with another function in the call's place, so that what is around it stays diffusers' own:
norms, rotary positions, projections, for every CogVideoX alike. The function is a custom operator, so that compiled
blocks hold it as one node and need to know nothing of the kernel behind it.
"""

from functools import cache
from typing import Any

import torch
from diffusers import CogVideoXTransformer3DModel
from diffusers.models.attention_processor import Attention as AttentionModule
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.embeddings import apply_rotary_emb

from cogx_runs.definitions.parameters import Attention


class KernelProcessor:
    """Does what `CogVideoXAttnProcessor2_0` does, by another kernel of attention."""

    def __init__(self, attention: Attention) -> None:
        self.attention = attention

    def __call__(
        self,
        attn: AttentionModule,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: None = None,  # noqa: ARG002 (diffusers' signature)
        image_rotary_emb: Any = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attends over the tokens of text and video together; returns those of the video, then those of the text."""
        text = encoder_hidden_states.shape[1]
        tokens = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (
            projection(tokens).unflatten(2, (attn.heads, -1)) for projection in (attn.to_q, attn.to_k, attn.to_v)
        )
        query = query if attn.norm_q is None else attn.norm_q(query)
        key = key if attn.norm_k is None else attn.norm_k(key)
        if image_rotary_emb is not None:
            query, key = (_rotated(states, text, image_rotary_emb) for states in (query, key))
        attended = attention(query, key, value, self.attention).flatten(2)
        attended = attn.to_out[1](attn.to_out[0](attended))
        return attended[:, text:], attended[:, :text]


def _rotated(states: torch.Tensor, text: int, rotary: Any) -> torch.Tensor:
    """Rotates the tokens of the video; those of the text have no place in it."""
    video = apply_rotary_emb(states[:, text:].transpose(1, 2), rotary).transpose(1, 2)
    return torch.cat([states[:, :text], video], dim=1)


def set_attention(transformer: CogVideoXTransformer3DModel, attention: Attention) -> None:
    """Gives the transformer's blocks the named kernel of attention, where they have another."""
    for block in transformer.transformer_blocks:
        current = getattr(block.attn1.processor, "attention", "sdpa")
        if current != attention:
            processor = CogVideoXAttnProcessor2_0() if attention == "sdpa" else KernelProcessor(attention)
            block.attn1.set_processor(processor)


@torch.library.custom_op("cogx_runs::attention", mutates_args=())
def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, name: str) -> torch.Tensor:
    """Attends by the named kernel; tensors are batch x tokens x heads x head size, in half precision."""
    attended: torch.Tensor = _kernel(name)(query, key, value)
    return attended.contiguous()


@attention.register_fake
def _(query: torch.Tensor, *_others: object) -> torch.Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


@cache
def _kernel(name: str) -> Any:
    """Imports a kernel; planning has seen that it is installed and that the GPU has what it needs."""
    if name == "fa4":
        from flash_attn.cute import flash_attn_func

        return lambda query, key, value: _first(flash_attn_func(query, key, value, causal=False))
    from sageattention import sageattn

    return lambda query, key, value: sageattn(query, key, value, tensor_layout="NHD", is_causal=False)


def _first(returned: Any) -> Any:
    """Takes the output alone: FlashAttention 4 may return the log-sum-exp with it."""
    return returned[0] if isinstance(returned, tuple) else returned
