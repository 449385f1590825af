"""Caches as a parameter: how each is written, what is refused, and what tells two of them apart."""

import pytest

from cogx_runs.definitions.caches import CACHES, Cache
from cogx_runs.definitions.parameters import Parameters
from cogx_runs.definitions.sweep import parameters_of
from cogx_runs.errors import InputError
from tests.support.specs import SPEC


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "none"),
        ("none", "none"),
        ("first_block", "first_block:0.1"),
        ("first_block:0.10", "first_block:0.1"),
        ("pab", "pab:2"),
        ("pab:3:100:800", "pab:3"),
        ("pab:2:100:700", "pab:2:100:700"),
        ("fastercache:2:5", "fastercache:2"),
        ("magcache:0.1:3:0", "magcache:0.1:3:0"),
        ("taylorseer", "taylorseer:5"),
    ],
)
def test_a_cache_is_kept_as_one_text_with_its_first_number(given: str | None, kept: str) -> None:
    assert Parameters(cache=given).cache == kept
    assert Parameters(cache=kept).cache == kept


HOW_PAB, HOW_FIRST = "write pab[:interval[:after[:before]]]", "write first_block[:threshold]"


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ("teacache", "no cache 'teacache'; did you mean 'magcache'?"),
        ("pab:1", f"interval: Input should be greater than or equal to 2 (got 'pab:1'); {HOW_PAB}"),
        ("pab:2.5", f"interval: Input should be a valid integer (got 'pab:2.5'); {HOW_PAB}"),
        ("first_block:0", f"threshold: Input should be greater than 0 (got 'first_block:0'); {HOW_FIRST}"),
        ("first_block:x", f"threshold: Input should be a valid number (got 'first_block:x'); {HOW_FIRST}"),
        ("first_block:0.1:3", f"first_block takes at most 1 number; {HOW_FIRST}"),
    ],
)
def test_what_is_no_cache_is_one_line(given: str, mistake: str) -> None:
    with pytest.raises(InputError) as raised:
        parameters_of({"cache": given})

    assert str(raised.value) == f"(command line):cache: {mistake}"


def test_a_signature_holds_all_numbers_and_is_the_plain_one_without_a_cache() -> None:
    assert SPEC.replace(cache="none").signature == SPEC.signature
    assert SPEC.replace(cache="pab").signature == SPEC.replace(cache="pab:2:100").signature
    assert SPEC.replace(cache="pab").signature != SPEC.replace(cache="pab:2:99").signature
    assert SPEC.replace(cache="pab").not_bitwise == ("cache",)


@pytest.mark.parametrize("name", CACHES)
def test_one_step_skips_nothing(name: str) -> None:
    assert not Cache.parse(name).may_skip([999], is_guided=True)
    assert Cache.parse(name).may_skip(list(range(980, -1, -20)), is_guided=True)
    assert Cache.parse(name).may_skip(list(range(980, -1, -20)), is_guided=False)
