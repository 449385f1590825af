"""The toy's drawn world, captions and tokenizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cogx_runs.toy.train.captions import caption, plain_caption, shipped_prompts, vocabulary, words_of
from cogx_runs.toy.train.job import WORDINGS, DrawingJob, attributes_of, draw
from cogx_runs.toy.train.moving import draw_clip
from cogx_runs.toy.train.world import (
    COLOURS,
    HELD_OUT,
    MOTIONS,
    PLACE_NAMES,
    SCENES_OF_PROMPTS,
    SUBJECT_NAMES,
    THINGS,
    Scene,
    Things,
    mistaken,
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


@pytest.mark.parametrize("kind", THINGS)
def test_things_are_painted_in_their_colour_and_more_where_they_are_more(kind: str) -> None:
    from cogx_runs.toy.train.raster import rasterise

    def purple(things: Things | None) -> float:
        scene = Scene("penguin", "bamboo", "white", "crosses", things)
        red, green, blue = rasterise(draw_clip(scene, 1, scene_rng(4)))[0].int()
        share: torch.Tensor = ((blue > 170) & (green < 100) & (red > 100) & (red < 180)).float().mean()
        return share.item()

    none, one, three = (purple(things) for things in (None, Things(kind, "purple", 1), Things(kind, "purple", 3)))

    assert none == 0
    assert one > 0.01
    assert three > 2.2 * one


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_moves_the_subject(motion: str) -> None:
    from cogx_runs.toy.train.raster import rasterise

    frames = rasterise(draw_clip(Scene("rabbit", "moon", "red", motion), 25, scene_rng(5)))

    assert frames.float().diff(dim=0).abs().mean() > 1.5


def test_a_careless_caption_is_wrong_in_parts_and_a_right_one_beside_it_is_not() -> None:
    _, scenes, captions = draw(DrawingJob(1, 0, 200, 1, False, mistakes=0.45))

    wrong = []
    for scene, told in zip(scenes, captions, strict=True):
        shown = attributes_of(scene)
        mistakes = [any(a not in (-1, b) for a, b in zip(attributes_of(c), shown, strict=True)) for c in told]
        assert not any(mistakes[:WORDINGS])
        wrong.append(np.mean(mistakes[WORDINGS:]))
    assert 0.2 < np.mean(wrong) < 0.5


def test_mistakes_show_no_held_out_pair_and_at_rate_0_change_nothing() -> None:
    for index in range(300):
        rng = scene_rng(9, index)
        said = sample_scene(rng)
        shown = mistaken(said, rng, 0.5)
        assert (shown.subject, shown.place) not in HELD_OUT
        assert mistaken(said, rng, 0.0) == said


def test_a_plain_caption_says_all_but_the_motion() -> None:
    scene = Scene("cat", "moon", "pink", "jumps", Things("ball", "orange", 1))

    said = plain_caption(scene)

    assert said.text == "A pink cat typing on a keyboard on the moon with an orange ball."
    assert attributes_of(said) == attributes_of(scene)
    several = plain_caption(replace(scene, things=Things("ball", "red", 3)))
    assert several.text.endswith("with three red balls.")


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
