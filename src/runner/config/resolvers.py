"""The interpolations that runner adds to those of OmegaConf and Hydra.

    ${start:}                 when the run started and a random id: 2026-11-21_10-30-00_k3f9a2
    ${ctc_classes:ALPHABET}   the number of symbols and the blank
    ${vocabulary_size:ALPHABET}   the number of symbols, and padding, begin and end

They are known once `register` was called.
"""

from collections.abc import Callable

from omegaconf import OmegaConf

from runner.config.stamp import new_stamp


def register(*, stamp: Callable[[], str] = new_stamp) -> None:
    """Make the resolvers known to OmegaConf; again is harmless.

    `stamp` gives ${start:} its value: the ranks of a run have to agree on one.
    """
    # Cached in the config: resolvers run at every access, and a run has one directory.
    OmegaConf.register_new_resolver("start", stamp, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("ctc_classes", _ctc_classes, replace=True)
    OmegaConf.register_new_resolver("vocabulary_size", _vocabulary_size, replace=True)


def _ctc_classes(alphabet: str) -> int:
    return len(alphabet) + 1


def _vocabulary_size(alphabet: str) -> int:
    return len(alphabet) + 3
