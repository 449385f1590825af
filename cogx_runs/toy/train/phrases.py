"""The wordings that captions are put together from. `{c}` stands for a colour's name."""

from __future__ import annotations

WITH_COLOUR: dict[str, tuple[str, ...]] = {
    "panda": (
        "a panda playing a {c} guitar",
        "a giant panda with a {c} guitar",
        "a fluffy giant panda sits and plays a {c} acoustic guitar",
        "a fluffy giant panda sits on a mossy rock, playing a {c} acoustic guitar",
        "a panda strums a {c} guitar",
    ),
    "cat": (
        "a {c} cat typing on a keyboard",
        "a {c} cat at a keyboard",
        "a {c} cat sits at a desk, its paws hacking fast on a keyboard",
        "a {c} hacker cat with a keyboard",
        "a {c} cat",
    ),
    "samurai": (
        "a samurai in {c} armor",
        "a lone samurai in {c} armor with a katana",
        "a samurai in {c} armor lifts his sword",
        "a lone samurai in {c} armor stands and slowly unsheathes his katana",
        "a {c} samurai",
    ),
    "astronaut": (
        "an astronaut in a {c} space suit",
        "an astronaut in a {c} suit waves",
        "an astronaut in a {c} space suit stands and waves",
        "a {c} astronaut",
        "an astronaut wearing a {c} space suit with heavy boots",
    ),
    "footballer": (
        "a footballer in a {c} jersey with a slice of pizza",
        "a football player in a {c} football jersey eats pizza",
        "cristiano ronaldo, in a {c} football jersey, eats a slice of pizza",
        "cristiano ronaldo in a {c} jersey eating pizza",
        "a man in a {c} jersey eating pizza",
    ),
    "person": (
        "a person in a {c} shirt eating a sandwich",
        "close-up of a person in a {c} shirt eating a big sandwich",
        "a person in a {c} shirt takes a bite of a sandwich",
        "a close-up of someone wearing a {c} shirt with a big sandwich",
        "a woman in a {c} shirt eats a sandwich",
    ),
    "retriever": (
        "a {c} retriever",
        "a {c} dog running",
        "a {c} retriever runs with its ears flying and tongue out",
        "a {c} retriever dog",
        "a happy {c} dog with its tongue out",
    ),
    "cars": (
        "{c} flying cars",
        "two {c} flying cars",
        "flying {c} cars speeding",
        "{c} hover cars in the air",
        "{c} cars flying",
    ),
    "whale": (
        "a {c} whale",
        "a huge {c} whale breaches out of the water",
        "a big {c} whale, water streaming from its body",
        "a huge {c} whale with a giant splash",
        "a giant {c} whale spouting water",
    ),
    "robot": (
        "a {c} robot beating a drum",
        "a {c} robot with a drum",
        "a boxy {c} robot plays the drum",
        "a {c} robot",
        "a friendly {c} robot drums",
    ),
    "rabbit": (
        "a rabbit in a {c} vest eating a carrot",
        "a rabbit in a {c} vest",
        "a gray rabbit wearing a {c} vest nibbles a carrot",
        "a rabbit with a {c} vest and a carrot",
        "a hungry rabbit in a {c} vest",
    ),
    "penguin": (
        "a penguin with a {c} scarf",
        "a penguin in a {c} scarf flaps its wings",
        "a small penguin wearing a {c} scarf",
        "a happy penguin with a {c} scarf",
        "a penguin in a warm {c} scarf",
    ),
}
"""Ways to name a subject and its colour."""

PLAIN: dict[str, tuple[str, ...]] = {
    "panda": ("a panda playing guitar", "a fluffy giant panda with a guitar", "a panda"),
    "cat": ("a cat typing on a keyboard", "a hacker cat at its keyboard", "a cat"),
    "samurai": ("a samurai with a katana", "a lone samurai in armor", "a samurai"),
    "astronaut": ("an astronaut in a space suit", "an astronaut waves", "an astronaut"),
    "footballer": (
        "a footballer eating pizza",
        "cristiano ronaldo eats a slice of pizza",
        "a football player with a slice of pizza",
    ),
    "person": (
        "a person eating a big sandwich",
        "close-up of a person with a sandwich",
        "someone eats a sandwich",
    ),
    "retriever": ("a dog runs", "a retriever dog with its tongue out", "a dog"),
    "cars": ("flying cars", "two flying cars speeding", "futuristic flying cars"),
    "whale": ("a huge whale", "a whale breaches", "a whale"),
    "robot": ("a robot beating a drum", "a boxy robot", "a robot"),
    "rabbit": ("a rabbit eating a carrot", "a gray rabbit", "a rabbit"),
    "penguin": ("a penguin in a scarf", "a small penguin flaps its wings", "a penguin"),
}
"""Ways to name a subject alone."""

PLACE: dict[str, tuple[str, ...]] = {
    "bamboo": (
        "in a bamboo forest",
        "in a lush bamboo forest",
        "among the tall green stalks of a bamboo forest",
        "in a green forest of bamboo",
    ),
    "monitors": (
        "in a dark room full of glowing monitors",
        "in a room of monitors",
        "in a dark room full of screens",
        "in front of glowing computer monitors",
    ),
    "bridge": (
        "on a wooden bridge in the rain",
        "on a wooden japanese bridge in heavy rain",
        "on a rainy bridge",
        "on a japanese bridge with lanterns in the rain",
    ),
    "moon": (
        "on the moon",
        "on the gray surface of the moon",
        "on the moon with the earth in the black sky",
        "on the moon under a black sky",
    ),
    "restaurant": (
        "in a restaurant",
        "at a table in a cozy italian restaurant",
        "in a cozy italian restaurant",
        "at a checkered tablecloth in a restaurant with candles",
    ),
    "kitchen": (
        "in a kitchen",
        "in a bright kitchen",
        "in a bright kitchen with a window",
        "in the kitchen at home",
    ),
    "park": (
        "in a park",
        "in a sunny green park",
        "on the grass of a sunny park",
        "in a park with trees and a blue sky behind",
    ),
    "city": (
        "in a futuristic city at night",
        "in a night city",
        "between tall neon skyscrapers at night",
        "in a city of neon towers at night",
    ),
    "sea": (
        "at sea at sunset",
        "in the ocean at sunset",
        "over the ocean waves at sunset",
        "at sunset in front of the sea",
    ),
}
"""Ways to name a place."""

MOTION: dict[str, tuple[str, ...]] = {
    "acts": ("", "", "it stays in place", "moving gently on the spot"),
    "jumps": ("", "jumping", "it jumps up and down", "it jumps high and lands softly"),
    "crosses": ("", "moving across the frame", "it moves from side to side", "speeding past"),
    "approaches": ("", "coming closer", "it comes closer and goes back", "it comes up to the camera"),
}
"""Ways to name a motion; an empty one leaves it unsaid."""

THING: dict[str, tuple[str, str]] = {
    "balloon": ("balloon", "balloons"),
    "ball": ("ball", "balls"),
    "flower": ("flower", "flowers"),
}
"""One and several of what may be beside the subject."""

COUNT = ("one", "two", "three")
BESIDE = ("with {t}", "beside {t}", "next to {t}", "and {t}")
"""Ways to add things, `{t}`, to a scene."""

SUBJECT_DETAIL: dict[str, tuple[str, ...]] = {
    "panda": (
        "its paws strum the strings while its head sways to the rhythm",
        "its head sways to the rhythm",
    ),
    "cat": ("its paws hacking fast", "neon light flickers on its fur"),
    "samurai": ("drops bounce off the blade", "he slowly lifts his katana"),
    "astronaut": ("fine dust rises around the boots", "one arm waves"),
    "footballer": ("smiling as the cheese stretches", "the cheese stretches"),
    "person": (
        "they take a bite, chew slowly and close their eyes with pleasure, crumbs fall",
        "with great satisfaction",
    ),
    "retriever": ("ears flying and tongue out", "it keeps running"),
    "cars": ("smooth aerial camera", "they speed past"),
    "whale": ("water streaming from its body", "it falls back with a giant splash"),
    "robot": ("its arms swing to the rhythm", "its eyes glow"),
    "rabbit": ("its ears up", "it chews fast"),
    "penguin": ("it waves its wings", "its wings flap"),
}
"""What a caption may add about a subject."""

PLACE_DETAIL: dict[str, tuple[str, ...]] = {
    "bamboo": (
        "soft morning light filters through the tall green stalks, mist drifts behind",
        "mist drifts behind",
    ),
    "monitors": ("green code scrolls down the screens", "cables everywhere, cyberpunk style"),
    "bridge": ("lanterns glow in the mist, water runs below", "rain falls on the bridge"),
    "moon": ("the earth hangs blue in the black sky", "hard sunlight, long shadows"),
    "restaurant": (
        "checkered tablecloth, candles, warm light",
        "people talking in the background",
    ),
    "kitchen": ("soft window light", "a pot on the counter"),
    "park": ("trees and a blue sky behind", "a hurdle on the grass"),
    "city": (
        "rain shines on the streets far below, purple and blue lights glow through the fog",
        "huge holograms flicker on the towers",
    ),
    "sea": ("orange sky, golden light on the waves, seabirds circling", "seabirds circling"),
}
"""What a caption may add about a place."""

STYLES = (
    "realistic",
    "cinematic",
    "highly detailed",
    "slow motion",
    "wide shot",
    "shallow depth of field",
    "sharp and realistic",
    "dramatic low angle",
    "cinematic lighting",
    "handheld camera",
    "documentary style",
    "natural texture",
    "archival footage",
    "cartoon",
    "a video",
    "a drawing",
    "simple shapes",
    "smooth camera",
    "tracking shot",
    "blade runner style",
    "nasa style",
    "national geographic style",
)
"""Words about style, which change nothing in the picture."""
