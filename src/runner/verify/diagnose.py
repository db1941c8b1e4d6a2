"""Say what differs first between two runs, why it probably does, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.verify.compare import (
    BATCHES,
    CHECKPOINT,
    FIRST_WEIGHTS,
    GENERATORS,
    JOURNAL,
    LOSSES,
    RESTORED,
    SAMPLES,
    STEPS,
    UPDATES,
    WEIGHTS,
    Comparison,
    Observation,
)
from runner.verify.recording import UNSAVED

_CALLBACK_STATE = f"{CHECKPOINT}callbacks."


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """What the config tells of possible causes."""

    is_deterministic: bool  # trainer.deterministic
    callbacks: Sequence[str]  # the user's own that keep no state: not Stateful


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What differs first, its likely cause, and what to do."""

    what: str
    cause: str
    remedy: str


@dataclass(frozen=True)
class _Cause:
    text: str
    remedy: str
    names_callbacks: bool = False  # whether those that keep no state are suspects


_OF_STRAIGHT_RUNS = {
    FIRST_WEIGHTS: _Cause(
        "the model draws its first weights from random numbers that no seed reaches",
        "draw them with torch, numpy or random, which runner seeds before the model is built; not "
        "with a generator of your own (np.random.default_rng, torch.Generator, random.Random) that "
        "is not seeded, random.SystemRandom, os.urandom, the time or the order of a set",
    ),
    SAMPLES: _Cause(
        "unseeded randomness in the data: the dataset, its collate function or the task's prepare",
        "draw random numbers with torch, numpy or random, which runner seeds before each sample; "
        "not with a generator of your own (np.random.default_rng, torch.Generator, random.Random), "
        "random.SystemRandom, os.urandom, the clock, or the order of a set or of os.listdir",
    ),
    BATCHES: _Cause(
        "unseeded randomness in the augmentation (data.augment): it got equal samples",
        "take every random number from what runner hands to the augmentation for it",
    ),
    WEIGHTS: _Cause(
        "a callback changed the weights by random numbers that no seed reaches, or by the time",
        "a callback only watches: leave it out (~callbacks.NAME)",
        names_callbacks=True,
    ),
    STEPS: _Cause("one run has steps that the other has not", "look at the logs of both"),
}
_IN_THE_MODEL = _Cause(
    "a non-deterministic operation in the model or the loss, or random numbers there that no seed "
    "reaches",
    "try trainer.deterministic=true: it refuses by name operations that have no deterministic "
    "form; if the runs differ then too, look for random numbers that torch's seed does not reach",
)
_IN_A_DETERMINISTIC_MODEL = _Cause(
    "the model, the task or a callback uses the time, or random numbers that no seed reaches",
    "draw them with torch, numpy or random, which runner seeds",
    names_callbacks=True,
)

_OF_A_RESUME = {
    RESTORED: _Cause(
        "what was saved is not what the step had left: a callback changed it behind the save, or "
        "when training began",
        "a callback only watches: let it change neither weights nor random generators",
        names_callbacks=True,
    ),
    SAMPLES: _Cause(
        "the dataset, its collate function, a sampler or the task's prepare has hidden state: with "
        "the same seeds it gives other samples in a new process",
        "make a sample of its index and of random numbers alone; an iterable dataset needs "
        "state_dict and load_state_dict",
    ),
    BATCHES: _Cause(
        "the augmentation (data.augment) has hidden state: it got equal samples",
        "make its result of the batch and of the random numbers that it is handed alone",
    ),
    LOSSES: _Cause(
        "same batch, same weights, another loss: hidden state in the model (a plain counter, a "
        "cache) or in the task, or a callback that changes what the model computes",
        "keep such state of a model in a buffer (register_buffer), which is saved with the "
        "weights; that of a callback in state_dict and load_state_dict",
        names_callbacks=True,
    ),
    UPDATES: _Cause(
        "same batch, same loss, other weights: the optimizer, the scheduler or a hook on gradients "
        "has state outside its state_dict, or a callback changes them",
        "keep that state in state_dict and load_state_dict",
        names_callbacks=True,
    ),
    WEIGHTS: _Cause(
        "a callback with hidden state changed the weights after an equal update",
        "keep its state in state_dict and load_state_dict; better: a callback only watches",
        names_callbacks=True,
    ),
    GENERATORS: _Cause(
        "something draws random numbers in some steps and not in others: hidden state in the "
        "model, the data or a callback",
        "keep what decides about it in state_dict and load_state_dict",
        names_callbacks=True,
    ),
    JOURNAL: _Cause(
        "with equal weights other values are measured: hidden state in a metric, in the task or "
        "in the evaluation data",
        "let the task's metrics() return new, empty metrics, and make a sample of its index alone",
        names_callbacks=True,
    ),
}
_UNSAVED_BUFFER = _Cause(
    "a buffer of the model changes in training and is not saved (persistent=False)",
    "register it with persistent=True",
)
_UNSAVED_STATE = _Cause(
    "state that is not saved, or that is restored otherwise than it was saved",
    "look at what its state_dict leaves out",
)


def diagnose(
    straight: Comparison, resumed: Comparison | None, suspects: Suspects
) -> Finding | None:
    """Return the first finding, or None if all is equal.

    `straight` compares two runs that were not interrupted, `resumed` one of them with the one that
    was; there is none when the straight ones differ already.
    """
    if straight.first is not None:
        seen, cause = straight.first, _without_resume(straight.first, suspects)
    elif resumed is not None and resumed.first is not None:
        seen, cause = resumed.first, _after_resume(resumed.first)
    else:
        return None
    those = _those(suspects) if cause.names_callbacks else ""
    return Finding(what=describe(seen), cause=f"{cause.text}{those}", remedy=cause.remedy)


def describe(observation: Observation) -> str:
    """Return what differs and where, with the two values where they say something."""
    place = "at the end" if observation.is_at_the_end else f"step {observation.step}"
    text = ", ".join(filter(None, (place, observation.kind, observation.name)))
    first, second = _shown(observation, observation.first), _shown(observation, observation.second)
    return f"{text}: {first} and {second}" if first and second else text


def _without_resume(seen: Observation, suspects: Suspects) -> _Cause:
    in_the_model = _IN_A_DETERMINISTIC_MODEL if suspects.is_deterministic else _IN_THE_MODEL
    return _OF_STRAIGHT_RUNS.get(seen.kind, in_the_model)


def _after_resume(seen: Observation) -> _Cause:
    if seen.kind.startswith(_CALLBACK_STATE):
        name = seen.kind.removeprefix(CHECKPOINT)
        return _Cause(
            f"{name} does not come back as it was: its state_dict lacks something, or its "
            "load_state_dict does not restore it",
            f"save and restore all that {name} changes",
        )
    if seen.kind == RESTORED and seen.name.endswith(UNSAVED):
        return _UNSAVED_BUFFER
    return _OF_A_RESUME.get(seen.kind, _UNSAVED_STATE)


def _those(suspects: Suspects) -> str:
    if not suspects.callbacks:
        return ""
    names = ", ".join(f"callbacks.{name}" for name in suspects.callbacks)
    keep = "keeps" if len(suspects.callbacks) == 1 else "keep"
    return f" ({names} {keep} no state: not Stateful)"


def _shown(observation: Observation, value: object) -> str:
    """Return a value that a person can read; a digest says nothing."""
    if observation.kind == LOSSES and isinstance(value, str):
        return repr(float.fromhex(value))
    return str(value) if observation.kind == JOURNAL and value is not None else ""
