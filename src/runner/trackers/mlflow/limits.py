"""What MLflow accepts: how long names and values may be, and which characters a name may have."""

import re
from collections.abc import Mapping

# A batch takes 1,000 things in all.
MAX_METRICS_IN_BATCH = 800
MAX_PARAMETERS_IN_BATCH = 100
MAX_TAGS_IN_BATCH = 100
MAX_KEY_LENGTH = 250
MAX_PARAMETER_LENGTH = 6000
MAX_TAG_LENGTH = 5000  # the strictest of MLflow's stores

_ILLEGAL = re.compile(r"[^\w\-. /:]")
_CUT = "..."


def clean_key(key: str) -> str:
    """Return `key` as a name that MLflow takes: "_" for other characters and for dots alone."""
    legal = _ILLEGAL.sub("_", key).strip("/ ") or "_"
    parts = [part if part.strip(".") else "_" for part in legal.split("/")]
    return "/".join(parts)[:MAX_KEY_LENGTH]


def cut(text: str, *, length: int) -> str:
    """Return `text`, shortened to `length` with a mark where something is missing."""
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def clean_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters under legal names and within the limit of length."""
    return {
        clean_key(key): cut(text, length=MAX_PARAMETER_LENGTH) for key, text in parameters.items()
    }


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags under legal names and within the limit of length."""
    return {clean_key(key): cut(text, length=MAX_TAG_LENGTH) for key, text in tags.items()}
