"""The command of `make faults`."""

import argparse
import os
import re
import shutil
import tempfile
import time
import traceback
from pathlib import Path

from benchmarks.faults.bench import Bench
from benchmarks.faults.rows import Row, all_rows, table
from benchmarks.faults.study import ROOT, Tally
from cogx_runs.errors import first_line

DOCUMENT = ROOT / "docs" / "reliability.md"
_ROW = re.compile(r"^\| .*`make faults ONLY=([\w-]+)` \|$", re.MULTILINE)


def written_into(document: str, rows: dict[str, str]) -> str:
    """Puts rows, by their names, into the table of a document; others of it stay."""
    kept = {match[1]: match[0] for match in _ROW.finditer(document)} | rows
    lines = [kept[row.name] for row in all_rows() if row.name in kept]
    head, _, rest = document.partition("<!-- faults -->\n")
    return f"{head}<!-- faults -->\n{table(lines)}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"


def chosen(only: list[str]) -> list[Row]:
    """Selects the rows whose names are given, or begin as given; all for none."""
    return [row for row in all_rows() if not only or any(row.name.startswith(name) for name in only)]


def _injected(row: Row, bench: Bench) -> Tally:
    """Injects a fault; where the bench itself fails, the row says so and the next one begins."""
    try:
        return row.inject(bench)
    except Exception as error:
        traceback.print_exc()
        return Tally(notes=[f"the bench failed: {first_line(error)}"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Inject faults, and count.")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="a row, or several that begin so")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--write", action="store_true", help=f"put the rows into {DOCUMENT.name}")
    parser.add_argument("--folder", type=Path, help="where to work; kept where something is not right")
    parser.add_argument("--parallel", type=int, default=2, metavar="N", help="faults at once, where that is possible")
    arguments = parser.parse_args()
    rows = chosen(arguments.only)
    if arguments.list or not rows:
        print("\n".join(row.name for row in rows or all_rows()))
        parser.exit(0 if arguments.list else 2)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="cogx-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"XDG_CACHE_HOME": str(folder / "own-cache"), "XDG_STATE_HOME": str(folder / "own-state")}
    bench = Bench(folder, arguments.parallel)
    wrong = 0
    for row in rows:
        began = time.monotonic()
        tally = _injected(row, bench)
        line = row.written(tally)
        print(line, flush=True)
        bench.tell(f"{row.name}: {time.monotonic() - began:.0f} s; {'right' if tally.is_right else 'NOT RIGHT'}")
        for note in tally.notes:
            bench.tell(f"  {note}")
        wrong += not tally.is_right
        if arguments.write:
            DOCUMENT.write_text(written_into(DOCUMENT.read_text(encoding="utf-8"), {row.name: line}), encoding="utf-8")
    if wrong:
        bench.tell(f"{wrong} rows are not right; their studies are in {folder}")
    else:
        shutil.rmtree(folder)
    parser.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
