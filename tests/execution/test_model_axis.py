"""A sweep over models of two families, with every part real."""

from pathlib import Path

import yaml
from diffusers import CogVideoXPipeline

from cogx_runs import load_runs, plan_sweeps
from cogx_runs.analysis.pairs import pair_cells
from cogx_runs.definitions.spec import RunSpec
from cogx_runs.generation.pipeline import load_pipeline
from cogx_runs.models.cards import ModelCard
from tests.support.running import run


def test_models_with_and_without_patches_in_time_are_each_loaded_once_and_their_cells_pair(
    project: Path, tiny_model: Path, tiny_1_5: Path, tiny_clip: Path
) -> None:
    (project / "prompts").mkdir()
    (project / "prompts" / "panda.txt").write_text("A panda plays the guitar.\n", encoding="utf-8")
    models = [str(tiny_model), str(tiny_1_5)]
    content = {
        "name": "exp",
        "prompts": ["panda"],
        "base": {"clip_model": str(tiny_clip), "num_inference_steps": 2},
        "axes": {"model": models},
    }
    (project / "models.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    plan = plan_sweeps(["models.yaml"], device="cpu")
    loaded: list[str] = []

    def load(card: ModelCard, spec: RunSpec) -> CogVideoXPipeline:
        loaded.append(card.source)
        return load_pipeline(card, spec)

    assert run(plan, load_pipeline=load) == ["finished", "finished"]

    assert loaded == models
    runs = load_runs("exp")
    made = runs[["params.model", "params.num_frames", "params.fps", "params.height", "params.width"]].drop_duplicates()
    assert sorted(made.itertuples(index=False, name=None)) == sorted(
        [(models[0], 17, 8, 32, 32), (models[1], 17, 16, 32, 48)]
    )
    ((_, pairs),) = pair_cells(runs, "model", models[1:], models[0], "colourfulness")
    assert (pairs.pairs, pairs.lost) == (1, ())
