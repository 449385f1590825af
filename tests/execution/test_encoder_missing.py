"""An ffmpeg that is missing or fails, found out before anything is denoised for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cogx_runs.doctor import examine
from cogx_runs.errors import CogxError
from cogx_runs.tracking.store import RunStore
from cogx_runs.video import NO_ENCODER, OTHER_ENCODER, check_encoder
from tests.support.sweeping import Invoke

UseFfmpeg = Callable[[Path], None]


@pytest.fixture
def use_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> Iterator[UseFfmpeg]:
    """Have another program in the place of ffmpeg."""

    def use(program: Path) -> None:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
        check_encoder.cache_clear()

    yield use
    check_encoder.cache_clear()


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_an_ffmpeg_that_works_is_asked_once(use_ffmpeg: UseFfmpeg, tmp_path: Path) -> None:
    check_encoder()
    use_ffmpeg(tmp_path / "nowhere")
    with pytest.raises(CogxError):
        check_encoder()


@pytest.mark.parametrize("script", ["exit 1", "cat > /dev/null; exit 1", "echo no libx264 >&2; exit 1", "exit 0"])
def test_an_ffmpeg_that_fails_is_one_line_with_the_remedy(use_ffmpeg: UseFfmpeg, tmp_path: Path, script: str) -> None:
    use_ffmpeg(program(tmp_path / "ffmpeg", script))

    with pytest.raises(CogxError) as caught:
        check_encoder()

    assert str(caught.value).startswith(f"{NO_ENCODER} (")
    assert str(caught.value).endswith(f"; {OTHER_ENCODER}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_sweep_without_ffmpeg_denoises_nothing(invoke: Invoke, use_ffmpeg: UseFfmpeg, tmp_path: Path) -> None:
    use_ffmpeg(tmp_path / "nowhere")

    result = invoke("sweep", "guidance.yaml")

    assert result.exit_code == 2
    assert NO_ENCODER in result.stderr
    assert "denoising" not in result.output
    assert RunStore().history() == []


def test_doctor_says_that_ffmpeg_fails(use_ffmpeg: UseFfmpeg, tmp_path: Path) -> None:
    use_ffmpeg(program(tmp_path / "ffmpeg", "exit 1"))

    (check,) = [check for check in examine("toy", "toy") if check.name == "ffmpeg"]

    assert (check.status, check.advice) == ("missing", OTHER_ENCODER)
    assert check.found.startswith(NO_ENCODER)
