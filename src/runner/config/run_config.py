"""`RunConfig`: one whole, valid config of one run, typed and resolved."""

from dataclasses import dataclass
from typing import Any

from runner.config.options import (
    CheckpointOptions,
    DebugOptions,
    HardwareOptions,
    LoaderOptions,
    Options,
    ParameterOptions,
    PrecisionOptions,
    TrainerOptions,
)

Node = dict[str, Any]  # a plain, resolved `_target_` node


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a job runs.

    `frozen` is the same config as plain containers with its interpolations left in place, as it is
    written to config.yaml: what environment variables stand for is not recorded.
    """

    name: str
    seed: int
    output_dir: str
    trainer: TrainerOptions
    loader: LoaderOptions
    checkpoint: CheckpointOptions
    hardware: HardwareOptions
    precision: PrecisionOptions
    debug: DebugOptions
    parameters: ParameterOptions
    init_weights_from: str | None
    init_weights_strict: bool
    model: Node
    data: Node
    task: Node
    optimizer: Node
    scheduler: Node | None
    callbacks: dict[str, Node]
    trackers: dict[str, Node]
    frozen: dict[str, Any]

    @property
    def options(self) -> Options:
        """Return all knobs that runner itself reads."""
        return Options(
            seed=self.seed,
            trainer=self.trainer,
            loader=self.loader,
            checkpoint=self.checkpoint,
            hardware=self.hardware,
            precision=self.precision,
            debug=self.debug,
            parameters=self.parameters,
            init_weights_from=self.init_weights_from,
            init_weights_strict=self.init_weights_strict,
        )
