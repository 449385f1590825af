"""Captions of scenes in many wordings, the shipped prompts among them, and their vocabulary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cogx_runs.toy.train import phrases
from cogx_runs.toy.train.world import COLOURS, SCENES_OF_PROMPTS, Scene, Things

_PACKAGE = Path(__file__).resolve().parents[2]
PROMPTS_DIR = next(
    (p for p in (_PACKAGE.parent / "prompts", _PACKAGE / "shipped" / "prompts") if p.is_dir()),
    _PACKAGE.parent / "prompts",
)
"""In a checkout, else as installed."""
SYNONYMS = {"golden": ("golden", "yellow"), "purple": ("purple", "violet")}
"""Other names of a colour; the first is the usual one."""


@dataclass(frozen=True)
class Caption:
    """A wording and what it says of the scene; None where it is silent."""

    text: str
    subject: str | None = None
    place: str | None = None
    colour: str | None = None
    motion: str | None = None
    things: Things | None = None


@cache
def shipped_prompts(folder: Path = PROMPTS_DIR) -> dict[str, str]:
    """Reads the nine shipped prompts by name, as they stand in `prompts/`."""
    return {n: (folder / f"{n}.txt").read_text("utf-8").strip() for n in SCENES_OF_PROMPTS}


def words_of(text: str) -> list[str]:
    """Splits a text into words as the tokenizer does: lower case, letters and digits alone."""
    return re.findall(r"[a-z0-9]+", text.lower())


def vocabulary() -> list[str]:
    """Lists all words that any caption can hold, sorted."""
    texts = list(shipped_prompts().values()) + list(phrases.STYLES) + list(COLOURS)
    texts += [name for names in SYNONYMS.values() for name in names]
    texts += [*phrases.COUNT, *(text.replace("{t}", "") for text in phrases.BESIDE)]
    for table in (
        phrases.WITH_COLOUR,
        phrases.PLAIN,
        phrases.PLACE,
        phrases.MOTION,
        phrases.SUBJECT_DETAIL,
        phrases.PLACE_DETAIL,
        phrases.THING,
    ):
        texts += [text.replace("{c}", "") for options in table.values() for text in options]
    return sorted({word for text in texts for word in words_of(text)})


def colour_word(colour: str, rng: np.random.Generator) -> str:
    """Draws a name of the colour, mostly the usual one."""
    names = SYNONYMS.get(colour, (colour,))
    return names[0] if rng.random() < 0.7 else str(rng.choice(names))


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _shipped(scene: Scene) -> str | None:
    for name, (subject, place, colour, motion) in SCENES_OF_PROMPTS.items():
        same = (subject, place, motion) == (scene.subject, scene.place, scene.motion)
        if same and colour in (None, scene.colour) and not scene.things:
            return name
    return None


def things_words(things: Things, colour: str) -> str:
    """Words things with their count and the given name of their colour."""
    one, several = phrases.THING[things.kind]
    if things.count > 1:
        return f"{phrases.COUNT[things.count - 1]} {colour} {several}"
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {one}"


def caption(scene: Scene, rng: np.random.Generator) -> Caption:
    """Draws one wording of the scene; of a shipped prompt's scene, often that prompt itself.

    Of the other wordings some name the subject, the place or the things alone.
    """
    shipped = _shipped(scene)
    if shipped and rng.random() < 0.5:
        colour = SCENES_OF_PROMPTS[shipped][2]
        return Caption(shipped_prompts()[shipped], scene.subject, scene.place, colour, scene.motion)

    kind = rng.random()
    with_place, with_subject = kind >= 0.15, kind >= 0.25 or kind < 0.15
    said = rng.random() < 0.85 and scene.things
    things = things_words(scene.things, colour_word(scene.things.colour, rng)) if scene.things and said else ""
    if things and rng.random() < 0.12:
        return Caption(f"{things[:1].upper()}{things[1:]}.", things=scene.things)
    colour = scene.colour if with_subject and rng.random() < 0.85 else None
    subject = place = ""
    if with_subject and colour:
        subject = _pick(phrases.WITH_COLOUR[scene.subject], rng)
        subject = subject.replace("{c}", colour_word(colour, rng))
        subject = re.sub(r"\ba (?=orange)", "an ", subject)
    elif with_subject:
        subject = _pick(phrases.PLAIN[scene.subject], rng)
    if with_place:
        place = _pick(phrases.PLACE[scene.place], rng)
    if things:
        beside = _pick(phrases.BESIDE, rng).replace("{t}", things)
        place = f"{place} {beside}".strip() if rng.random() < 0.5 or not subject else place
        subject = f"{subject} {beside}" if beside not in place else subject

    if rng.random() < 0.15:
        parts = [", ".join(p for p in (place, subject) if p)]
    elif rng.random() < 0.15:
        parts = [", ".join(p for p in (subject, place) if p)]
    else:
        parts = [" ".join(p for p in (subject, place) if p)]
    motion = _pick(phrases.MOTION[scene.motion], rng) if with_subject else ""
    details = [motion] if motion else []
    if with_subject and rng.random() < 0.35:
        details.append(_pick(phrases.SUBJECT_DETAIL[scene.subject], rng))
    if with_place and rng.random() < 0.35:
        details.append(_pick(phrases.PLACE_DETAIL[scene.place], rng))
    styles = list(rng.permutation(phrases.STYLES)[: int(rng.integers(0, 4))])
    if rng.random() < 0.3:
        details.reverse()
    text = ". ".join(p[:1].upper() + p[1:] for p in parts + details)
    text = ", ".join([text, *styles]) + "."
    return Caption(
        text,
        scene.subject if with_subject else None,
        scene.place if with_place else None,
        colour,
        scene.motion if motion else None,
        scene.things if things else None,
    )


def plain_caption(scene: Scene) -> Caption:
    """Words the scene in the plainest full way, but for its motion."""
    subject = phrases.WITH_COLOUR[scene.subject][0].replace("{c}", scene.colour)
    text = f"{subject} {phrases.PLACE[scene.place][0]}"
    if scene.things:
        text += f" with {things_words(scene.things, scene.things.colour)}"
    return Caption(f"{text[:1].upper()}{text[1:]}.", scene.subject, scene.place, scene.colour, things=scene.things)
