"""`Profiler`: where the time of a step goes, as a trace to open in a browser (debug.profile)."""

import logging

from torch.profiler import profile, schedule

from runner.training.callback import Callback, Fit

TRACE = "profile_trace.json"

_log = logging.getLogger(__name__)


class Profiler(Callback):
    """Records `num_steps` steps after `first_step` of this job, to plots/profile_trace.json.

    Open the trace at chrome://tracing or ui.perfetto.dev. A job that ends sooner writes
    none, and says so. Of several ranks it is rank 0 that records.
    """

    def __init__(self, first_step: int = 10, num_steps: int = 10) -> None:
        self._schedule = schedule(wait=first_step, warmup=1, active=num_steps, repeat=1)
        self._profile: profile | None = None

    def on_fit_start(self, fit: Fit) -> None:
        if not fit.is_main:
            return
        fit.directory.plots.mkdir(parents=True, exist_ok=True)
        path = str(fit.directory.plots / TRACE)
        self._profile = profile(
            schedule=self._schedule, on_trace_ready=lambda done: done.export_chrome_trace(path)
        )
        self._profile.start()

    def on_step_end(self, fit: Fit) -> None:
        if self._profile is not None:
            self._profile.step()

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        if self._profile is not None:
            self._profile.stop()
            self._profile = None
            if (path := fit.directory.plots / TRACE).exists():
                _log.info("profile in %s: open it at ui.perfetto.dev", path)
            else:
                _log.warning("no profile was written: training ended before it was complete")
