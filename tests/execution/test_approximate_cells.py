"""A sweep over an approximate parameter: what its cells tell of themselves and of the exact ones."""

import json
from pathlib import Path

import pytest
import yaml

from cogx_runs import load_runs
from tests.support.sweeping import Invoke, statuses


def test_cells_with_a_cache_tell_what_it_skipped_and_are_compared_with_the_exact_one_once(
    invoke: Invoke, project: Path, tiny_model: Path, tiny_clip: Path
) -> None:
    base = {"model": str(tiny_model), "clip_model": str(tiny_clip), "num_inference_steps": 5, "num_frames": 9}
    axes = {"cache": [None, "first_block:10", "magcache:1e-9"]}
    content = {"name": "caches", "prompts": ["panda"], "base": base, "axes": axes}
    (project / "caches.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    result = invoke("sweep", "caches.yaml", "--json")

    assert statuses(result) == ["finished"] * 3
    by_cache = load_runs("caches").set_index("params.cache")
    exact, first, mag = (by_cache.loc[cache] for cache in ("none", "first_block:10", "magcache:1e-09"))
    assert first["tags.cogx.not_bitwise"] == "cache"
    assert first["tags.cogx.cache.skipped"] == "attention 8 of 20, feed-forward 8 of 20"
    assert first["metrics.cache_skipped_fraction"] == pytest.approx(0.4)
    assert first["metrics.psnr.exact"] < 100
    assert 0 < first["metrics.ssim.exact"] < 1
    assert mag["metrics.cache_skipped_fraction"] == 0
    assert (mag["metrics.psnr.exact"], mag["metrics.ssim.exact"]) == (100, 1)
    assert mag["tags.cogx.cache.ratios"].endswith(" calibrated")
    assert mag["metrics.calibrate_s"] > 0
    assert exact.filter(like="exact").isna().all()
    assert json.loads(result.stdout)["runs"][1]["metrics"]["psnr.exact"] == first["metrics.psnr.exact"]
    assert "cache magcache:1e-09 skipped nothing; the video is the exact one" in result.stderr
    before = (project / "mlflow.db").stat().st_size
    again = invoke("sweep", "caches.yaml", "--json")
    assert statuses(again) == ["done"] * 3
    assert "psnr" not in again.stderr
    assert (project / "mlflow.db").stat().st_size == before
