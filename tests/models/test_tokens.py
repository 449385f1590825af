"""Token counts, held against the tokenizers that the models themselves use."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Punctuation, Sequence, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import T5Tokenizer

from cogx_runs.definitions import shipped
from cogx_runs.models.cards import HUB_MODELS, OPENAI_CLIP, resolve_model
from cogx_runs.models.tokens import TokenCount, count_clip_tokens, count_t5_tokens

AWKWARD = {
    "empty": "",
    "only white space": " \n\t ",
    "words": "A fluffy giant panda plays the guitar.",
    "contractions": "It's the dog's toy, they'll say they've seen what we'd don't, I'm sure you're not 'S 'LL",
    "numbers": "In 2024 there were 1,234,567.89 frames at 8fps, 3rd place, 10x, ½ and ² and Ⅷ, ١٢٣",
    "accents": "Città futuristica, cane più veloce, naïve café, Straße, ÀÉÎÕÜ, e\u0301 decomposed",
    "other scripts": "Привет мир, γειά σου, שלום, مرحبا, नमस्ते, ไทย",
    "CJK": "一只熊猫在竹林里弹吉他。パンダがギターを弾く 팬더가 기타를 친다",
    "emoji": "panda 🐼 plays 🎸🎶 family 👨‍👩‍👧‍👦 flag 🇮🇹 skin 👍🏽",
    "html": "fish &amp; chips &amp;amp; &lt;b&gt;bold&lt;/b&gt; &eacute; &#233; &nbsp; &quot;x&quot; &unknown;",
    "html that was escaped twice": "1 < 2 &amp;amp; fish &amp;lt;i&amp;gt;",
    "mojibake": "â€œquotedâ€\x9d cafÃ© donâ€™t",
    "curly quotes": "“It’s a ‘test’” – with — dashes… and ﬁ ligatures",
    "punctuation": "wow!!! ... ??? --- *** a_b_c snake_case #tag @name $5 50% (x) [y] {z} a/b\\c ~^|`",
    "white space": "a\u00a0b\u2003c\u3000d\te\r\nf   g",
    "controls": "a\x00b\x1bc\u200bd\ufeffe\u00adf",
    "upper case": "NASA STYLE İSTANBUL ẞ ǅ ΣΑΣ",
    "special tokens": "a <start_of_text> b <end_of_text> c <|endoftext|>",
    "long word": "pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "very long": "The quick brown fox jumps over the lazy dog. " * 40,
    "mathematical and wide letters": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 ｆｕｌｌｗｉｄｔｈ",
}


@pytest.fixture(scope="module")
def simple_tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.get_tokenizer("ViT-B-32")


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
def test_clip_tokens_are_as_many_as_open_clip_makes(simple_tokenizer: open_clip.SimpleTokenizer, text: str) -> None:
    expected = len(simple_tokenizer.encode(text)) + 2

    assert count_clip_tokens(text, OPENAI_CLIP) == TokenCount(expected, 77, exact=True)


@pytest.mark.parametrize("path", sorted(shipped.PROMPTS.glob("*.txt")), ids=lambda path: path.stem)
def test_clip_tokens_of_each_shipped_prompt_are_as_many_as_open_clip_makes(
    simple_tokenizer: open_clip.SimpleTokenizer, path: Path
) -> None:
    text = path.read_text(encoding="utf-8")

    assert count_clip_tokens(text, OPENAI_CLIP).tokens == len(simple_tokenizer.encode(text)) + 2


def test_a_text_is_cut_from_78_tokens_on() -> None:
    fits, cut = count_clip_tokens("cat " * 75, OPENAI_CLIP), count_clip_tokens("cat " * 76, OPENAI_CLIP)

    assert [(count.tokens, count.is_cut) for count in (fits, cut)] == [(77, False), (78, True)]


@pytest.mark.parametrize(
    ("architecture", "exact"),
    [
        ("ViT-B-32", True),
        ("RN50", True),
        ("convnext_base_w", True),
        ("PE-Core-B-16", True),
        ("ViT-B-16-SigLIP", False),
        ("ViT-bigG-14-CLIPA", False),
        ("xlm-roberta-base-ViT-B-32", False),
    ],
)
def test_an_architecture_has_its_own_context_and_is_counted_inexactly_with_a_tokenizer_of_its_own(
    architecture: str, exact: bool
) -> None:
    context = open_clip.get_model_config(architecture)["text_cfg"].get("context_length", 77)

    assert count_clip_tokens("A cat.", f"{architecture}:some_tag") == TokenCount(5, context, exact)


def test_a_clip_folder_with_a_tokenizer_is_counted_by_it_up_to_its_own_context(tmp_path: Path) -> None:
    word_level(["a", "red", "panda"]).save(str(tmp_path / "tokenizer.json"))
    config = {"model_cfg": {"text_cfg": {"context_length": 5}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")

    assert count_clip_tokens("a red panda", str(tmp_path)) == TokenCount(4, 5, exact=True)
    assert count_clip_tokens("a red zebra, a panda", str(tmp_path)) == TokenCount(
        7, 5, exact=True, unknown_words=(",", "zebra")
    )


def test_a_clip_folder_without_a_tokenizer_is_counted_as_open_clip_tokenizes_for_it(tiny_clip: Path) -> None:
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")
    assert isinstance(tokenizer, open_clip.SimpleTokenizer)

    assert count_clip_tokens("A fluffy giant panda.", str(tiny_clip)) == TokenCount(
        len(tokenizer.encode("A fluffy giant panda.")) + 2, 77, exact=True
    )


def test_a_clip_folder_without_a_tokenizer_has_the_context_of_its_config(tiny_clip: Path, tmp_path: Path) -> None:
    clip = shutil.copytree(tiny_clip, tmp_path / "clip")
    config = json.loads((clip / "open_clip_config.json").read_text(encoding="utf-8"))
    config["model_cfg"]["text_cfg"]["context_length"] = 16
    (clip / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")

    assert count_clip_tokens("A cat.", str(clip)).limit == 16


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
def test_t5_tokens_are_as_many_as_the_models_tokenizer_makes(tiny_model: Path, text: str) -> None:
    tokenizer = T5Tokenizer.from_pretrained(tiny_model / "tokenizer", extra_ids=0)

    count = count_t5_tokens(text, resolve_model(str(tiny_model)))

    assert (count.tokens, count.limit, count.exact) == (len(tokenizer(text).input_ids), 226, True)


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
def test_t5_tokens_are_as_many_where_there_is_only_the_sentencepiece_model_as_in_the_published_folders(
    tiny_model: Path, tmp_path: Path, text: str
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "tokenizer" / "tokenizer.json").unlink()
    tokenizer = T5Tokenizer.from_pretrained(model / "tokenizer", extra_ids=0)

    count = count_t5_tokens(text, resolve_model(str(model)))

    assert (count.tokens, count.limit, count.exact) == (len(tokenizer(text).input_ids), 226, True)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 1),
        ("one two three four", 9),
        ("supercalifragilistic", 11),
        ("apandaplaystheguitarinabambooforest" * 20, 351),
        ("一只熊猫在竹林里弹吉他" * 30, 331),
        ("12:30, 5!", 9),
    ],
)
def test_t5_tokens_are_estimated_from_above_where_the_tokenizer_is_not_here(text: str, tokens: int) -> None:
    card = replace(HUB_MODELS["2b"], source="nobody/nothing")

    count = count_t5_tokens(text, card)

    assert (count.tokens, count.limit, count.exact) == (tokens, 226, False)


def test_words_without_a_token_are_found_by_the_sentencepiece_model_too(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    card, text = resolve_model(str(model)), "A panda 一只熊猫 plays."
    by_json = count_t5_tokens(text, card)
    (model / "tokenizer" / "tokenizer.json").unlink()
    by_model = count_t5_tokens(text, card)

    assert by_json.unknown_words == by_model.unknown_words == ("一只熊猫",)
    assert by_json.tokens == by_model.tokens


def test_a_tokenizer_that_changes_on_the_disk_is_read_again(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    path, card = model / "tokenizer" / "tokenizer.json", resolve_model(str(model))
    word_level(["a"]).save(str(path))
    before = count_t5_tokens("a panda", card).unknown_words
    word_level(["a", "panda"]).save(str(path))

    assert (before, count_t5_tokens("a panda", card).unknown_words) == (("panda",), ())


def test_a_word_level_tokenizer_names_the_words_that_it_does_not_know(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    word_level(["a", "red", "panda", "."]).save(str(model / "tokenizer" / "tokenizer.json"))
    card = resolve_model(str(model))

    assert count_t5_tokens("A red panda .", card) == TokenCount(5, 226, exact=True)
    assert count_t5_tokens("A Zebra, a red zebra and a panda.", card) == TokenCount(
        11, 226, exact=True, unknown_words=(",", "Zebra", "and", "zebra")
    )


def test_padding_and_truncation_of_a_tokenizers_file_are_not_counted(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    tokenizer = word_level(["a", "panda"])
    tokenizer.enable_padding(length=20)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(model / "tokenizer" / "tokenizer.json"))

    assert count_t5_tokens("a panda a panda a", resolve_model(str(model))).tokens == 6


def word_level(words: list[str]) -> Tokenizer:
    """A tokenizer of whole words that ends each text with </s>."""
    vocabulary = ["<unk>", "</s>", *words]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Sequence([WhitespaceSplit(), Punctuation()])
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer
