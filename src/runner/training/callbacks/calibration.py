"""`ConfidenceCalibration`: learns from the evaluations how far confidences can be trusted."""

from dataclasses import asdict
from typing import Any

import numpy as np

from runner.data.data import Batch
from runner.files import write_json_atomically
from runner.metrics.calibration import UNCALIBRATED, Calibration, fit_calibration
from runner.protocols import check_state_keys
from runner.reports.reliability import PICTURE, ReliabilityReport, reliability_of
from runner.tasks.task import Predictions
from runner.training.callback import Callback, Fit


class ConfidenceCalibration(Callback):
    """Fits at every evaluation the map from confidence to the share of texts or classes right.

    It costs no pass of its own. calibration.json in the run's directory has the map of every
    evaluated step: what reads with the weights of one takes its map. Of several evaluation sets it
    is fitted on the one that trainer.best_metric names, else on the first. After the test split
    reliability.json and plots/reliability.png say what came of it there. Predictions without
    targets, and confidences that are all the same, are passed over.
    """

    def __init__(self) -> None:
        self._fitted: dict[int, Calibration] = {}
        self._seen: list[tuple[str, np.ndarray, np.ndarray]] = []
        self._report: ReliabilityReport | None = None

    def on_evaluation_start(self, fit: Fit, split: str, num_batches: int) -> None:
        self._seen = []

    def on_evaluation_batch(
        self, fit: Fit, split: str, batch: Batch, predictions: Predictions
    ) -> None:
        if predictions.targets is None:
            return
        pairs = zip(predictions.texts, predictions.targets, strict=True)
        rights = np.array([text == target for text, target in pairs], dtype=bool)
        self._seen.append((split, np.array(predictions.confidences, dtype=float), rights))

    def on_evaluation_end(self, fit: Fit, split: str, values: dict[str, float]) -> None:
        seen, self._seen = self._seen, []
        everywhere = [pair for part in fit.ranks.gather(seen) for pair in part]
        if not everywhere:
            return
        if split == "evaluation":
            everywhere = _of_one_set(everywhere, fit.options.best_metric)
        _, *columns = zip(*everywhere, strict=True)
        confidences, rights = (np.concatenate(column) for column in columns)
        if split == "evaluation":
            self._fit(fit, confidences, rights)
        else:
            self._judge(fit, split, confidences, rights)

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        if self._report is None or outcome == "preempted":  # then there is no time for pictures
            return
        from runner.reports.reliability_plot import plot_reliability  # matplotlib, only now

        title = f"{fit.directory.path.name}, {self._report.split}"
        plot_reliability(self._report, fit.directory.plots / PICTURE, title=title)

    def state_dict(self) -> dict[str, Any]:
        return {"fitted": {step: asdict(one) for step, one in self._fitted.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_state_keys("the calibration", state, self.state_dict())
        self._fitted = {step: Calibration(**one) for step, one in state["fitted"].items()}

    def _fit(self, fit: Fit, confidences: np.ndarray, rights: np.ndarray) -> None:
        fitted = fit_calibration(confidences, rights)
        if fitted is None:
            return
        self._fitted[fit.progress.step] = fitted
        if fit.is_main:
            steps = {str(step): asdict(one) for step, one in self._fitted.items()}
            write_json_atomically(fit.directory.calibration, steps)

    def _judge(self, fit: Fit, split: str, confidences: np.ndarray, rights: np.ndarray) -> None:
        if not fit.is_main or not np.all((confidences >= 0) & (confidences <= 1)):
            return
        step = fit.progress.step if fit.tested_step is None else fit.tested_step
        calibration = self._fitted.get(step, UNCALIBRATED)
        is_fitted = isinstance(calibration, Calibration)
        outcomes = rights.tolist()
        self._report = ReliabilityReport(
            split=split,
            step=step,
            own=reliability_of(confidences.tolist(), outcomes),
            calibrated=reliability_of(calibration(confidences), outcomes) if is_fitted else None,
            calibrated_on=calibration.count if is_fitted else 0,
        )
        write_json_atomically(fit.directory.reliability, self._report.to_plain())


def _of_one_set(
    seen: list[tuple[str, np.ndarray, np.ndarray]], best_metric: str
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return what was seen of the evaluation set of `best_metric`, or else of the first one."""
    names = [name for name, *_ in seen]
    chosen = next((name for name in names if best_metric.startswith(f"{name}.")), names[0])
    return [one for one in seen if one[0] == chosen]
