"""Mirror one run to MLflow: `python -m runner.trackers.mlflow.run_process`, a process."""

from runner.trackers.mlflow.delivery import Delivery
from runner.trackers.mlflow.serving import serve

if __name__ == "__main__":
    serve(lambda order, connect, _inbox, _lock: Delivery(order, connect))
