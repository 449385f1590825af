"""Removes credentials from texts that are shown or kept."""

import os
import re
from urllib.parse import unquote

HIDDEN = "***"
SHORTEST_SECRET = 6
"""Characters below which the value of a variable is not looked for in texts: `on` or `1` would be found everywhere."""
_SECRET_VARIABLE = re.compile(
    r"(PASSWORD|PASSWD|_TOKEN|_SECRET|SECRET_KEY|ACCESS_KEY|_API_KEY|CONNECTION_STRING)$", re.IGNORECASE
)
_WORD = re.compile(r'[^\s"]+')
_AUTHORITY = re.compile(r"[^/?#]*")
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
_AUTHORIZATION = re.compile(r"(authorization['\"]?[:=]\s*b?['\"]?(?:basic|bearer) +)[^\s'\"]+", re.IGNORECASE)
_ASSIGNED = re.compile(r"(passw(?:or)?d|pwd)(=)[^\s&;\"']+", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Returns a text without the user and password of its addresses (`scheme://user:password@host`), passwords that are
    assigned, tokens of the Hugging Face hub, and the values of variables such as HF_TOKEN.

    Every message, tag, note and traceback that may quote an address, a command line or a library's error passes here.
    """
    if "://" in text and "@" in text:
        text = _WORD.sub(_without_user, text)
    text = _HUB_TOKEN.sub(HIDDEN, text)
    text = _AUTHORIZATION.sub(rf"\g<1>{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\g<1>\g<2>{HIDDEN}", text)
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return text


def password_of(address: str) -> str:
    """Returns the password in an address, as it is written there; empty where it has none."""
    return _user(address.partition("://")[2]).partition(":")[2]


def _without_user(word: re.Match[str]) -> str:
    scheme, colon, rest = word[0].partition("://")
    user = _user(rest)
    return scheme + colon + (rest[len(user) + 1 :] if user else rest)


def _user(rest: str) -> str:
    """The user and password before a host. They end at the last @: a password may hold @ and / that are not escaped."""
    user, at, _ = rest.rpartition("@")
    authority = _AUTHORITY.match(rest)
    assert authority is not None, "the pattern matches the empty text"
    port = authority[0].partition(":")[2]
    return user if at and ("@" in authority[0] or (port and not port.isdecimal())) else ""


def _secrets() -> list[str]:
    """The secrets of this process's environment, the longest first: one may be a part of another."""
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    password = password_of(os.environ.get("MLFLOW_TRACKING_URI", ""))
    found |= {password, unquote(password)}
    return sorted((secret for secret in found if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)
