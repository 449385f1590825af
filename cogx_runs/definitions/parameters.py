"""The parameters of a configuration, each declared once with its type, description and role."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from cogx_runs.definitions.caches import NO_CACHE, CacheText, identity_of
from cogx_runs.definitions.frozen import Frozen
from cogx_runs.definitions.limits import LARGEST_SIZE
from cogx_runs.definitions.lora import LARGEST_SCALE, NO_LORA, LoraText, content_of
from cogx_runs.definitions.role import Changes, Compared, Logged, Reloads, Role, Warms, names_where, roles_of
from cogx_runs.definitions.texts import PathText, Text

Placement = Literal["auto", "resident", "group", "model", "sequential"]
Scheduler = Literal["ddim", "dpm", "ddim_matched", "dpm_matched"]
Dtype = Literal["float16", "bfloat16", "float32"]
Decoder = Literal["exact", "fused"]
Attention = Literal["sdpa", "fa4", "sage"]
Quantization = Literal["none", "fp8", "int8", "fp8_storage"]

OLD_NAMES = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "cfg": "guidance_scale",
    "frames": "num_frames",
    "seeds": "seed",
}
"""Short names that users write, for a better suggestion."""

MATCHED: dict[Scheduler, Scheduler] = {"ddim": "ddim_matched", "dpm": "dpm_matched"}
"""For each of diffusers' schedulers, the one whose steps match its timesteps at every count."""


def is_guided(guidance_scale: float) -> bool:
    """Checks whether guidance is on: then each step takes two passes."""
    return guidance_scale > 1


_SIZE = Role(changes=Changes.PIXELS, warms=Warms.STEP | Warms.DECODING, costs=True, mixes=False, is_shape=True, asked=2)


class Parameters(Frozen):
    """One configuration; null means the model's own value."""

    model: Annotated[
        PathText,
        Field(
            min_length=1,
            description="`2b`, `5b`, `1.5-5b`, `toy`, a folder in diffusers' format, or a downloaded hub id.",
        ),
        Role(changes=Changes.WEIGHTS, short="model", is_stated=True, asked=0),
    ] = "2b"
    revision: Annotated[
        Text | None,
        Field(description="Commit of a hub model; null is the tested one."),
        Role(changes=Changes.WEIGHTS, logged=Logged.ELSEWHERE),
    ] = None
    num_inference_steps: Annotated[
        int,
        Field(ge=1, le=1000, description="Denoising steps."),
        Role(changes=Changes.PIXELS, short="steps", is_stated=True, asked=2),
    ] = 50
    guidance_scale: Annotated[
        float,
        Field(ge=0, le=100, description="Classifier-free guidance weight; at 1 or below it is off, at half the cost."),
        Role(
            changes=Changes.PIXELS,
            warms=Warms.STEP,
            acts_as=is_guided,
            short="guidance",
            suffix="gs",
            is_stated=True,
            asked=2,
        ),
    ] = 6.0
    num_frames: Annotated[
        int | None,
        Field(
            ge=1,
            le=LARGEST_SIZE,
            description="Frames; null is the model's own, 49, or 81 for 1.5-5b. 8N+1 up to 49; 16N+1 up to 161.",
        ),
        Role(
            changes=Changes.PIXELS, warms=Warms.STEP, is_shape=True, short="frames", is_stated=True, usual=49, asked=2
        ),
    ] = None
    fps: Annotated[
        int | None,
        Field(
            ge=1,
            le=120,
            description=(
                "Frames a second of the mp4; null is the model's own, 8, or 16 for 1.5-5b. Changes the file, not the"
                " pixels."
            ),
        ),
        Role(changes=Changes.FILE, is_judged=False, is_stated=True, usual=8, asked=2),
    ] = None
    seed: Annotated[
        int,
        Field(ge=0, lt=2**63, description="Seed of the initial noise, drawn on the CPU."),
        Role(changes=Changes.PIXELS, compared=Compared.AS_DRAWS, is_judged=False, is_stated=True, asked=1),
    ] = 42
    negative_prompt: Annotated[
        Text,
        Field(description="What guidance steers away from."),
        Role(changes=Changes.PIXELS, asked=2),
    ] = ""
    lora: Annotated[
        LoraText,
        Field(
            description=(
                "LoRA adapters added to the transformer's weights: null, a `.safetensors` file, a hub id, `toy`, or a"
                " list of `{source, scale}`."
            )
        ),
        Role(
            changes=Changes.PIXELS,
            identified_by=content_of,
            is_signed_by_default=False,
            reloads=Reloads.PIPELINE,
            asked=2,
        ),
    ] = NO_LORA
    lora_scale: Annotated[
        float,
        Field(ge=-LARGEST_SCALE, le=LARGEST_SCALE, description="Factor of what all of `lora` add; at 0 nothing."),
        Role(changes=Changes.PIXELS, is_signed_by_default=False, reloads=Reloads.PIPELINE, asked=2),
    ] = 1.0
    height: Annotated[
        int | None,
        Field(ge=16, le=LARGEST_SIZE, description="Pixels; null is the model's own."),
        _SIZE,
    ] = None
    width: Annotated[
        int | None,
        Field(ge=16, le=LARGEST_SIZE, description="Pixels; null is the model's own."),
        _SIZE,
    ] = None
    scheduler: Annotated[
        Scheduler | None,
        Field(
            description=(
                "`ddim`, `dpm`, or `ddim_matched`, `dpm_matched`, which are right at every step count; null"
                " is the model's own."
            )
        ),
        Role(changes=Changes.PIXELS, warms=Warms.STEP, costs=True, asked=2),
    ] = None
    use_dynamic_cfg: Annotated[
        bool,
        Field(description="diffusers' dynamic guidance."),
        Role(changes=Changes.PIXELS),
    ] = False
    dtype: Annotated[
        Dtype | None,
        Field(description="null is float16 for 2b, bfloat16 for 5b and 1.5-5b, float32 on a CPU."),
        Role(changes=Changes.PIXELS, reloads=Reloads.PIPELINE | Reloads.VAE, costs=True, mixes=False, asked=2),
    ] = None
    vae_tiling: Annotated[
        bool,
        Field(description="Decode in tiles: less memory, slightly other pixels."),
        Role(changes=Changes.PIXELS, warms=Warms.DECODING, costs=True, is_judged=False),
    ] = True
    vae_slicing: Annotated[
        bool,
        Field(description="Decode the videos of a batch one by one: less memory, same pixels."),
        Role(changes=Changes.NOTHING, is_judged=False, is_distinguishing=False),
    ] = True
    placement: Annotated[
        Placement,
        Field(description="Where the weights live: `resident`, `group`, `model`, `sequential`; `auto` chooses."),
        Role(changes=Changes.COST, reloads=Reloads.PIPELINE, costs=True, is_of_machine=True),
    ] = "auto"
    fast: Annotated[
        bool,
        Field(
            description=(
                "Faster at the same precision on a GPU: `compile`, the best `attention` that is there and"
                " `decoder: fused`, where they are not named; recorded as these."
            )
        ),
        Role(
            changes=Changes.OTHERS,
            stands_for=("compile", "attention", "decoder"),
            logged=Logged.ELSEWHERE,
            is_distinguishing=False,
        ),
    ] = False
    compile: Annotated[
        bool,
        Field(description="Compile the transformer's blocks: a faster step, slightly other pixels, a slower start."),
        Role(changes=Changes.PIXELS, reloads=Reloads.PIPELINE, costs=True, is_approximate=True),
    ] = False
    attention: Annotated[
        Attention,
        Field(
            description=(
                "Kernel of the transformer's attention: `sdpa` is PyTorch's; `fa4` (FlashAttention 4) and `sage`"
                " (SageAttention, 8 bits) are extras of the package, with slightly other pixels."
            )
        ),
        Role(changes=Changes.PIXELS, warms=Warms.STEP, costs=True, is_approximate=True, is_signed_by_default=False),
    ] = "sdpa"
    quantization: Annotated[
        Quantization | None,
        AfterValidator(lambda value: value or "none"),
        Field(
            description=(
                "Weights of the transformer's attention and feed-forward layers in 8 bits: `int8` (torchao, a scale for"
                " each output) and `fp8_storage` (diffusers, e4m3 without scales) compute in `dtype` and save memory;"
                " `fp8` (torchao, e4m3, inputs too, a scale for each tensor) multiplies in 8 bits, on an Ada, Hopper or"
                " Blackwell GPU. Null is none. torchao is an extra of the package."
            )
        ),
        Role(
            changes=Changes.PIXELS,
            reloads=Reloads.PIPELINE,
            costs=True,
            is_approximate=True,
            is_signed_by_default=False,
        ),
    ] = "none"
    cache: Annotated[
        CacheText,
        Field(
            description=(
                "Steps that reuse what earlier ones computed, with other pixels: null, `first_block`, `pab`,"
                " `fastercache`, `magcache`, `taylorseer`, each with its numbers, as `first_block:0.1`."
            )
        ),
        Role(
            changes=Changes.PIXELS,
            identified_by=identity_of,
            costs=True,
            is_approximate=True,
            is_signed_by_default=False,
            asked=2,
        ),
    ] = NO_CACHE
    decoder: Annotated[
        Decoder,
        Field(
            description=(
                "`exact` decodes as diffusers does, bit for bit; `fused` by kernels that need a GPU: a third of the"
                " time, less memory, slightly other pixels."
            )
        ),
        Role(changes=Changes.PIXELS, warms=Warms.DECODING, costs=True, is_approximate=True, is_signed_by_default=False),
    ] = "exact"
    video_quality: Annotated[
        float,
        Field(ge=1, le=10, description="imageio's scale for the mp4; 5 is crf 25, as diffusers' export_to_video."),
        Role(changes=Changes.FILE, is_judged=False, asked=3),
    ] = 5.0
    clip_model: Annotated[
        PathText | None,
        Field(
            description=(
                "CLIP of the score: `ARCHITECTURE:TAG`, `ARCHITECTURE:/a/checkpoint`, `toy`, or a folder; "
                "null is `ViT-B-32:openai`, and `toy` for the toy."
            )
        ),
        Role(changes=Changes.SCORE, compared=Compared.NEVER, mixes=False, asked=2),
    ] = None
    abort_degenerate: Annotated[
        bool,
        Field(description="End a run early, as failed, once what it denoises to is noise, flat or not finite."),
        Role(changes=Changes.NOTHING, is_judged=False, is_distinguishing=False),
    ] = False


_ROLES = roles_of(Parameters)
STANDS_FOR = {name: role.stands_for for name, role in _ROLES.items() if role.stands_for}
"""The parameters that others stand for, by these."""
SWEPT = names_where(_ROLES, lambda role: role.changes not in {Changes.NOTHING, Changes.OTHERS})
"""Parameters that can be an axis: cells that differ in any other are the same cell."""
OF_VIDEO = tuple(name for name in SWEPT if _ROLES[name].changes is not Changes.COST)
"""Parameters that change pixels, file or scores."""
RESOLVED = tuple(
    name
    for name, role in _ROLES.items()
    if Parameters.model_fields[name].default is None and role.logged is Logged.PARAM
)
"""Parameters whose null the model or the device resolves, to another value elsewhere."""


def default_of(name: str) -> Any:
    """Returns the value that a parameter has where nothing names it; where that is the model's own, the usual one."""
    default = Parameters.model_fields[name].default
    return _ROLES[name].usual if default is None else default
