"""Where a job computes: on which device, and as which of how many ranks."""

from dataclasses import dataclass

import torch

from runner.config.combinations import check_ranks
from runner.config.options import Options
from runner.errors import ConfigError
from runner.runtime.device import check_devices, prepare_hardware
from runner.runtime.launch import Launch, launch_of


@dataclass(frozen=True, kw_only=True)
class Place:
    """The device of this process, and its place among the ranks if it is not alone."""

    device: torch.device
    launch: Launch | None = None

    @property
    def is_main(self) -> bool:
        return self.launch is None or self.launch.rank == 0


def wants_ranks(options: Options) -> bool:
    """Return whether ranks have to be started: several are asked for, and nobody did yet.

    Raises ConfigError, before anything is started, for ranks that cannot be.
    """
    launch = launch_of()
    count = options.hardware.num_processes
    if launch is not None and count not in (1, launch.count):
        raise ConfigError(
            f"hardware.num_processes={count}, and the launcher of this process started "
            f"{launch.count}: leave hardware.num_processes out, or make both the same"
        )
    if problems := check_ranks(options, launch.count if launch else count):
        raise ConfigError(*problems)
    if launch is not None or count == 1:
        return False
    check_devices(options.hardware, count)
    return True


def take_place(options: Options) -> Place:
    """Find the device of this process and prepare it; ConfigError if it is not there."""
    launch = launch_of()
    device = prepare_hardware(options.hardware, local_rank=launch.local_rank if launch else None)
    return Place(device=device, launch=launch)
