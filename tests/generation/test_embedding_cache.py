"""The limit of the folder that keeps embeddings: what goes, what stays, and who misses what is gone."""

import os
import time
from pathlib import Path

import torch

from cogx_runs.generation.embedding_cache import EmbeddingCache
from cogx_runs.generation.text import TextEncoding
from cogx_runs.models.cards import resolve_model
from cogx_runs.progress import SilentProgress
from cogx_runs.system.whole_file import written_whole
from tests.support.pipelines import make_spec
from tests.support.running import Phases


def keep(cache: EmbeddingCache, *names: str, size_bytes: int = 100) -> list[Path]:
    """Files of an earlier hour in the cache, each last used a minute after the one before."""
    cache.folder.mkdir(exist_ok=True)
    paths = [cache.folder / name for name in names]
    for number, path in enumerate(paths):
        path.write_bytes(bytes(size_bytes))
        used = time.time() - 4000 + 60 * number
        os.utime(path, (used, used))
    return paths


def names(cache: EmbeddingCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


def test_those_not_used_for_longest_go_until_the_rest_is_within_the_limit() -> None:
    cache = EmbeddingCache(limit_bytes=250)
    a, *_ = keep(cache, "a", "b", "c", "d")
    cache.mark_used(a)

    cache.shrink(needed=())

    assert names(cache) == {"a", "d"}
    assert cache.size_bytes() == 200


def test_what_is_needed_stays_whatever_its_size() -> None:
    cache = EmbeddingCache(limit_bytes=50)
    a, _, c = keep(cache, "a", "b", "c")

    cache.shrink(needed={a, c})

    assert names(cache) == {"a", "c"}


def test_what_is_within_the_limit_stays_and_an_empty_cache_is_one() -> None:
    cache = EmbeddingCache(limit_bytes=300)
    assert cache.size_bytes() == 0
    cache.shrink(needed=())
    keep(cache, "a", "b", "c")

    cache.shrink(needed=())

    assert names(cache) == {"a", "b", "c"}


def test_a_file_that_is_being_written_stays_and_one_that_a_dead_process_left_goes_at_the_next_start() -> None:
    cache = EmbeddingCache(limit_bytes=0)
    keep(cache, "left.part", "a")
    with written_whole(cache.folder / "b") as part:
        TextEncoding(cache=cache).expect([])
        assert names(cache) == {"a", part.name}
        cache.shrink(needed=())
        assert names(cache) == {part.name}


def test_a_file_that_vanishes_while_the_folder_is_read_is_no_error() -> None:
    cache = EmbeddingCache(limit_bytes=0)
    keep(cache, "a")
    (cache.folder / "vanished").symlink_to(cache.folder / "nowhere")

    assert cache.size_bytes() == 100
    cache.shrink(needed=())
    assert not (cache.folder / "a").exists()


def test_encoding_keeps_the_cache_within_its_limit_and_spares_the_cells_to_come(tiny_model: Path) -> None:
    card = resolve_model(str(tiny_model))
    panda = make_spec(tiny_model, guidance_scale=1)
    cat, dog = panda.replace(prompt="A cat."), panda.replace(prompt="A dog.")
    texts, said = TextEncoding(cache=EmbeddingCache(limit_bytes=0)), SilentProgress()

    texts.encode_missing(card, [panda], said)
    texts.encode_missing(card, [cat], said)
    assert (texts.has(panda), texts.has(cat)) == (False, True)

    texts.expect([cat, dog])
    texts.encode_missing(card, [dog], said)
    assert (texts.has(cat), texts.has(dog)) == (True, True)


def test_an_embedding_that_another_process_removes_is_at_hand_or_encoded_again(tiny_model: Path) -> None:
    spec, card = make_spec(tiny_model, guidance_scale=1), resolve_model(str(tiny_model))
    said = Phases()
    cache = EmbeddingCache()
    texts = TextEncoding(cache=cache)
    texts.encode_missing(card, [spec], said)

    EmbeddingCache(limit_bytes=0).shrink(needed=())
    begun = texts.of(spec).prompt
    assert not texts.has(spec)
    texts.encode_missing(card, [spec], said)

    assert names(cache) != set()
    assert torch.equal(texts.of(spec).prompt, begun)
    assert [line for line in said.phases if line.startswith("encoding")] == ["encoding 1 text"] * 2


def test_an_embedding_that_was_damaged_is_told_and_encoded_again(tiny_model: Path) -> None:
    spec, card = make_spec(tiny_model, guidance_scale=1), resolve_model(str(tiny_model))
    cache, said = EmbeddingCache(), Phases()
    TextEncoding(cache=cache).encode_missing(card, [spec], said)
    (kept,) = cache.folder.iterdir()
    whole = kept.read_bytes()
    reshaped = whole.replace(b"[1,226,32]", b"[226,1,32]")
    assert reshaped != whole
    for damaged in (b"", whole[:-1], whole[:-400] + bytes([1] * 400), reshaped):
        kept.write_bytes(damaged)
        TextEncoding(cache=cache).encode_missing(card, [spec], said)
        assert kept.read_bytes() == whole
    TextEncoding(cache=cache).encode_missing(card, [spec], said)

    assert said.notes == [f"1 kept embedding of {tiny_model} is damaged; encoded again"] * 4
