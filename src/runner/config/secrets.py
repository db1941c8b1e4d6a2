"""Passwords and tokens: kept out of configs, and out of texts that are written down.

A secret belongs in an environment variable, and stands in a config as ${oc.env:NAME}, which stays
unresolved where the config is written. What looks like one is told by names: TOKEN, PASSWORD, ...
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from runner.config.layout import leaves

_SHORTEST = 8  # a shorter value may be a common word
_NAME = re.compile(
    r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|"
    r"(^|_)(KEY|PASS|PAT|AUTH|AUTHORIZATION)$|[^_](?<!^OLD)_?PWD$",  # not PWD, the shell's folder
    re.IGNORECASE,
)
_KEY = re.compile(  # of a config: pad_token and the like are none
    r"(.*_)?(password|passwd|passphrase|secret|secret_key|api_?key|access_key|private_key|"
    r"credentials?)|token|(api|access|auth|hf|bearer|login|refresh)_token",
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(
    r"(?P<scheme>(?<!\w)\w+://)(?P<user>[^/\s:@\"']*):(?!\$\{)(?P<word>[^/\s@\"']+)@"
)
_LOGIN = re.compile(r"(https?://)[^/\s:@\"'$]{16,}@")  # a token in place of a name, as git takes it
STARS = "***"
# A value that is made of letters alone, or of digits, may be part of another word or number.
_WORDLIKE = re.compile(r"[A-Za-z]+|[0-9]+")
_COMMON = re.compile(r"[a-z]+")  # postgres, regression: no secret that could be kept
_NAMES = ("name", "_target_")  # of what a config names, where a word may stand that is no secret


def redacted(text: str) -> str:
    """Return `text` with stars for the values of environment variables that look secret.

    Also as they stand in addresses, and for any password in one.
    """
    forms = {form for value in secrets_here().values() for form in _forms(value)}
    for form in sorted(forms, key=len, reverse=True):
        if form in text:
            text = _pattern(form).sub(STARS, text)
    text = _IN_ADDRESS.sub(rf"\g<scheme>\g<user>:{STARS}@", text)
    return _LOGIN.sub(rf"\1{STARS}@", text)


def redacted_in(node: Any) -> Any:
    """Return plain containers with `redacted` texts."""
    if isinstance(node, Mapping):
        return {key: redacted_in(value) for key, value in node.items()}
    if isinstance(node, list):
        return [redacted_in(value) for value in node]
    return redacted(node) if isinstance(node, str) else node


def is_secret_name(name: str) -> bool:
    """Return whether an environment variable is called as those are that hold secrets."""
    return _NAME.search(name) is not None


def secrets_here() -> dict[str, str]:
    """Return the secrets in the environment by the names of their variables.

    A value is one if its variable is called so, or if it is the password of an address. A plain
    word in small letters is none.
    """
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        is_file = value.startswith(("/", "~", "./"))
        if is_secret_name(name) and _is_secret(value) and not is_file:
            found[name] = value
        elif (match := _IN_ADDRESS.search(value)) and _is_secret(unquote(match["word"])):
            found[name] = unquote(match["word"])
    return found


def _is_secret(value: str) -> bool:
    return len(value) >= _SHORTEST and not _COMMON.fullmatch(value)


def is_secret_under(key: str, text: str) -> bool:
    """Return whether `text` is a secret for the name under which it stands: "api_key"."""
    return bool(_KEY.fullmatch(key)) and "${" not in text and len(text) >= _SHORTEST


def secrets_in(frozen: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each secret that a config holds itself; it quotes none of them.

    Keys of `frozen` may be dotted.
    """
    known = secrets_here()
    problems: list[str] = []
    for path, key, text in _texts(frozen, ""):
        if _IN_ADDRESS.search(text):
            problems.append(_sentence(path, "a password stands in an address", "NAME"))
        elif holders := [name for name, value in known.items() if _holds(text, value, key)]:
            said = f"what the environment variable {holders[0]} holds stands in the config"
            problems.append(_sentence(path, said, holders[0]))
        elif is_secret_under(key, text):
            problems.append(_sentence(path, "a secret stands in the config", "NAME"))
    return problems


def secrets_in_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what `secrets_in` does of what `after` has and `before` has not."""
    old = leaves(before)
    new = {
        key: value for key, value in leaves(after).items() if key not in old or old[key] != value
    }
    return secrets_in(new)


def _sentence(path: str, what: str, name: str) -> str:
    return (
        f"{path}: {what}, which is written down with every run: write ${{oc.env:{name}}} in its "
        "place, and set that variable where the run starts"
    )


def _holds(text: str, value: str, key: str) -> bool:
    if key in _NAMES and _WORDLIKE.fullmatch(value):
        return False
    return any(form in text and _pattern(form).search(text) for form in _forms(value))


def _pattern(form: str) -> re.Pattern[str]:
    """Return what finds `form`: anywhere, or what is like a word only as a whole one.

    Not as the scheme of an address either.
    """
    if not _WORDLIKE.fullmatch(form):
        return re.compile(re.escape(form))
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9]|\+?\w*://)")


def _forms(value: str) -> set[str]:
    return {value, quote(value, safe=""), quote_plus(value), repr(value)[1:-1]}


def _texts(node: Any, path: str, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Give every text in `node` with its place and its key."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            key = str(name).rpartition(".")[2]
            yield from _texts(value, f"{path}.{name}".lstrip("."), key)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, f"{path}[{index}]", key)
    elif isinstance(node, str):
        yield path, key, node
