"""Vitals as metrics, so that what Kubernetes sees can be alerted on and looked at later."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trainer_daemon.telemetry.vitals import Vitals


class VitalsMetrics(Collector):
    """Reads the vitals when it is scraped."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        """How late every loop is, and whether every part can be reached."""
        late = GaugeMetricFamily(
            "trainer_loop_late_seconds", "How long ago a loop should have moved on; 0 while there is time.", labels=["loop"]
        )
        for name, seconds in self._vitals.lateness().items():
            late.add_metric([name], seconds)
        reachable = GaugeMetricFamily(
            "trainer_part_reachable", "Whether something that the daemon needs can be reached: 1 or 0.", labels=["part"]
        )
        for name, problem in self._vitals.problems().items():
            reachable.add_metric([name], not problem)
        yield from (late, reachable)
