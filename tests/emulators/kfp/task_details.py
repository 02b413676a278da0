"""The tasks of a run as the API tells them: a root with its driver, and for each task a driver and the task itself."""

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.emulators.kfp.store import Document
from tests.emulators.kfp.times import NEVER, timestamp

_OOM_CODE = 137


def task_details(run: Mapping[str, Any], events: Path) -> list[Document]:
    """What is known of the tasks.

    Args:
        run: The run, as the API shows it.
        events: The file that its executor writes; it need not exist.
    """
    if not events.exists():
        return []
    tasks = list(tasks_of(events))
    root = _detail(run, "root", state=run["state"], start=tasks[0]["time"] if tasks else None)
    root |= {"end_time": run["finished_at"]} if run["finished_at"] != NEVER else {}
    driver = _detail(run, "root-driver", state="SUCCEEDED", start=root["start_time"]) | _child_of(root)
    below = [each | _child_of(root) for number, task in enumerate(tasks) for each in _pair(run, number, task)]
    root["child_tasks"] = [{"task_id": each["task_id"]} for each in (driver, *below)]
    return [root, driver, *below]


def tasks_of(path: Path) -> Iterator[Document]:
    """One entry per task: its name and start, and, if it has ended, its end."""
    begun: dict[int, Document] = {}
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):  # otherwise it is being written
            event = json.loads(line)
            ended = {"end": event["time"], "state": event["state"], "code": event["code"]} if "state" in event else event
            begun.setdefault(event["number"], {}).update(ended)
    yield from begun.values()


def _pair(run: Mapping[str, Any], number: int, task: Document) -> Iterator[Document]:
    name, start = str(task["task"]), task["time"]
    yield _detail(run, f"{name}-driver", state="SUCCEEDED", start=start, number=number, end=start)
    state = task.get("state") or (
        "CANCELED" if run["state"] == "CANCELED" else "FAILED" if run["state"] == "FAILED" else "RUNNING"
    )
    detail = _detail(run, name, state=state, start=start, number=number, end=task.get("end"))
    if state == "FAILED":
        detail["error"] = {"code": 2, "message": _message(task.get("code", 1))}
    yield detail


def _message(code: int) -> str:
    """What a cluster knows: the exit code of the pod, not what the step said."""
    return f"OOMKilled (exit code {_OOM_CODE})" if code == _OOM_CODE else "Error (exit code 1)"


def _detail(
    run: Mapping[str, Any], name: str, *, state: str, start: float | str | None, number: int = 0, end: float | None = None
) -> Document:
    started = start if isinstance(start, str) else timestamp(start) if start else run["created_at"]
    detail = {
        "run_id": run["run_id"],
        "task_id": str(uuid.uuid5(uuid.UUID(run["run_id"]), f"{name} {number}")),
        "display_name": name,
        "create_time": run["created_at"],
        "start_time": started,
        "state": state,
        "state_history": [{"update_time": started, "state": state}],
    }
    return detail | ({"end_time": timestamp(end)} if end else {})


def _child_of(parent: Document) -> Document:
    return {"parent_task_id": parent["task_id"]}
