"""Pipelines that train nothing; `python -m tests.acceptance.light_pipelines OUT` compiles them.

`obeying` does what its drop says. `registering` leaves what a training leaves in MLflow - run, evaluation, schema, version -
by a few requests, without importing MLflow.
"""

import sys

from kfp import compiler, dsl

_LIGHT = {"packages_to_install": [], "install_kfp_package": False, "base_image": "python:3.11"}


@dsl.component(**_LIGHT)  # type: ignore[untyped-decorator]
def obey(drops: list, attempt: int, artifact: dsl.Output[dsl.Artifact]) -> None:  # type: ignore[type-arg]
    """Read the newest drop's words: `hoard` takes memory without end, `bulky` writes twelve megabytes, `flaky` fails once."""
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    words = Path(unquote(urlsplit(drops[-1]["uri"]).path)).read_text(encoding="utf-8")
    if "hoard" in words:
        hoard = []
        while True:
            hoard.append(bytearray(b"x") * 2**24)
    if "flaky" in words and attempt == 1:
        raise ValueError(words)
    Path(artifact.path).write_bytes(b"x" * (12_000_000 if "bulky" in words else 1))


@dsl.component(**_LIGHT)  # type: ignore[untyped-decorator]
def register(
    tracking_uri: str,
    experiment: str,
    model: str,
    run_key: str,
    attempt: int,
    champion_version: str,
    drops: list,  # type: ignore[type-arg]
) -> None:
    """Register one version per key, better than the champion in two months of three; a server that is down is waited for."""
    import json
    import time
    import urllib.error
    import urllib.parse
    import urllib.request

    # kfp copies this function alone, without what is around it

    def ask(method: str, path: str, body: object = None) -> dict:  # type: ignore[type-arg]
        """The answer; empty when there is no such thing."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        address = f"{tracking_uri}/api/2.0/{path}"
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as exc:
            if exc.code < 500:
                return {}
            raise

    def register_once() -> None:
        """Find first, then make: the reply to an earlier try may have been lost."""
        query = f"mlflow/experiments/get-by-name?experiment_name={experiment}"
        if not (found := ask("GET", query)):
            ask("POST", "mlflow/experiments/create", {"name": experiment})
            found = ask("GET", query)
        experiment_id = found["experiment"]["experiment_id"]
        wanted = {"experiment_ids": [experiment_id], "filter": f"tags.`trainer.run_key` = '{run_key}'"}
        tags = [{"key": "trainer.run_key", "value": run_key}, {"key": "trainer.period", "value": drops[-1]["period"]}]
        start = {"experiment_id": experiment_id, "start_time": 1, "tags": tags}
        runs = ask("POST", "mlflow/runs/search", wanted).get("runs")
        info = (runs[0] if runs else ask("POST", "mlflow/runs/create", start)["run"])["info"]
        month = int(drops[-1]["period"][:4]) * 12 + int(drops[-1]["period"][5:])
        metrics = {"log_loss": 0.9 if month % 3 == 0 else 0.5, "roc_auc": 0.8}
        champion = {"version": champion_version, "metrics": {"log_loss": 0.6, "roc_auc": 0.8}} if champion_version else None
        document = {"format": 1, "run_key": run_key, "attempt": attempt, "holdout": {"rows": 200}}
        document |= {"candidate": {"metrics": metrics}, "champion": champion}
        place = "mlflow-artifacts/artifacts/" + info["artifact_uri"].removeprefix("mlflow-artifacts:/").lstrip("/")
        ask("PUT", f"{place}/evaluation.json", json.dumps(document).encode())
        ask("PUT", f"{place}/schema.json", b'{"columns": {"a": "numeric"}}')
        ask("POST", "mlflow/registered-models/create", {"name": model})
        names = urllib.parse.quote(f"name = '{model}' and tags.`trainer.run_key` = '{run_key}'")
        if not ask("GET", f"mlflow/model-versions/search?filter={names}").get("model_versions"):
            version = {"name": model, "source": f"{info['artifact_uri']}/model", "run_id": info["run_id"], "tags": tags}
            assert ask("POST", "mlflow/model-versions/create", version)

    deadline = time.monotonic() + 120
    while True:
        try:
            return register_once()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


@dsl.pipeline(name="obeying")  # type: ignore[untyped-decorator]
def obeying(drops: list, attempt: int) -> None:  # type: ignore[type-arg]
    """One step."""
    obey(drops=drops, attempt=attempt)


@dsl.pipeline(name="registering")  # type: ignore[untyped-decorator]
def registering(
    tracking_uri: str,
    experiment: str,
    model: str,
    run_key: str,
    attempt: int,
    champion_version: str,
    drops: list,  # type: ignore[type-arg]
) -> None:
    """One step."""
    register(
        tracking_uri=tracking_uri,
        experiment=experiment,
        model=model,
        run_key=run_key,
        attempt=attempt,
        champion_version=champion_version,
        drops=drops,
    )


if __name__ == "__main__":
    for pipeline in (obeying, registering):
        compiler.Compiler().compile(pipeline, f"{sys.argv[1]}/{pipeline.name}.yaml")
