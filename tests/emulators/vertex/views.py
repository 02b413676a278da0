"""Pipeline jobs as the API shows them: in full, as a list does, or by a read mask; enums as names or as numbers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.emulators.kfp.store import Document
from tests.emulators.kfp.times import NEVER

PROJECT_NUMBER = 123456789
STATES = {
    "UNSPECIFIED": 0, "QUEUED": 1, "PENDING": 2, "RUNNING": 3, "SUCCEEDED": 4, "FAILED": 5, "CANCELLING": 6, "CANCELLED": 7,
    "PAUSED": 8,
}  # fmt: skip
_TASK_STATES = {"PENDING": 1, "RUNNING": 2, "SUCCEEDED": 3, "CANCELLING": 5, "CANCELLED": 6, "FAILED": 7, "SKIPPED": 8}
_SPELLED = {"CANCELING": "CANCELLING", "CANCELED": "CANCELLED"}
"""The words of the part that executes, which it shares with the other server."""
_NEW_STATE = 42
_OOM_CODE = 137


def stamp(seconds: float) -> str:
    """A time as the API writes it, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def state_of(job: Document) -> str:
    """The state in the API's own words, without the prefix."""
    return _SPELLED.get(job["state"], str(job["state"]))


def resource_name(job: Document) -> str:
    """With the number of the project, whatever the caller called it."""
    return f"projects/{PROJECT_NUMBER}/locations/{job['location']}/pipelineJobs/{job['run_id']}"


def view(job: Document, *, tasks: list[Document] | None, numeric: bool) -> Document:
    """A job.

    Args:
        job: As it is stored.
        tasks: Those that its executor tells of; None in a list.
        numeric: Whether enums are numbers, as the generated client wants them.
    """
    state = state_of(job)
    shown: Document = {
        **job["body"],
        "name": resource_name(job),
        "createTime": job["created_at"],
        "updateTime": job["state_history"][-1]["update_time"],
        "state": STATES.get(state, _NEW_STATE) if numeric else f"PIPELINE_STATE_{state}",
    }
    if job["finished_at"] != NEVER:
        shown["endTime"] = job["finished_at"]
    if state in {"FAILED", "CANCELLED"}:
        shown["error"] = {"code": 9 if state == "FAILED" else 1, "message": _error(job, state, tasks or [])}
    if tasks is not None:
        shown["jobDetail"] = {"taskDetails": [_root(job, state, numeric=numeric), *_details(tasks, state, numeric=numeric)]}
    return shown


def masked(shown: Document, mask: str) -> Document:
    """Only the fields of a read mask, which are written with underscores."""
    names = {_camel(name.partition(".")[0]) for name in mask.split(",")}
    return {name: value for name, value in shown.items() if name in names} if mask else shown


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _error(job: Document, state: str, tasks: list[Document]) -> str:
    if state == "CANCELLED":
        return f"The pipeline job {job['run_id']} was cancelled."
    failed = ", ".join(str(task["task"]) for task in tasks if task.get("state") == "FAILED")
    where = f"Job (project_id = demo, job_id = {job['run_id']}) is failed due to the above error."
    return f"The DAG failed because some tasks failed. The failed tasks are: [{failed}].; {where}"


def _root(job: Document, state: str, *, numeric: bool) -> Document:
    return _detail(1, job["run_id"], state, numeric=numeric)


def _details(tasks: list[Document], state: str, *, numeric: bool) -> list[Document]:
    return [
        _detail(number, str(task["task"]), _task_state(task, state), numeric=numeric)
        | {"parentTaskId": "1"}
        | (_failure(task) if _task_state(task, state) == "FAILED" else {})
        for number, task in enumerate(tasks, start=2)
    ]


def _detail(number: int, name: str, state: str, *, numeric: bool) -> Document:
    return {"taskId": str(number), "taskName": name, "state": _TASK_STATES.get(state, 0) if numeric else state}


def _task_state(task: Mapping[str, Any], state: str) -> str:
    return str(task.get("state") or (state if state in {"CANCELLED", "FAILED"} else "RUNNING"))


def _failure(task: Mapping[str, Any]) -> Document:
    """What the service knows: how the replica ended, not what the step said."""
    if task.get("code") == _OOM_CODE:
        message = "The replica workerpool0-0 ran out-of-memory and exited with a non-zero status of 137."
    else:
        message = "The replica workerpool0-0 exited with a non-zero status of 1.\nTo find out more, please check the logs."
    return {"error": {"code": 9, "message": message}}
