"""What the API says of recurring runs, as values. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trainer_daemon.adapters.kubeflow.understanding import identity
from trainer_daemon.policy.recurring import Cron, Every, RecurringRun
from trainer_daemon.remote.runs import one_line


def pipeline_id_of(made: Any) -> str:  # noqa: ANN401 - a model of an untyped library
    """The pipeline that it references; empty when it carries a spec of its own."""
    reference = made.pipeline_version_reference
    return (reference.pipeline_id or "") if reference else ""


def recurring_run(made: Any, pipeline: str) -> RecurringRun:  # noqa: ANN401 - as above
    """A recurring run.

    Args:
        made: As the generated client shows it.
        pipeline: Name of the pipeline that it references; empty when it carries a spec of its own.
    """
    trigger = made.trigger
    schedule = trigger and (trigger.cron_schedule or trigger.periodic_schedule)
    return RecurringRun(
        id=identity("recurring_run_id", made.recurring_run_id),
        name=one_line(made.display_name or ""),
        is_enabled=made.status != "DISABLED",
        trigger=_trigger(trigger, made.created_at) if trigger else None,
        pipeline=one_line(pipeline or _name_in(made.pipeline_spec)),
        starts_at=schedule.start_time if schedule else None,
        ends_at=schedule.end_time if schedule else None,
    )


def _trigger(trigger: Any, created_at: datetime) -> Cron | Every | None:  # noqa: ANN401 - as above
    """An interval begins where the recurring run does, or when it was made."""
    if trigger.cron_schedule:
        return Cron(expression=one_line(trigger.cron_schedule.cron or ""))
    if trigger.periodic_schedule:
        every = trigger.periodic_schedule
        return Every(interval_s=int(every.interval_second or 0), since=every.start_time or created_at)
    return None


def _name_in(spec: Any) -> str:  # noqa: ANN401 - JSON
    """What a pipeline calls itself; with demands on a platform it is one level deeper."""
    if not isinstance(spec, Mapping):
        return ""
    info = spec.get("pipeline_spec", spec).get("pipelineInfo") or {}
    return str(info.get("name", ""))
