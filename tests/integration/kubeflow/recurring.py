"""Recurring runs and pipelines that somebody else has put on the server."""

from datetime import datetime
from pathlib import Path
from typing import Any

import kfp_server_api as kfp
import yaml  # type: ignore[import-untyped]

from tests.emulators.kfp_server import KfpServer


class Stranger:
    """Somebody with a client of his own.

    Args:
        server: Where.
        package: A compiled pipeline.
    """

    def __init__(self, server: KfpServer, package: Path) -> None:
        configuration = kfp.Configuration(host=server.host)
        self._client = kfp.ApiClient(configuration)
        self._package = package
        self._service = kfp.RecurringRunServiceApi(self._client)

    def upload(self, pipeline: str) -> str:
        """Upload a pipeline; its id."""
        made = kfp.PipelineUploadServiceApi(self._client).upload_pipeline(
            str(self._package), name=pipeline, display_name=pipeline
        )
        return str(made.pipeline_id)

    def schedule(self, name: str, *, pipeline_id: str, **fields: Any) -> str:  # noqa: ANN401 - of the API
        """Make a recurring run; by cron unless an interval is given. Its id."""
        versions = kfp.PipelineServiceApi(self._client).pipeline_service_list_pipeline_versions(pipeline_id)
        version = versions.pipeline_versions[0].pipeline_version_id
        reference = kfp.V2beta1PipelineVersionReference(pipeline_id=pipeline_id, pipeline_version_id=version)
        return self._create(name, pipeline_version_reference=reference, **fields)

    def schedule_spec(self, name: str, *, pipeline: str, **fields: Any) -> str:  # noqa: ANN401 - of the API
        """Make a recurring run that carries its pipeline with it, under this name; its id."""
        spec = next(yaml.safe_load_all(self._package.read_text()))
        return self._create(name, pipeline_spec={**spec, "pipelineInfo": {"name": pipeline}}, **fields)

    def status(self, recurring_run_id: str) -> str:
        """Whether it is enabled, as the server says it."""
        return str(self._service.recurring_run_service_get_recurring_run(recurring_run_id).status)

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()

    def _create(
        self,
        name: str,
        *,
        cron: str = "0 0 3 1 * ?",
        interval_s: int | None = None,
        since: datetime | None = None,
        enabled: bool = True,
        **source: Any,  # noqa: ANN401 - as above
    ) -> str:
        trigger = kfp.V2beta1Trigger(cron_schedule=kfp.V2beta1CronSchedule(cron=cron))
        if interval_s is not None:
            every = kfp.V2beta1PeriodicSchedule(interval_second=str(interval_s), start_time=since)
            trigger = kfp.V2beta1Trigger(periodic_schedule=every)
        mode = kfp.RecurringRunMode.ENABLE if enabled else kfp.RecurringRunMode.DISABLE
        wanted = kfp.V2beta1RecurringRun(display_name=name, trigger=trigger, mode=mode, max_concurrency="1", **source)
        return str(self._service.recurring_run_service_create_recurring_run(wanted).recurring_run_id)
