"""`SystemMonitor`: what the run takes of the machine, as rows of the split "system"."""

import threading
import time
from collections.abc import Mapping

import torch

from runner.training.callback import Callback, Fit

_GIB = 2**30


class SystemMonitor(Callback):
    """Measures every `every_seconds`, on a thread of its own; the next step writes the mean.

    | value | |
    | --- | --- |
    | `cpu_percent`, `memory_gib` | of this process and those it started; 100 is one core |
    | `machine_cpu_percent`, `machine_memory_percent` | of the whole machine |
    | `gpu_memory_gib` | what torch holds of the GPU, in this process |
    | `gpu_percent` | how busy the GPU is; needs the package nvidia-ml-py |

    Of several ranks it is rank 0 that measures itself.
    """

    def __init__(self, *, every_seconds: float = 10.0) -> None:
        self._every_seconds = every_seconds
        self._measured: list[Mapping[str, float]] = []  # appended to by the thread
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def on_fit_start(self, fit: Fit) -> None:
        if fit.is_main:
            first = next(fit.model.parameters(), None)
            device = torch.device("cpu") if first is None else first.device
            self._is_over.clear()
            self._thread = threading.Thread(
                target=self._measure, args=(device,), name="system monitor", daemon=True
            )
            self._thread.start()

    def on_step_end(self, fit: Fit) -> None:
        if self._measured:
            self._record(fit)

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(1.0)
            self._thread = None
        if self._measured:
            self._record(fit)

    def _record(self, fit: Fit) -> None:
        measured, self._measured = self._measured, []
        names = measured[-1]
        means = {name: sum(one[name] for one in measured) / len(measured) for name in names}
        fit.record("system", {name: round(mean, 3) for name, mean in means.items()})

    def _measure(self, device: torch.device) -> None:
        machine = _Machine(device)
        while not self._is_over.wait(self._every_seconds):
            self._measured.append(machine.measure())
        self._measured.append(machine.measure())  # the rest, which is all of a short run


class _Machine:
    """Reads the figures; those that need a difference are since the last reading."""

    def __init__(self, device: torch.device) -> None:
        import psutil  # only where something is measured

        self._psutil = psutil
        self._own = psutil.Process()
        self._device = device if device.type == "cuda" else None
        self._tells_utilization = self._device is not None
        self._cpu_seconds, _ = self._of_processes()
        self._read_at = time.monotonic()
        psutil.cpu_percent()  # its first answer means nothing

    def measure(self) -> dict[str, float]:
        cpu_seconds, memory = self._of_processes()
        now = time.monotonic()
        used = max(0.0, cpu_seconds - self._cpu_seconds)  # a process that ended takes its share
        share = used / max(1e-9, now - self._read_at)
        self._cpu_seconds, self._read_at = cpu_seconds, now
        return {
            "cpu_percent": 100 * share,
            "memory_gib": memory / _GIB,
            "machine_cpu_percent": self._psutil.cpu_percent(),
            "machine_memory_percent": self._psutil.virtual_memory().percent,
            **self._of_gpu(),
        }

    def _of_processes(self) -> tuple[float, int]:
        """Return the CPU seconds and the resident bytes of this process and all below it."""
        seconds, memory = 0.0, 0
        for process in (self._own, *self._own.children(recursive=True)):
            try:
                times, resident = process.cpu_times(), process.memory_info().rss
            except self._psutil.Error:  # it ended just now
                continue
            seconds += times.user + times.system
            memory += resident
        return seconds, memory

    def _of_gpu(self) -> dict[str, float]:
        if self._device is None:
            return {}
        figures = {"gpu_memory_gib": torch.cuda.memory_reserved(self._device) / _GIB}
        if self._tells_utilization:
            try:
                figures["gpu_percent"] = float(torch.cuda.utilization(self._device))
            except Exception:  # no package, no driver, or not allowed: whichever, there is none
                self._tells_utilization = False
        return figures
