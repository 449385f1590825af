"""The sweeps and prompts that come with the package, and `init`, which copies them into a folder."""

from pathlib import Path

from cogx_runs.errors import CogxError
from cogx_runs.system.disk import create_folder

_PACKAGE = Path(__file__).parents[1]
_ROOT = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent

SWEEPS = _ROOT / "sweeps"
PROMPTS = _ROOT / "prompts"


def init(directory: Path) -> list[Path]:
    """Copies the shipped `sweeps/` and `prompts/` into `directory`, and creates an empty `mlruns/` there.

    Files with the same content are left as they are. Returns the files written. Raises
    CogxError, having written nothing, when a file there differs from the shipped one.
    """
    create_folder(directory)
    sources = [*sorted(SWEEPS.rglob("*.yaml")), *sorted(PROMPTS.glob("*.txt")), *PROMPTS.glob("aliases.yaml")]
    targets = {source: directory / source.relative_to(_ROOT) for source in sources}
    changed = [str(to) for source, to in targets.items() if to.exists() and to.read_bytes() != source.read_bytes()]
    if changed:
        raise CogxError(f"{', '.join(changed)}: differs from the shipped one; move it away or name another folder")
    written = []
    try:
        for source, target in targets.items():
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
                written.append(target)
        (directory / "mlruns").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CogxError(f"{error.filename}: cannot be written ({error.strerror}); name another folder") from error
    return written
