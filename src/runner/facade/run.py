"""`Run`: read a run back from its directory.

    run = Run("outputs/plate_ocr/2026-11-21_10-30-00_1a2b3c4d")
    run.status.state, run.score, run.config["optimizer"]["lr"]
    steps, values = zip(*run.series("evaluation.cer"))
    model = run.load_model()
    for reading in run.load_reader().read(["plates/"]): ...

Only what loads a model imports torch.
"""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.build.trained.result import step_to_use
from runner.checkpoint.manifest import committed_steps
from runner.config.trust import Trust
from runner.config.written import read_config
from runner.errors import RunError, did_you_mean
from runner.run.directory import RunDirectory
from runner.run.evaluations import Evaluation, read_evaluations
from runner.run.journal import Row, read_journal
from runner.run.latest import latest_status
from runner.run.model_card import is_exported
from runner.run.provenance import read_provenance
from runner.run.status import Status

if TYPE_CHECKING:
    from torch import nn

    from runner.build.trained.inference import Reader


class Run:
    """One run, read only; each answer is read from disk when asked, so a run may be watched.

    Raises RunError when `path` is no run directory, or one of a newer format.
    """

    def __init__(self, path: str | Path) -> None:
        self.directory = RunDirectory(Path(path))
        if is_exported(self.directory):
            raise RunError(
                f"{path} is an exported model, and has nothing of the training: use "
                "runner.load_reader(path), or runner.build.trained.model.trained_model(path)"
            )
        if not self.directory.provenance.is_file():
            raise RunError(
                f"{path} is no run directory: it has no {self.directory.provenance.name} "
                "(a run's own folder is meant, such as outputs/NAME/DATE_TIME_ID)"
            )
        self.provenance = read_provenance(self.directory.provenance)

    def __repr__(self) -> str:
        return f"Run({str(self.directory.path)!r})"

    @property
    def id(self) -> str:
        """The id that no other run has."""
        return self.provenance["id"]

    @property
    def name(self) -> str:
        """The name under which runs are grouped."""
        return self.provenance["name"]

    @property
    def config(self) -> dict[str, Any]:
        """The frozen config, plain; what stands for the environment is left as it is."""
        return read_config(self.directory.config)

    def resolved_config(self) -> dict[str, Any]:
        """Return the config with every interpolation replaced by its value on this machine."""
        from runner.config.frozen import load_frozen
        from runner.config.interpolations import resolve

        plain, problems = resolve(load_frozen(self.directory.config))
        if problems:
            raise RunError("\n".join(problems))
        return plain

    @property
    def status(self) -> Status:
        """State, step, score; `lost` when the run says running and nobody is behind it."""
        return latest_status(self.directory) or Status(state="queued")

    @property
    def score(self) -> float | None:
        """The best value of trainer.best_metric so far."""
        return self.status.score

    @property
    def best_step(self) -> int | None:
        """The step of the best score."""
        return self.status.best_step

    @property
    def metrics(self) -> list[Row]:
        """The rows of the journal, oldest first."""
        return read_journal(self.directory.journal)

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return (step, value) pairs of one metric, named as in the config: "evaluation.cer".

        Raises RunError with the names there are when `name` is not among them.
        """
        history = self.history
        if name not in history:
            known = ", ".join(sorted(history)) or "none"
            hint = did_you_mean(name, history) or f"; there are {known}"
            raise RunError(f"{self.directory.path} has no metric {name!r}{hint}")
        return history[name]

    @property
    def history(self) -> dict[str, list[tuple[int, float]]]:
        """Every metric of the journal with its (step, value) pairs: {"train.loss": [...], ...}."""
        found: dict[str, list[tuple[int, float]]] = {}
        for row in self.metrics:
            for name, value in row.values.items():
                found.setdefault(f"{row.split}.{name}", []).append((row.step, value))
        return found

    @property
    def checkpoints(self) -> list[int]:
        """The steps that have a committed checkpoint, oldest first."""
        return committed_steps(self.directory.checkpoints)

    def load_model(
        self,
        *,
        step: int | None = None,
        model: "nn.Module | None" = None,
        trust: bool | str | Iterable[str] = False,
    ) -> "nn.Module":
        """Return the trained model on the CPU, ready to be used (in eval mode).

        `step` chooses a checkpoint; without it the best one, or else the newest. A run that was
        started from Python has no recipe for its model: give one of the same shape as `model`. Of a
        run from elsewhere, `trust` says whose code its config may name: packages, or True for all.
        """
        from runner.checkpoint.store import CheckpointStore

        chosen = step_to_use(self.directory, step)
        model = model if model is not None else self._build_model(trust)
        CheckpointStore(self.directory.checkpoints).read_weights(chosen, model)
        return model.eval()

    def load_reader(
        self,
        *,
        device: str = "auto",
        step: int | None = None,
        trust: bool | str | Iterable[str] = False,
    ) -> "Reader":
        """Return what reads pictures with the trained model, see `Reader.read`.

        `trust` is as in `load_model`.
        """
        from runner.build.trained.inference import load_reader

        return load_reader(self.directory.path, device=device, step=step, trust=trust)

    def load_preprocessor(
        self, preprocessor: Any = None, *, trust: bool | str | Iterable[str] = False
    ) -> Any:
        """Return what prepared the input in training (`Data.preprocessor`).

        `preprocessor` is needed for one whose class neither runner nor transformers has, if the run
        was started from Python: that class, or an object of it, which takes the saved state.
        `trust` is as in `load_model`.
        """
        from runner.data.preprocessor import is_known, load_preprocessor

        folder = self.directory.preprocessor
        node = None if preprocessor is not None else self._preprocessor_node()
        if folder.exists() and (node is None or is_known(folder)):
            return load_preprocessor(folder, preprocessor)
        if node is None:
            raise RunError(f"{self.directory.path} has no preprocessor: its data gave none")
        return self._instantiated(node, "data.preprocessor", trust)

    def _preprocessor_node(self) -> dict[str, Any] | None:
        if not isinstance(self.config.get("data", {}).get("preprocessor"), dict):
            return None
        return self.resolved_config()["data"]["preprocessor"]

    def evaluate(
        self,
        split: str | None = None,
        *,
        step: int | None = None,
        overrides: Sequence[str] = (),
        name: str | None = None,
        trust: bool | str | Iterable[str] = False,
    ) -> Evaluation:
        """Measure the trained model on a split of its data, as `python -m runner evaluate` does.

        The results lie in `directory.evaluations`, too, or a warning says why they cannot; only the
        command delivers them to MLflow.
        `trust` is as in `load_model`.
        """
        from runner.build.trained.evaluating import Asked, evaluate_run

        path = self.directory.path
        asked = Asked(
            path=path,
            split=split,
            step=step,
            name=name,
            overrides=overrides,
            trust=Trust.of(trust),
        )
        done = evaluate_run(asked)
        if done.problem:
            warnings.warn(f"the results are not kept: {done.problem}", stacklevel=2)
        return done.evaluation

    @property
    def evaluations(self) -> list[Evaluation]:
        """What was evaluated after the training, oldest first."""
        return read_evaluations(self.directory.evaluations)

    def fork(self, step: int) -> "Run":
        """Return a new run, beside this one, that stands where this one stood at `step`.

        To train on from there: `runner resume`, or a `Trainer` with its directory. This run is not
        touched. Raises CheckpointError with the steps there are.
        """
        from runner.job.fork import fork_run

        return Run(fork_run(self.directory.path, step=step))

    def _build_model(self, trust: bool | str | Iterable[str]) -> "nn.Module":
        node = self.resolved_config().get("model")
        if not isinstance(node, dict):
            raise RunError(
                f"{self.directory.path} was started from Python, its config has no model: "
                "use load_model(model=...) with a model of the same shape"
            )
        return self._instantiated(node, "model", trust)

    def _instantiated(
        self, node: dict[str, Any], where: str, trust: bool | str | Iterable[str]
    ) -> Any:
        from runner.build.trained.trusted import refuse_untrusted
        from runner.config.instantiate import instantiate

        refuse_untrusted({where: node}, self.directory, Trust.of(trust))
        return instantiate(node, where)
