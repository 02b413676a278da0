"""What strangers can send, each as one function of bytes that shows a defect or ends; hypothesis and atheris share them."""

import io
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from unicodedata import category

import structlog

from pipelines.cleaning import prepare
from pipelines.errors import BadDrop
from pipelines.parameters import DataSettings
from tests.builders import NOW
from tests.fuzz.replies import read_replies
from tests.unit.pipelines.builders import a_csv, a_tar, read
from trainer_daemon.adapters.registry.adapter import MlflowRegistry
from trainer_daemon.config import MlflowSettings, load_settings
from trainer_daemon.errors import ConfigError
from trainer_daemon.policy.events import Event, Rejection
from trainer_daemon.policy.notifications import FORMAT, Message, Route, read_message
from trainer_daemon.policy.objects import place_of
from trainer_daemon.policy.runs import run_key, run_name
from trainer_daemon.telemetry.logging import configure_logging

ROUTE = Route(model="churn", place=place_of("gs://drops/in", "churn_data_{period}.csv"))
SECRET = "hunter2"  # noqa: S105 - made up
_PASSWORD = re.compile(rb"(ann:|\?token=)hunter2(?=[@\"])")
RUN_KEY = "k" * 64
_NAME = re.compile(r"[a-z0-9-]{1,63}")


def check_csv(data: bytes) -> None:
    """A drop: rows to train on, or a sentence about what is wrong with it."""
    try:
        prepare([read(data, max_bytes=1 << 22)], DataSettings(), None)
    except BadDrop as exc:
        check_sentence(exc.reason)


def check_message(data: bytes) -> None:
    """A message of Pub/Sub, as lines of `attribute=value`, an empty one, and the body."""
    head, _, body = data.partition(b"\n\n")
    pairs = (line.partition("=") for line in head.decode("utf-8", "surrogateescape").split("\n"))
    message = Message(id="m1", attributes={key: value for key, _, value in pairs}, data=body, published_at=NOW)
    reading = read_message(message, (ROUTE,), subscription="projects/p/subscriptions/s")
    check_line(reading.why, message.subject)
    for record in reading.records:
        if isinstance(record, Rejection):
            check_sentence(record.why, record.subject, record.event.id)
        else:
            check_event(record)


def check_event(event: Event) -> None:
    """An event that is recorded: of the configured place, with runs whose names are plain."""
    drop = event.drop
    assert drop is not None
    check_sentence(event.id, drop.uri, drop.period, drop.checksum)
    assert re.fullmatch(r"gs://drops/in/churn_data_[0-9]{4}[-_]?[0-9]{2}(\.csv|\.csv\.gz|\.tar\.gz)", drop.uri)
    key = run_key(model=event.model, drops=(drop,), pipeline_digest="d", parameters={})
    folder = Path("/workspace/runs")
    name = run_name(event.model, drop.period, key, 1)
    assert _NAME.fullmatch(name)
    assert (folder / name).resolve().parent == folder


def check_config(data: bytes) -> None:
    """A configuration file: settings, or sentences; none tells a password, unless it stands where nobody can tell it is one."""
    is_recognisable = SECRET.encode() not in _PASSWORD.sub(b"", data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trainer.toml"
        path.write_bytes(data)
        try:
            load_settings(path, {})
        except ConfigError as exc:
            for problem in exc.problems:
                check_sentence(problem if is_recognisable else problem.replace(SECRET, ""))


def check_evaluation(data: bytes) -> None:
    """What MLflow says of a run, as JSON texts of the operations' replies: an outcome that any database can store."""
    texts = (data.decode("utf-8", "replace").split("\n\x1e\n") + [""] * 5)[:5]
    log = structlog.testing.CapturingLogger()
    registry = MlflowRegistry(MlflowSettings(), log=structlog.wrap_logger(log, processors=[]))
    registry._worker = _Replies(*texts)  # type: ignore[assignment]
    outcome = registry.outcome("churn", RUN_KEY)
    assert outcome.evaluation or set(outcome.evaluation_json) <= {"error"}
    check_sentence(outcome.rolled_back, *(_words(outcome.failure) if outcome.failure else ()))
    champion = registry.champion("churn")
    assert champion is not None
    assert len(champion.period) in {0, 7}
    for document in (outcome.evaluation_json, champion.schema, champion.run_key):
        text = json.dumps(document, ensure_ascii=False)
        text.encode()
        assert "\\u0000" not in text.replace("\\\\", "")
    for call in log.calls:
        check_line(*call.args, **call.kwargs)


class _Replies:
    """The registry's worker, with replies that a stranger has written into MLflow."""

    def __init__(self, evaluation: str, failure: str, decision: str, schema: str, tag: str) -> None:
        outcome = {"versions": ["1"], "evaluation": evaluation, "failure": failure, "decision": decision, "rolled_back": tag}
        self._replies = {
            "outcome": outcome,
            "champion": {"champion": {"version": "1", "run_key": tag, "period": tag, "schema": schema}},
        }

    def call(self, operation: str, **_: object) -> Mapping[str, Any]:
        """The reply of an operation."""
        return cast("Mapping[str, Any]", self._replies[operation])


def _words(failure: Any) -> tuple[str, ...]:  # noqa: ANN401 - any failure
    return failure.step, failure.kind, failure.reason, failure.drop


def check_sentence(*sentences: str) -> None:
    """Words that are shown, kept and logged: one line, no control character, any encoding and any database, no secret."""
    for sentence in sentences:
        sentence.encode()
        assert not any(category(character) in {"Cc", "Zl", "Zp"} for character in sentence), sentence
        assert SECRET not in sentence
    check_line(*sentences)


def check_line(*words: str, **more: object) -> None:
    """Whatever is logged is one line of JSON."""
    stream = io.StringIO()
    configure_logging(level="info", format="json", stream=stream).info("a_b", words=words, more=more)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "a_b"


def _a_message(name: str = "in/churn_data_2025_03.csv", body: str | None = None) -> bytes:
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "drops",
        "objectId": name,
        "objectGeneration": "7",
        "payloadFormat": FORMAT,
    }
    resource = {"name": name, "generation": "7", "crc32c": "SZ2HxQ==", "size": "8", "timeCreated": NOW.isoformat()}
    head = "\n".join(f"{key}={value}" for key, value in attributes.items())
    return f"{head}\n\n{json.dumps(resource) if body is None else body}".encode("utf-8", "surrogateescape")


_EVALUATION = {
    "format": 2,
    "run_key": RUN_KEY,
    "attempt": 1,
    "holdout": {"rows": 200, "positives": 50},
    "candidate": {"metrics": {"roc_auc": 0.8}},
    "champion": {"version": "3", "metrics": {"roc_auc": 0.7}},
    "evaluated_at": "2025-04-03T02:10:00+00:00",
    "differences": {"metrics": {"roc_auc": {"quantiles": [-0.1, 0.0, 0.1], "defined": 1.0}}},
    "slices": {
        "found": [{"column": "c", "value": "a", "rows": 90, "candidate": {"f1": None}, "champion": {"f1": 0.1}}],
        "absent": [],
        "min_rows": 50,
    },
    "drift": {"columns": {"Tenure": {"psi": 0.3}}, "score": {"psi": 0.1}, "error": ""},
    "feature_auc": {"Tenure": 0.75},
}
_FAILURE = {"attempt": 1, "step": "load", "kind": "bad_drop", "reason": "it is bad", "drop": "gs://drops/in/a#1"}
_CONFIG = f"""ledger = "postgresql+psycopg://ann:{SECRET}@db:5432/trainer"
max_parallel_runs = 2
[mlflow]
tracking_uri = "http://ann:{SECRET}@mlflow:5000"
[[models]]
name = "churn"
bucket = "drops"
[models.ranges]
Tenure = [0, 72.5]
[[notifications]]
name = "chat"
url = "https://ann:{SECRET}@chat.example/hook?token={SECRET}"
"""


def _replies_of_mlflow(*texts: object) -> bytes:
    return "\n\x1e\n".join(text if isinstance(text, str) else json.dumps(text) for text in texts).encode()


_RUN = {
    "run_id": "r1",
    "display_name": "churn-1",
    "experiment_id": "e",
    "state": "FAILED",
    "created_at": "2026-11-21T09:00:00Z",
    "finished_at": "1970-01-01T00:00:00Z",
    "error": {"code": 3, "message": "no"},
    "run_details": {
        "task_details": [{"task_id": "t", "display_name": "train", "state": "FAILED", "child_tasks": [{"pod_name": "p"}]}]
    },
}
_WORKING = [
    {"task_id": "t", "display_name": "train", "state": "RUNNING", "child_tasks": [{"task_id": "u"}]},
    {"task_id": "u", "display_name": "executor", "state": "RUNNING", "parent_task_id": "t"},
]
_JOB = {
    "name": "projects/p/locations/l/pipelineJobs/churn-1",
    "displayName": "churn-1",
    "state": "PIPELINE_STATE_FAILED",
    "createTime": "2026-11-21T09:00:00Z",
    "endTime": "2026-11-21T09:10:00.5Z",
    "labels": {"trainer_daemon": "run"},
    "error": {"code": 3, "message": "no"},
    "jobDetail": {"taskDetails": [{"taskId": "1", "taskName": "train", "state": "FAILED", "error": {"message": "no"}}]},
}
_RECURRING = {
    "recurring_run_id": "1",
    "display_name": "nightly",
    "status": "ENABLED",
    "created_at": "2026-11-21T09:00:00Z",
    "trigger": {"periodic_schedule": {"interval_second": "60", "start_time": "2026-11-21T09:00:00Z"}},
    "pipeline_spec": {"pipelineInfo": {"name": "training"}},
}
_LISTS = {
    "experiments": [{"experiment_id": "e", "display_name": "x"}],
    "runs": [_RUN],
    "recurringRuns": [_RECURRING],
    "pipelineJobs": [_JOB],
}


def _a_reply(body: object, status: int = 200, retry_after: str = "", kind: str = "application/json; charset=utf-8") -> bytes:
    return f"{status}|{retry_after}|{kind}\n{json.dumps(body)}".encode()


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "csv": check_csv,
    "message": check_message,
    "config": check_config,
    "evaluation": check_evaluation,
    "reply": lambda data: check_sentence(*read_replies(data)),
}
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "csv": (a_csv(60), a_tar({"a.csv": a_csv(40), "b.csv": a_csv(30)}), b'\xef\xbb\xbfa;b\r\n1,5;"x\r\ny"\r\n'),
    "message": (_a_message(), _a_message("in/../../etc/churn_data_2025_13.csv"), _a_message(body="[]")),
    "config": (_CONFIG.encode(), b'[[models]]\nname = "a"\nbucket = "gs://drops/in"\n'),
    "evaluation": (_replies_of_mlflow(_EVALUATION, _FAILURE, {"verdict": "promote", "run": "r"}, {"columns": {}}, "2025-03"),),
    "reply": (
        _a_reply(_LISTS),
        _a_reply(_RUN | _JOB),
        _a_reply({"error": {"message": "no", "details": []}}, 429, "7"),
        _a_reply(_RUN | {"state": "RUNNING", "run_details": {"task_details": _WORKING}}),
        _a_reply(
            _JOB | {"state": "PIPELINE_STATE_RUNNING", "jobDetail": {"taskDetails": [{"taskName": "t", "state": "RUNNING"}]}}
        ),
    ),
}
