"""MLflow's model registry, asked over stdin and stdout: a JSON object a line, answered by the seconds that it took.

Runs in an environment of its own (see ``against_mlflow``); imports nothing of lorarack.
"""

import hashlib
import json
import logging
import os
import sys
import time
import warnings

os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
logging.disable(logging.WARNING)
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402


class Side:
    """The operations, as MLflow's users write them."""

    def __init__(self, home: str) -> None:
        store = f"sqlite:///{home}/mlflow.db"
        self.client = MlflowClient(store, registry_uri=store)
        self.experiment = self.client.create_experiment("bench", artifact_location=f"file://{home}/artifacts")
        self.client.create_registered_model("support")

    def publish_safely(self, folder: str, team: str, loss: float) -> None:
        """The same, and then what MLflow leaves out: the copy's digests, and fsync of its files and folders."""
        place = self.publish(folder, team, loss)
        for root, _, names in os.walk(place):
            for name in names:
                with open(os.path.join(root, name), "rb") as file:
                    hashlib.file_digest(file, "sha256")
                    os.fsync(file.fileno())
            handle = os.open(root, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)

    def publish(self, folder: str, team: str, loss: float) -> str:
        """Artifacts, a metric, a version with a tag; where the artifacts lie."""
        run = self.client.create_run(self.experiment).info
        self.client.log_metric(run.run_id, "eval_loss", loss)
        self.client.log_artifacts(run.run_id, folder, "model")
        source = f"{run.artifact_uri}/model"
        self.client.create_model_version("support", source, run.run_id, tags={"team": team})
        return source.removeprefix("file://")

    def alias(self, version: int) -> None:
        """Move alias ``prod``."""
        self.client.set_registered_model_alias("support", "prod", str(version))

    def resolve(self) -> None:
        """What ``prod`` names."""
        assert self.client.get_model_version_by_alias("support", "prod").version

    def search(self, team: str) -> None:
        """The newest 20 versions with a tag."""
        query = f"name = 'support' and tag.team = '{team}'"
        found = self.client.search_model_versions(query, max_results=20, order_by=["creation_timestamp DESC"])
        assert len(found) > 0


def main(home: str) -> None:
    """Answer until stdin ends."""
    side = Side(home)
    print(json.dumps({"mlflow": mlflow.__version__}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        work = getattr(side, asked.pop("do"))
        start = time.perf_counter()
        work(**asked)
        print(json.dumps(time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
