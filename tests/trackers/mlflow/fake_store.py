"""A store in memory: what a delivery asks of `MLflowStore`, for its rows and the state alone."""

from collections import defaultdict

from runner.trackers.mlflow.order import Order
from runner.trackers.mlflow.store import StoredRun


class FakeStore:
    """Its runs are `values[run_id]`: the metrics that were sent, a repeated one twice."""

    def __init__(self):
        self.values = defaultdict(list)  # (name, step, value)
        self.states = {}
        self._keys = {}
        self._holders = {}
        self.fails_after = None  # so many values: as a kill, or a server that goes away

    def open_experiment(self, name, *, artifact_location):
        return "1"

    def create_run(self, mark, *, name, started_ms, tags):
        run_id = f"run_{len(self._keys)}"
        self._keys[run_id] = mark.key
        return run_id

    def find_run(self, mark):
        found = [id for id, key in self._keys.items() if mark.run_id == id or mark.key == key]
        holder = self._holders.get(found[0]) if found else None
        return StoredRun(id=found[0], parameters={}, holder=holder) if found else None

    def hold(self, run_id, holder):
        self._holders[run_id] = holder

    def set_running(self, run_id):
        self.states[run_id] = "RUNNING"

    def set_state(self, run_id, state, *, at_ms=0):
        self.states[run_id] = state

    def known_steps(self, run_id):
        known = defaultdict(set)
        for name, step, _ in self.values[run_id]:
            known[name].add(step)
        return dict(known)

    def log(self, run_id, rows, *, known, parameters, tags):
        for row in rows:
            for name, value in row.values.items():
                if row.step not in known.get(f"{row.split}/{name}", ()):
                    self.values[run_id].append((f"{row.split}/{name}", row.step, value))
        if rows and self.fails_after is not None and len(self.values[run_id]) >= self.fails_after:
            raise ConnectionError("the answer is lost")

    def log_summary(self, run_id, summary, *, at_ms, step=0): ...

    def log_file(self, run_id, file, *, folder): ...


def order_of(run):
    return Order(
        directory=str(run.directory.path),
        name="plates",
        uri="http://server",
        written="http://server",
        experiment="plates",
        artifact_location=None,
        started_ms=0,
    )


def values_of(steps, *, num_values=2):
    return [
        (f"train/value_{number}", step, step + number / 8)
        for step in range(steps)
        for number in range(num_values)
    ]
