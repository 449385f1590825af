"""The toy's drawn world, captions and tokenizer."""

from __future__ import annotations

import numpy as np
import pytest

from cogx_runs.toy.train.captions import caption, shipped_prompts, vocabulary, words_of
from cogx_runs.toy.train.job import DrawingJob, attributes_of, draw
from cogx_runs.toy.train.world import (
    COLOURS,
    HELD_OUT,
    PLACE_NAMES,
    SCENES_OF_PROMPTS,
    SUBJECT_NAMES,
    Scene,
    draw_clip,
    sample_scene,
    scene_of_prompt,
    scene_rng,
)


def test_a_clip_is_the_same_for_the_same_seed_and_index() -> None:
    first, again, other = (draw(DrawingJob(seed, 3, 2, 5, False)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first[0], again[0])
    assert first[1:] == again[1:]
    assert not np.array_equal(first[0], other[0])


def test_a_clip_does_not_depend_on_how_the_set_is_cut() -> None:
    whole = draw(DrawingJob(1, 0, 4, 5, False))
    last = draw(DrawingJob(1, 3, 1, 5, False))

    np.testing.assert_array_equal(whole[0][3:], last[0])
    assert whole[1][3:] == last[1]


def test_frames_are_painted_from_background_to_subject() -> None:
    from cogx_runs.toy.train.raster import rasterise

    rng = scene_rng(0)
    frames = rasterise(draw_clip(Scene("whale", "moon", "red", "acts"), 2, rng))

    assert frames.shape == (2, 3, 64, 64)
    red, green, blue = (frames[0, c].int() for c in range(3))
    assert ((red > 150) & (green < 80) & (blue < 80)).float().mean() > 0.05


def test_two_seeds_draw_two_pictures_of_one_scene() -> None:
    clips = []
    for index in range(2):
        rng = scene_rng(0, index)
        clips.append(draw_clip(scene_of_prompt("panda_guitar", rng), 3, rng))

    assert not np.array_equal(clips[0], clips[1])


def test_training_never_shows_a_held_out_pair() -> None:
    pairs = set()
    for index in range(2000):
        scene = sample_scene(scene_rng(0, index))
        pairs.add((scene.subject, scene.place))

    assert not pairs & HELD_OUT
    assert pairs | HELD_OUT == {(s, p) for s in SUBJECT_NAMES for p in PLACE_NAMES}


def test_no_shipped_prompt_is_a_held_out_pair() -> None:
    assert not {scene[:2] for scene in SCENES_OF_PROMPTS.values()} & HELD_OUT
    assert {s for s, _ in HELD_OUT} == set(SUBJECT_NAMES)
    assert {p for _, p in HELD_OUT} == set(PLACE_NAMES)


def test_the_vocabulary_covers_the_shipped_prompts() -> None:
    words = set(vocabulary())

    missing = {w for text in shipped_prompts().values() for w in words_of(text)} - words

    assert missing == set()


def test_the_vocabulary_covers_every_caption() -> None:
    words = set(vocabulary())
    for index in range(500):
        rng = scene_rng(1, index)
        assert set(words_of(caption(sample_scene(rng), rng).text)) <= words


def test_shipped_prompts_are_among_the_captions_of_their_scenes() -> None:
    for name, text in shipped_prompts().items():
        rng = scene_rng(2)
        scene = scene_of_prompt(name, rng)
        assert text in {caption(scene, rng).text for _ in range(60)}


def test_a_caption_says_nothing_wrong() -> None:
    for index in range(200):
        rng = scene_rng(3, index)
        scene = sample_scene(rng)
        said = attributes_of(caption(scene, rng))
        assert all(a in (-1, b) for a, b in zip(said, attributes_of(scene), strict=True))


@pytest.mark.parametrize("colour", COLOURS)
def test_each_colour_is_a_word_of_its_own(colour: str) -> None:
    assert colour in vocabulary()


def test_unknown_words_become_unk_and_texts_end() -> None:
    from cogx_runs.toy.train.tokenizer import END, PAD, TEXT_TOKENS, UNKNOWN, encode

    ids = encode(["A zebra, in a PARK!", "", "panda " * 200])

    assert ids.shape == (3, TEXT_TOKENS)
    assert ids[0, 1] == UNKNOWN
    assert (ids[0] == UNKNOWN).sum() == 1
    assert ids[0, 5] == END
    assert ids[1, 0] == END
    assert (ids[1, 1:] == PAD).all()
    assert ids[2, -1] == END
