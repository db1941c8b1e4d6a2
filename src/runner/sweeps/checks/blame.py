"""Which overrides of a sweep cause a problem: each problem is told once, with them."""

from collections.abc import Mapping, Sequence
from itertools import combinations as subsets

_MOST_TOGETHER = 3  # overrides that cause a problem only together; past it all are named
_MOST_NAMED = 4  # causes of one problem


def blame(
    problems: Mapping[int, Sequence[str]], overrides: Mapping[int, Sequence[str]]
) -> list[str]:
    """Return every problem once, in the order in which they are met, with what causes it.

    `overrides` are those of each combination that was looked at, and `problems` what is wrong with
    some of them. A problem that all have is in the base config, and is told alone.
    """
    having: dict[str, set[int]] = {}
    for number in overrides:
        for problem in problems.get(number, ()):
            having.setdefault(problem, set()).add(number)
    looked_at = {number: frozenset(texts) for number, texts in overrides.items()}
    return [_told(problem, causes(numbers, looked_at)) for problem, numbers in having.items()]


def causes(having: set[int], overrides: Mapping[int, frozenset[str]]) -> list[tuple[str, ...]]:
    """Return sets of overrides: each is had only by combinations in `having`, together by all.

    Each set is as small as it can be. Empty: all combinations have the problem, or none.
    """
    if not having or len(having) == len(overrides):
        return []
    found: list[tuple[str, ...]] = []
    left = sorted(having)
    while left:
        cause = _smallest(sorted(overrides[left[0]]), having, overrides)
        found.append(cause)
        left = [number for number in left if not overrides[number].issuperset(cause)]
    return found


def _smallest(
    texts: Sequence[str], having: set[int], overrides: Mapping[int, frozenset[str]]
) -> tuple[str, ...]:
    """Return the fewest of `texts` that only combinations in `having` have, of many the widest."""
    owners = {text: {number for number, own in overrides.items() if text in own} for text in texts}
    for size in range(1, min(_MOST_TOGETHER, len(texts)) + 1):
        best: tuple[int, tuple[str, ...]] | None = None
        for chosen in subsets(texts, size):
            extent = set.intersection(*(owners[text] for text in chosen))
            if extent <= having and (best is None or len(extent) > best[0]):
                best = len(extent), chosen
        if best is not None:
            return best[1]
    return tuple(texts)


def _told(problem: str, found: Sequence[tuple[str, ...]]) -> str:
    if not found:
        return problem
    named = [" ".join(cause) for cause in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        named.append(f"{len(found) - _MOST_NAMED} more")
    sentence, *traceback = problem.split("\n", 1)
    return "\n".join([f"{sentence} (with {', or '.join(named)})", *traceback])
