"""Credentials in texts that are shown or kept."""

import time

import pytest

from cogx_runs.credentials import without_credentials
from cogx_runs.errors import CogxError, InputError, Mistake, first_line

PLANTED = "pl4nted-Secret"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pl4nted@host:5000/mlflow", "http://host:5000/mlflow"),
        ("postgresql+psycopg2://me:pl4nted@db/runs", "postgresql+psycopg2://db/runs"),
        ("https://pl4nted@host/x", "https://host/x"),
        ("http://me:pl4/nt@ed@host/x", "http://host/x"),
        ("http://me:123@host:80", "http://host:80"),
        ("get 'http://me:pl4nted@a/', or \"https://me:pl4nted@b\"", "get 'http://a/', or \"https://b\""),
        ("connect postgresql://db/runs?user=me&password=pl4nted&x=1", "connect postgresql://db/runs?user=me&password=***&x=1"),
        ("MLFLOW_TRACKING_PASSWORD=pl4nted cogx-runs", "MLFLOW_TRACKING_PASSWORD=*** cogx-runs"),
        ("401 for hf_abcdefghijklmnopqrstuvwxyzABCDEFGH at hub", "401 for *** at hub"),
        ("{'Authorization': 'Basic cGw0bnRlZA=='}", "{'Authorization': 'Basic ***'}"),
    ],
)  # fmt: skip
def test_no_credential_is_left_in_a_text(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments",
        "https://host:443/model@main",
        "https://host/model@main",
        "sqlite:////home/me@work/mlflow.db",
        "THUDM/CogVideoX-2b@1137dacf",
        "mail me@host: a basic ablation, with 6 tokens",
        "hf_hub is offline",
    ],
)
def test_a_text_without_credentials_stays_as_it_is(text: str) -> None:
    assert without_credentials(text) == text


def test_values_of_secret_variables_are_removed_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", PLANTED)
    monkeypatch.setenv("SOME_OTHER_PASSWORD", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pl4nted%2Fit@host")

    assert without_credentials(f"bad token {PLANTED}; on pl4nted%2Fit or pl4nted/it") == "bad token ***; on *** or ***"


def test_every_error_of_ours_is_without_credentials() -> None:
    text = "at postgresql://me:pl4nted@db/runs"

    assert str(CogxError(text)) == "at postgresql://db/runs"
    assert InputError([Mistake("x.yaml:model", text)]).mistakes == (Mistake("x.yaml:model", "at postgresql://db/runs"),)
    assert first_line(ValueError(f"{text}\nmore")) == "at postgresql://db/runs"


def test_long_texts_that_look_like_addresses_do_not_hang() -> None:
    began = time.process_time()

    for part in ("://", "a://b:c@", "://:", "authorization: basic ", "password="):
        without_credentials(part * (1_000_000 // len(part)) + "@")

    assert time.process_time() - began < 60, "seconds where an expression goes back over what it has read"
