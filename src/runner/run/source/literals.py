"""Secrets that stand in a text of code or settings themselves, told by their shape or their name.

Everything is bounded: a megabyte of one character must not take a minute.
"""

import re

from runner.config.secrets import STARS, is_secret_under

_OF_CREDENTIALS = re.compile(  # names of settings; whether code holds a secret, its text tells
    r"(^|/)\.(env|netrc|pgpass)\b[^/]*$|(^|/)[^/]*(credential|secret|password|passwd)[^/]*\.ya?ml$",
    re.IGNORECASE,
)
# There a secret needs quotes.
_CODE = (".py", ".pyi", ".pyx", ".pxd", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY"
    r"(?:.{0,8000}?-----END|[A-Z -]{0,12}(?:\s{1,9}[\w+/=]{40,90})*)",
    re.DOTALL,
)
_TOKEN = re.compile(  # as well-known services shape theirs
    r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|github_pat_\w{22,}|glpat-[\w-]{20}|hf_[A-Za-z0-9]{30,}|"
    r"sk-[\w-]{32,}|xox[abprs]-[\w-]{10,}|AIza[\w-]{35}|"
    r"(?<=[Bb]earer )(?=\D{0,40}\d)[\w.~+/=-]{16,})"
)
_QUOTED = re.compile(
    r"""(?<!\w)(?P<key>\w{1,60})(?!\w)["']?\]?[ \t]{0,8}"""
    r"""(?::[ \t]{0,8}[\w\[\]|.][\w\[\] |.]{0,60})?[=:][ \t]{0,8}"""
    r"""[rbu]?(["'])(?P<value>[^"'\n]{1,400})\2"""
)
_BARE = re.compile(
    r"""^[^\w\n]{0,40}(?:export[ \t]{1,8})?"""
    r"""(?P<key>\w{1,60})[ \t]{0,8}[:=][ \t]{0,8}["']?(?P<value>[^\s"'#]{1,400})""",
    re.MULTILINE,
)
_OF_SERVICES = re.compile(r"[A-Z0-9_]*_(TOKEN|PAT|PASS|KEY)")  # names by convention, ...
_RANDOM = re.compile(r"(?=.*\d)[\w+/=.-]{16,}")  # ... where the value looks like one


def without_literals(name: str, text: str) -> str:
    """Return `text`, which stands in the file `name`, with stars for secrets; lines stay lines."""
    if _OF_CREDENTIALS.search(name):
        return _hidden(text)
    text = _PRIVATE_KEY.sub(lambda match: _hidden(match[0]), text)
    text = _TOKEN.sub(STARS, text)
    text = _QUOTED.sub(_without_value, text)
    return text if name.endswith(_CODE) else _BARE.sub(_without_value, text)


def _hidden(text: str) -> str:
    return re.sub(r"[^\r\n]+", STARS, text)


def _without_value(match: re.Match[str]) -> str:
    key, value = match["key"], match["value"]
    if not _is_literal(value) or not (is_secret_under(key, value) or _is_of_service(key, value)):
        return match[0]
    start, end = (place - match.start() for place in match.span("value"))
    return match[0][:start] + STARS + match[0][end:]


def _is_of_service(key: str, value: str) -> bool:
    return bool(_OF_SERVICES.fullmatch(key) and _RANDOM.fullmatch(value))


def _is_literal(value: str) -> bool:
    """Return whether a value may be a secret itself: not what names one, nor an address or text."""
    return not any(mark in value for mark in ("$", "://", " ", "<", "{", "(", "..."))
