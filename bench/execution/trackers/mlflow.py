"""MLflow: a run there for each run here."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.contracts.tracker import FinishedRun, Tracker, TrackerConfig, register_tracker

MOST_AT_ONCE = 100
"""Parameters, and values, that MLflow takes in one call."""


class MLflowConfig(TrackerConfig):
    """Options of MLflow's tracker.

    Attributes:
        uri: Of the store or server; empty takes MLflow's own default, such as ``MLFLOW_TRACKING_URI``.
        experiment: Name of the experiment there; empty takes this one's.
    """

    uri: str = ""
    experiment: str = ""


@register_tracker("mlflow")
class MLflow(Tracker):
    """Runs, with parameters, errors and times, in an MLflow store."""

    Config: ClassVar[type[TrackerConfig]] = MLflowConfig
    package: ClassVar[str] = "mlflow"

    def log(self, run: FinishedRun) -> None:
        """Write a run, with the error of each lead as a metric whose steps are leads."""
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        client: Any = MlflowClient(tracking_uri=self.config.uri or None)
        tags = {"bench.run_id": run.run_id, "bench.status": run.status, "bench.reason": run.reason}
        made = client.create_run(self._experiment(client), tags=tags, run_name=run.name)
        key, begun = made.info.run_id, made.info.start_time
        params = [Param(name, str(value)) for name, value in run.parameters.items()]
        metrics = [Metric(name, value, begun, 0) for name, value in run.values.items()]
        for name, curve in run.curves.items():
            metrics += [Metric(name, value, begun, lead) for lead, value in enumerate(curve, start=1)]
        for first in range(0, max(len(params), len(metrics)), MOST_AT_ONCE):
            part = slice(first, first + MOST_AT_ONCE)
            client.log_batch(key, metrics=metrics[part], params=params[part])
        client.set_terminated(key, "FAILED" if run.status == "failed" else "FINISHED")

    def _experiment(self, client: Any) -> str:
        name = self.config.experiment or self.experiment
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id if found else client.create_experiment(name))
