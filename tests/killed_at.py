"""`cogx-runs` in a process that kills itself with SIGKILL before or after its N-th write of a kind.

python killed_at.py before log_batch 1 sweep FILE ...
"""

import os
import signal
import sys
from typing import Any

from mlflow import MlflowClient

from cogx_runs.cli import main


def kill_at(when: str, method: str, count: int) -> None:
    """Make the count-th call of a method of MlflowClient the end of this process."""
    write = getattr(MlflowClient, method)
    calls = 0

    def counted(client: MlflowClient, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if "KILLED" in arguments:  # ending the runs of an earlier process is no write of this one's cells
            return write(client, *arguments, **options)
        calls += 1
        if when == "before" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = write(client, *arguments, **options)
        if when == "after" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(MlflowClient, method, counted)


if __name__ == "__main__":
    kill_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.argv = ["cogx-runs", *sys.argv[4:]]
    main()
