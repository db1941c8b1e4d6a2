"""Read the config of a run that is to be used, not trained: the one way to it.

What a config names with `_target_` is called. One that this user has not written, of a run from
elsewhere, may name what is harmless to call: parts of runner made for configs, modules, optimizers
and schedulers of torch, models and configs of transformers. For all else the user must say that he
trusts it: also for what asks the Hub, and for secrets of his. Names are looked at before anything
they name is imported.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.config.evaluating import apply_evaluation_overrides
from runner.config.frozen import from_frozen, load_frozen
from runner.config.interpolations import resolve
from runner.config.own_targets import OWN_TARGETS
from runner.config.run_config import RunConfig
from runner.config.secrets import secrets_here
from runner.config.targets import TARGET, TargetError, locate
from runner.config.trust import NOBODY_ELSE, Trust
from runner.config.validate import validate
from runner.config.written import read_config
from runner.errors import ConfigError, RunError
from runner.run.directory import RunDirectory
from runner.run.signature import is_ours

_USED = ("model", "data", "task")
_NO_TRAINING: dict[str, Any] = {  # nobody who uses a model builds these
    "optimizer": {TARGET: "torch.optim.SGD", "_partial_": True},
    "scheduler": None,
    "callbacks": {},
    "trackers": {},
}
_OF_TORCH = ("torch.nn.", "torch.optim.")
_DEFINED_THERE = (*_OF_TORCH, "torch.ao.nn.")
_HUB = "runner.data.ocr_hub.ocr_hub"
# With these, classes of transformers and a part of runner load code, or trust others to.
_OPENING = frozenset(
    {
        *("trust", "trust_remote_code", "auto_map", "code_revision", "custom_generate"),
        *("allow_all_kernels", "use_kernels", "kernel_config", "backbone", "quantization_config"),
    }
)
_ATTENTION = frozenset({"eager", "sdpa", "flash_attention_2", "flex_attention", None})


def trusted_config(
    directory: RunDirectory, *, trust: Trust = NOBODY_ELSE, overrides: Sequence[str] = ()
) -> RunConfig:
    """Return the config of the run in `directory`, of which parts may then be built.

    `overrides` change its data, or how its task reads (see `EVALUATION_KEYS`). Of a run from
    elsewhere what is only for training is left out. Raises RunError naming what it may not name
    unless `trust` has it, and ConfigError as `validate` does.
    """
    cfg = load_frozen(directory.config)
    if "model" not in cfg:
        raise RunError(
            f"{directory.path} was started from Python, and its config builds nothing: use it "
            "there, by Run(path).load_model(model=...), or Trainer(...).load(path) and its "
            "evaluate(split) and predict(split)"
        )
    apply_evaluation_overrides(cfg, overrides)
    if trust.everything or is_ours(directory):
        return validate(cfg)
    plain, problems = resolve(cfg)
    if problems:
        raise ConfigError(*problems)
    refuse_untrusted({part: plain.get(part) for part in _USED}, directory, trust)
    if isinstance(plain.get("hardware"), dict):
        plain["hardware"].pop("slurm", None)  # lines of a shell may look like interpolations
    # What was looked at is what is built: a second reading might resolve to something else.
    return replace(
        validate(from_frozen({**plain, **_NO_TRAINING})), frozen=read_config(directory.config)
    )


def refuse_untrusted(node: Any, directory: RunDirectory, trust: Trust) -> None:
    """Raise RunError naming what `node`, resolved, of a config from elsewhere may not name.

    A run that this user made is his own: he is not asked.
    """
    if trust.everything or is_ours(directory):
        return
    if found := untrusted(node, trust):
        raise RunError(
            f"{directory.path} was made elsewhere, and its {directory.config.name} names what "
            f"would run here: {', '.join(found)}; if you trust whoever wrote it, "
            f"{trust.advice(packages_of(found))}"
        )


def untrusted(node: Any, trust: Trust) -> list[str]:
    """Return, each once and with its place, everything in `node` that must not be built."""
    found = [*_untrusted(node, "", trust), *_of_secrets(node, "", [*secrets_here().values()])]
    return list(dict.fromkeys(found))


def packages_of(found: list[str]) -> list[str]:
    """Return the packages of what `untrusted` has found; none if those are no answer."""
    names = sorted({text.partition(".")[0] for text in found})
    return names if all(name.isidentifier() for name in names) else []


def _untrusted(node: Any, path: str, trust: Trust) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _untrusted(item, f"{path}[{index}]", trust)
    elif isinstance(node, Mapping):
        if node.get(TARGET) == _HUB and not _is_folder(node.get("path")):
            yield f"a name on the Hub ({f'{path}.path'.lstrip('.')})"
        for key, value in node.items():
            where = f"{path}.{key}".lstrip(".")
            if key == TARGET:
                if not is_trusted(value, trust):
                    yield f"{value} ({where})"
            elif not _is_node(value) and _opens(key, value):
                yield f"{value} ({where})"
            else:
                yield from _untrusted(value, where, trust)
    elif isinstance(node, bytes) or (isinstance(node, str) and "${" in node):
        yield f"{node!r} ({path})"  # would be resolved once more where it is built


def is_trusted(target: object, trust: Trust) -> bool:
    """Return whether a config from elsewhere may name `target`; imports it if the name may be."""
    if not isinstance(target, str):
        return False
    if target in OWN_TARGETS:
        return True
    parts = target.split(".")
    if any(not part.isidentifier() or part.startswith("_") for part in parts):
        return False
    if parts[0] in trust.packages:
        return _home_of(target) in trust.packages
    if target.startswith(_OF_TORCH):
        return _is_of_torch(target)
    return parts[0] == "transformers" and len(parts) <= 3 and _is_of_transformers(target)


def _home_of(target: str) -> str | None:
    """Return the package that defines what `target` names, which may have got it from another."""
    try:
        found = locate(target)
    except TargetError:
        return target.partition(".")[0]  # `validate` tells what is missing
    module = getattr(found, "__module__", None)
    return module.partition(".")[0] if isinstance(module, str) else None


def _is_of_torch(target: str) -> bool:
    from torch import nn, optim

    try:
        found = locate(target)
    except TargetError:
        return True  # `validate` tells what is missing
    kinds = (nn.Module, optim.Optimizer, optim.lr_scheduler.LRScheduler)
    is_kind = isinstance(found, type) and issubclass(found, kinds)
    return is_kind and f"{found.__module__}.".startswith(_DEFINED_THERE)


def _is_of_transformers(target: str) -> bool:
    """Return whether it is a model or a config, or `from_config` of a class with automatic names.

    What loads from a name or a folder is none: it would fetch what a stranger has chosen.
    """
    owner, _, method = target.rpartition(".") if target.count(".") == 2 else (target, "", "")
    if method not in ("", "from_config"):
        return False
    try:
        found = locate(owner)
    except TargetError:
        return True
    if not isinstance(found, type) or not found.__module__.startswith("transformers."):
        return False
    if method:
        return found.__name__.startswith("Auto") and ".auto." in found.__module__
    from transformers import PretrainedConfig, PreTrainedModel

    return issubclass(found, (PretrainedConfig, PreTrainedModel))


def _opens(key: object, value: object) -> bool:
    """Return whether a key makes something load code that no `_target_` names."""
    if is_opening(key) and key not in _OPENING:
        return isinstance(value, Mapping | list) or value not in _ATTENTION
    return key in _OPENING and value not in (None, False)


def is_opening(key: object) -> bool:
    """Return whether what stands under `key` may make something load code."""
    kernels = ("attn_implementation", "experts_implementation")
    return isinstance(key, str) and (key in _OPENING or key.endswith(kernels))


def _of_secrets(node: Any, path: str, secrets: Sequence[str]) -> Iterator[str]:
    """Give where the value of a secret variable stands: what reads it may send it or show it."""
    if isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _of_secrets(item, f"{path}[{index}]", secrets)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _of_secrets(value, f"{path}.{key}".lstrip("."), secrets)
    elif isinstance(node, str) and any(secret in node for secret in secrets):
        yield f"a secret of your environment ({path})"


def _is_folder(path: object) -> bool:
    return isinstance(path, str) and Path(path).is_dir()


def _is_node(value: object) -> bool:
    return isinstance(value, Mapping) and TARGET in value
