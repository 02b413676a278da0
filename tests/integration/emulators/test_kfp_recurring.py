from typing import Any

import pytest
from kfp_server_api import ApiException

from tests.integration.emulators.kfp_lab import Lab, where


def create(lab: Lab, name: str = "monthly", **schedule: Any) -> Any:  # noqa: ANN401 - models of the client
    """Create a recurring run of an uploaded pipeline."""
    pipeline_id, version_id = lab.upload(f"pipeline-of-{name}")
    return lab.client.create_recurring_run(
        lab.experiment(), name, pipeline_id=pipeline_id, version_id=version_id, params={"out": "x"}, **schedule
    )


def test_a_recurring_run_is_kept_with_its_schedule(lab: Lab) -> None:
    """Cron expressions begin with the seconds."""
    made = create(lab, cron_expression="0 30 2 1 * *")

    found = lab.client.get_recurring_run(made.recurring_run_id)
    (listed,) = lab.client.list_recurring_runs(experiment_id=lab.experiment()).recurring_runs
    assert found.trigger.cron_schedule.cron == "0 30 2 1 * *"
    assert found.runtime_config.parameters == {"out": "x"}
    assert found.pipeline_version_reference.pipeline_id == lab.client.get_pipeline_id("pipeline-of-monthly")
    assert (found.status, found.mode, found.max_concurrency) == ("ENABLED", "ENABLE", "1")
    assert listed == found


def test_recurring_runs_are_switched_and_deleted(lab: Lab) -> None:
    """Its status tells."""
    identity = create(lab, interval_second=3600).recurring_run_id

    lab.client.disable_recurring_run(identity)
    assert lab.client.get_recurring_run(identity).status == "DISABLED"
    lab.client.enable_recurring_run(identity)
    assert lab.client.get_recurring_run(identity).status == "ENABLED"
    lab.client.delete_recurring_run(identity)
    with pytest.raises(ApiException, match="404"):
        lab.client.get_recurring_run(identity)


@pytest.mark.parametrize("cron", ["30 2 1 * *", "0 30 2 1 * * *", "0 30 2 ~ * *"])
def test_a_wrong_cron_expression_is_refused(lab: Lab, cron: str) -> None:
    """Five fields are wrong here."""
    with pytest.raises(ApiException, match="not a valid cron expression") as caught:
        create(lab, cron_expression=cron)

    assert caught.value.status == 400


def test_recurring_runs_are_filtered_by_name(lab: Lab) -> None:
    """As all lists."""
    create(lab, "monthly", interval_second=60)
    create(lab, "weekly", interval_second=60, enabled=False)

    (found,) = lab.client.list_recurring_runs(filter=where("display_name", "weekly")).recurring_runs
    assert (found.display_name, found.status) == ("weekly", "DISABLED")
