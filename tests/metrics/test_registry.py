"""Metrics are found, another package's too, and each number carries its meaning."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cogx_runs.errors import CogxError, WeightsUnavailableError
from cogx_runs.metrics import registry
from cogx_runs.metrics.card import Dependence, MetricCard
from cogx_runs.metrics.metric import MeanMetric, Measured
from cogx_runs.metrics.registry import card_of, cards, metrics
from cogx_runs.metrics.scoring import Scorer
from cogx_runs.metrics.subject import Subject
from tests.support.metrics import Register, installing
from tests.support.paths import ROOT

PLUGIN = """
import numpy as np
from cogx_runs.errors import WeightsUnavailableError
from cogx_runs.metrics.card import MetricCard
from cogx_runs.metrics.metric import Measured

class Brightness:
    card = MetricCard(name="{name}", title="Brightness", definition="mean of all pixels", source="a test", digits=0)

    def check(self, clip_model):
        if not {works}:
            raise WeightsUnavailableError("the weights of brightness are not on this machine")

    def measure(self, subject):
        return Measured(float(np.mean(subject.frames)))

metric = Brightness()
"""
InstallMetric = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[InstallMetric]:
    """Install a package that brings a metric."""

    def installed(name: str = "brightness", works: bool = True, module: str = "bright_metric") -> None:
        (tmp_path / f"{module}.py").write_text(PLUGIN.format(name=name, works=works))
        install_package({"bright": f"{module}:metric"})

    with installing(tmp_path) as install_package:
        yield installed


def video(clip: Path) -> Subject:
    return Subject(np.full((5, 16, 16, 3), 40, dtype=np.uint8), "a panda", str(clip), 8)


def test_another_packages_metric_is_measured_with_the_others_and_changes_the_output_hash(
    install: InstallMetric, tiny_clip: Path
) -> None:
    before = registry.versions()
    install(module="bright_a")

    scores = Scorer(str(tiny_clip)).score(video(tiny_clip))

    assert scores.measured["brightness"].value == 40
    assert scores.measured.keys() == registry.versions().keys() == {*before, "brightness"}
    card = card_of("brightness")
    assert card is not None
    assert card.write(40) == "40"


def test_a_metric_without_its_weights_is_missing_with_the_reason(install: InstallMetric, tiny_clip: Path) -> None:
    install(works=False, module="bright_b")

    scorer = Scorer(str(tiny_clip))

    assert scorer.reasons == {"the weights of brightness are not on this machine": ["brightness"]}
    assert "brightness" not in scorer.score(video(tiny_clip)).measured


def test_clip_metrics_are_missing_together_for_one_reason() -> None:
    scorer = Scorer("ViT-B-32:openai")

    assert [set(names) for names in scorer.reasons.values()] == [
        {name for name, card in cards().items() if card.uses_clip}
    ]
    with pytest.raises(WeightsUnavailableError):
        metrics()[0].check("ViT-B-32:openai")


def test_a_package_cannot_take_the_name_of_another_metric(install: InstallMetric) -> None:
    install(name="file_size_bytes", module="bright_c")

    with pytest.raises(CogxError, match="'bright' of bright: the name 'file_size_bytes' is taken"):
        metrics()


def test_a_broken_package_is_named(install: InstallMetric, tmp_path: Path) -> None:
    install(module="bright_d")
    (tmp_path / "bright_d.py").write_text("import nowhere_to_be_found")

    with pytest.raises(CogxError, match="'bright' of bright cannot be loaded: No module named 'nowhere_to_be_found'"):
        metrics()


def test_every_card_says_what_its_number_is_and_where_that_is_defined() -> None:
    for name, card in cards().items():
        assert (name, bool(card.title), bool(card.definition), bool(card.source)) == (card.name, True, True, True)


def test_the_score_of_another_clip_has_the_card_of_the_clip_score() -> None:
    card = card_of("clip_score.ViT-L-14:openai")

    assert card is not None
    assert (card.name, card.title) == ("clip_score.ViT-L-14:openai", "CLIP score, ViT-L-14:openai")
    assert (card.direction, card.identity("x")) == ("higher", "1 x")
    assert card_of("axis.guidance_scale") is None


def test_a_measure_of_quality_is_of_one_video_and_has_a_better_direction() -> None:
    names = [card.name for card in registry.qualities()]

    assert names[0] == "clip_score"
    assert {name for name in cards() if registry.quality(name)} == set(names)
    assert not {"psnr", "lpips", "motion_magnitude", "wall_time_s", "file_size_bytes"} & set(names)
    assert registry.quality("clip_score.other") == card_of("clip_score.other")
    assert registry.cards_of_every_cell().keys() >= {*names, "motion_magnitude", "wall_time_s", "file_size_bytes"}


def test_the_documents_example_of_a_metric_works_as_pasted(tiny_clip: Path) -> None:
    document = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    made: dict[str, Any] = {}
    exec(example, made)

    made["metric"].check("a CLIP that nobody has")
    assert made["metric"].measure(video(tiny_clip)) == Measured(40.0)


def test_a_mean_needs_its_frames_and_keeps_them_where_they_are_worth_it(tiny_clip: Path) -> None:
    def kept(frames_needed: int) -> MeanMetric:
        return MeanMetric(cards()["sharpness"], lambda _: np.array([1.0, 4.0]), frames_needed, keeps_frames=True)

    assert kept(5).measure(video(tiny_clip)) == Measured(2.5, by_frame=(1.0, 4.0))
    assert kept(6).measure(video(tiny_clip)) is None


def test_a_metric_is_of_the_machine_by_its_card_and_without_one_by_its_names_ending(
    register: Register,
) -> None:
    added = [
        MetricCard(name="shots_a_s", title="shots a second", definition="cuts over duration", source="a test"),
        MetricCard(
            name="energy", title="energy", definition="of the GPU", source="a test",
            depends_on=frozenset({Dependence.TIME}),
        ),
    ]  # fmt: skip
    register(*(MeanMetric(card, lambda _: 1.0) for card in added))

    named = ["shots_a_s", "energy", "clip_score.ViT", "wait_s", "buffers_gib", "clip"]
    assert [registry.is_of_machine(name) for name in named] == [False, True, False, True, True, False]


def test_the_cards_say_of_the_machine_what_the_names_of_our_own_metrics_do() -> None:
    assert {name for name, card in cards().items() if card.of_machine} == {
        name for name in cards() if name.endswith(("_s", "_gib"))
    }
    on_file = {name for name, card in cards().items() if Dependence.FILE in card.depends_on}
    assert on_file == {"clip_score_file", "file_size_bytes", "encode_video_s", "wall_time_s"}


def test_a_logged_card_is_as_it_was_before_cards_said_what_values_depend_on() -> None:
    logged = cards()["step_s"].logged("1", {})

    assert logged == {
        "name": "step_s", "title": "time per step", "source": "cogx-runs", "direction": "lower", "version": "1",
        "definition": "denoising time over the number of steps, warm-up left out", "unit": "s", "scale": 1.0,
        "digits": 3, "identity": "1",
    }  # fmt: skip
