"""Whether the cluster would take the jobs, asked before anything is submitted."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner.errors import ConfigError, RunError, did_you_mean
from runner.sweeps.checks.blame import blame
from runner.sweeps.ledger import Combination
from runner.sweeps.slurm.cluster import call, has_gpus, partitions, words_of
from runner.sweeps.slurm.commands import is_full, is_silent
from runner.sweeps.slurm.resources import Resources, resources_of

# Of submitit's parameters those that are no options of sbatch.
_NO_OPTIONS = (
    *("signal_delay_s", "stderr_to_stdout", "additional_parameters"),
    *("srun_args", "setup", "teardown", "array_parallelism"),
)
# What sbatch says -> the key below hardware.slurm that it may mean.
_KEYS = {
    "unrecognized option": "sbatch",
    "node name": "sbatch",
    "feature": "constraint",
    "qos": "qos",
    "account": "account",
    "time limit": "time_limit",
    "partition": "partition",
}
_NO_GPU = "hardware.device=auto asks for no GPU: hardware=cuda does"


def check_admission(combinations: Sequence[Combination]) -> list[str]:
    """Return what is odd about what `combinations` ask of the cluster, in a sentence each.

    Raises ConfigError with everything that is impossible, each with the overrides that cause it.
    The cluster is asked once for all that ask for the same; where it cannot be asked, that is odd.
    """
    overrides = {number: each.overrides for number, each in enumerate(combinations)}
    asked, problems = _asked(combinations)
    warnings: list[str] = []
    try:
        refusals = {resources: refusal_of(resources) for resources in set(asked.values())}
        forgetting = [n for n, each in asked.items() if _forgets_gpus(combinations[n].config, each)]
        if forgetting and has_gpus():
            warnings = blame({number: [_NO_GPU] for number in forgetting}, overrides)
    except RunError as error:
        refusals, warnings = {}, [f"the cluster was not asked: {error}"]
    for number, resources in asked.items():
        if (refusal := refusals.get(resources)) is not None:
            problems[number] = [refusal]
    if problems:
        raise ConfigError(*blame(problems, overrides))
    return warnings


def _asked(
    combinations: Sequence[Combination],
) -> tuple[dict[int, Resources], dict[int, Sequence[str]]]:
    """Return what each combination asks for, and what is wrong with those that ask nonsense."""
    asked: dict[int, Resources] = {}
    problems: dict[int, Sequence[str]] = {}
    for number, combination in enumerate(combinations):
        try:
            asked[number] = resources_of(combination.config)
        except ConfigError as error:
            problems[number] = error.problems
    return asked, problems


def refusal_of(resources: Resources) -> str | None:
    """Return why the cluster would refuse a job with `resources`, in a sentence, or None.

    Nothing is submitted. Raises RunError when there is no answer.
    """
    options = _flags(resources.parameters())
    command = ["sbatch", "--test-only", *options, "--wrap=true"]
    answer = call(command)
    if answer.returncode == 0:
        return None
    said = words_of(answer.stderr)
    if is_full(said):  # jobs wait here then, until it takes them
        raise RunError(f"it takes no more jobs now ({said})")
    if is_silent(said):
        raise RunError(f"the cluster does not answer ({said}): try again later")
    return f"the cluster would refuse the job: {said} ({_meant(said, resources)})"


def _meant(said: str, resources: Resources) -> str:
    """Return what of a config the words of sbatch are about."""
    name = next((name for words, name in _KEYS.items() if words in said.lower()), None)
    if name == "partition":
        known = partitions()
        hint = did_you_mean(resources.parameters().get("partition", ""), known)
        return f"hardware.slurm.partition{hint}; there are {', '.join(known)}"
    return f"hardware.slurm.{name}" if name else f"asked for: {_in_words(resources)}"


def _forgets_gpus(config: Mapping[str, Any], resources: Resources) -> bool:
    """Return whether a job that takes what there is asks for no GPU."""
    device = (config.get("hardware") or {}).get("device")
    return device == "auto" and not resources.has_gpus


def _flags(parameters: dict[str, Any]) -> list[str]:
    """Return submitit's parameters as options of sbatch."""
    named = {name: value for name, value in parameters.items() if name not in _NO_OPTIONS}
    options = named | parameters["additional_parameters"]
    return [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in options.items()
        if value is not None
    ]


def _in_words(resources: Resources) -> str:
    gpus, memory = resources.gpus_per_node, resources.memory_gb
    asked = [
        f"{resources.nodes} node(s)",
        f"{resources.tasks_per_node} task(s) a node with {resources.cpus_per_task} CPU(s) each",
        *([f"{gpus} GPU(s) a node"] if gpus else []),
        *([f"{memory:g} GB a node"] if memory else []),
    ]
    return ", ".join(asked)
