"""Advice on prompts: what CLIP and the model read of them."""

import shutil
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from cogx_runs.definitions.prompts import PromptLibrary
from cogx_runs.planning.advice import advise
from cogx_runs.planning.cells import resolve_cells
from cogx_runs.planning.plan import Advice
from tests.support.advice import advice_on, make_sweep


def test_a_negative_prompt_without_guidance_is_a_warning() -> None:
    assert advice_on(negative_prompt="blurry", axes={"guidance_scale": (6.0, 1.0)}) == [
        Advice(
            "warning",
            "exp.yaml:base.negative_prompt",
            "guidance 1 switches guidance off, and the negative prompt with it; use more than 1",
        )
    ]


def test_a_prompt_beyond_clips_context_is_a_warning() -> None:
    assert advice_on("cat " * 75) == []
    assert advice_on("cat " * 76) == [
        Advice(
            "warning",
            "exp.yaml:prompts.p",
            "has 78 CLIP tokens, of which the CLIP score reads the first 77; shorten it",
        )
    ]


def test_a_prompt_that_is_counted_by_another_clips_tokenizer_is_told_as_about() -> None:
    assert advice_on("cat " * 76, clip_model="xlm-roberta-base-ViT-B-32:laion5b_s13b_b90k") == [
        Advice(
            "warning",
            "exp.yaml:prompts.p",
            "has about 78 CLIP tokens, of which the CLIP score reads the first 77; shorten it",
        )
    ]


def test_a_prompt_beyond_the_models_text_length_is_an_error_where_its_tokenizer_is_here(tiny_model: Path) -> None:
    text = "The panda sits. " * 60

    (error,) = [found for found in advice_on(text, model=str(tiny_model)) if "T5" in found.message]

    assert (error.level, error.where) == ("error", "exp.yaml:prompts.p")
    assert error.message.endswith(f" T5 tokens; {tiny_model} reads the first 226; shorten it")


def test_a_prompt_beyond_the_models_text_length_is_a_warning_where_its_tokenizer_is_not_here() -> None:
    text = "cat " * 151

    (warning,) = [found for found in advice_on(text, source="nobody/nothing") if "T5" in found.message]

    assert warning == Advice(
        "warning",
        "exp.yaml:prompts.p",
        "has up to 228 T5 tokens (an upper estimate: the model's tokenizer is not on this machine); "
        "2b reads the first 226; shorten it",
    )


def test_a_chinese_prompt_has_no_tokens_of_t5_also_where_its_tokenizer_is_not_here() -> None:
    found = advice_on("一只熊猫 plays ギター", source="nobody/nothing")

    assert [(advice.level, advice.message) for advice in found] == [
        ("warning", "2b has no token for ギター, 一只熊猫; use other words")
    ]


def test_a_negative_prompt_beyond_the_text_length_is_told_once_and_at_its_own_place(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(f"A {name}.", encoding="utf-8")
    sweep = make_sweep(negative_prompt="blurry " * 200).model_copy(update={"prompts": None})
    cells = resolve_cells([sweep], PromptLibrary(tmp_path), "cpu", {})
    elsewhere = {key: replace(card, source="nobody/nothing") for key, card in cells.cards.items()}

    found = advise(replace(cells, cards=elsewhere), [sweep])

    assert [(advice.level, advice.where) for advice in found] == [("warning", "exp.yaml:base.negative_prompt")]


def test_words_that_the_models_tokenizer_lacks_are_a_warning(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "toy")
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "a": 1, "panda": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(model / "tokenizer" / "tokenizer.json"))

    assert advice_on("a zebra panda a tapir", model=str(model), num_frames=17) == [
        Advice(
            "warning",
            "exp.yaml:prompts.p",
            f"{model} has no token for tapir, zebra; use other words",
        )
    ]
