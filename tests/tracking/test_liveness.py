"""Locks that tell who lives."""

import shutil
import socket
from pathlib import Path

import pytest

from cogx_runs.system.disk import cache_directory
from cogx_runs.tracking import tags
from cogx_runs.tracking.liveness import HeldLock, host, is_alive, is_of_this_host, remove_leftovers


def locks() -> list[str]:
    return [path.name for path in (cache_directory() / "locks").glob("*.holder")]


def test_a_holder_lives_as_long_as_its_block_and_leaves_no_file() -> None:
    with HeldLock() as held:
        claimed = held.tags
        assert is_alive(claimed)
        assert is_of_this_host(claimed)

    assert not is_alive(claimed)
    assert locks() == []


def test_leftover_files_are_removed_and_those_of_the_living_are_not() -> None:
    with HeldLock() as held:
        (own,) = locks()
        (cache_directory() / "locks" / own.replace(held.name, "dead")).touch()

        remove_leftovers()

        assert locks() == [own]
        assert is_alive(held.tags)


def test_holders_of_another_host_stay_in_a_folder_whose_file_system_does_not_show_their_locks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HeldLock():
        (own,) = locks()
    (cache_directory() / "locks" / own).touch()
    identity = host().split(" ")[1]
    monkeypatch.setattr("cogx_runs.tracking.liveness.host", lambda: f"another {identity}")

    remove_leftovers()

    assert locks() == [own]


def test_who_sees_other_files_judges_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HeldLock() as held:
        claimed = held.tags
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))

    assert not is_of_this_host(claimed)
    assert is_alive(claimed)


def test_a_holder_of_before_the_cache_was_cleared_is_of_this_host_and_gone() -> None:
    with HeldLock() as held:
        claimed = held.tags
    shutil.rmtree(cache_directory())

    assert is_of_this_host(claimed)
    assert not is_alive(claimed)


def test_this_host_has_one_name_without_a_file_of_its_own() -> None:
    assert host() == host()
    assert host().startswith(f"{socket.gethostname()} ")
    assert list((cache_directory() / "locks").iterdir()) == []


def test_hosts_of_one_name_are_told_apart_by_their_machine_id(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a1\n", encoding="ascii")
    (tmp_path / "other").write_text("b2\n", encoding="ascii")

    assert len({host(tmp_path / name) for name in ("one", "other", "none")}) == 3


def test_a_claim_without_a_lock_is_of_an_earlier_version_where_it_is_of_this_host() -> None:
    assert not is_alive({tags.PROCESS_HOST: f"{socket.gethostname()} pid:[4026531836]"})
    assert is_alive({tags.PROCESS_HOST: "another pid:[4026531836]"})
