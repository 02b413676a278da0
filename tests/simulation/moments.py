"""What must hold at every moment; cheap enough to be asked after every step. Pure but for reading."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.simulation.quick import Quick
from tests.simulation.services import Cluster, SimulatedRegistry
from trainer_daemon.policy.notifications import Message

Wrong = Iterator[tuple[str, str]]
"""Name of the invariant and how it shows."""

OVERTAKEN = frozenset({"ended_runs_are_never_promoted", "replaced_bytes_are_never_promoted"})
"""What somebody's wish that is recorded a moment too late breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A daemon is about to move the alias."""

    key: str
    version: str
    expected: str


def wrong_with_ack(ledger: sqlite3.Connection, event_id: str) -> Wrong:
    """A message is acknowledged only after its event was committed."""
    if ledger.execute("SELECT 1 FROM event WHERE id = ?", (event_id,)).fetchone() is None:
        yield "acknowledged_messages_are_recorded", f"{event_id} is acknowledged and not in the ledger"


def wrong_with_warnings(lines: Sequence[Mapping[str, object]], heard: Sequence[Message]) -> Wrong:
    """Nobody calls a drop missed by notification whose notification somebody had written down and acknowledged before (G1)."""
    for line in lines:
        if line["event"] != "drop_missed_by_notification":
            continue
        generation = str(line["drop"]).rpartition("#")[2]
        if any(message.attributes["objectGeneration"] == generation for message in heard):
            yield "no_drop_is_missed_falsely", f"{line['drop']} is said to be missed by notification, and was notified"


def wrong_with_runs(cluster: Cluster, registry: SimulatedRegistry) -> Wrong:
    """Names are executed once, and a key has one version."""
    if max(cluster.executed.values(), default=0) > 1:
        for name, times in cluster.executed.items():
            if times > 1 + cluster.vanished[name]:
                yield "names_are_executed_once", f"{name} was started {times} times and deleted {cluster.vanished[name]} times"
    if max(registry.created.values(), default=0) > 1:
        for key, versions in registry.created.items():
            if versions > 1:
                yield "one_version_per_run_key", f"{versions} versions of {key}"


def wrong_with_holders(holders: Sequence[str]) -> Wrong:
    """Of several daemons one at most believes that it may act (G9)."""
    if len(holders) > 1:
        yield "one_holder_at_a_time", f"{' and '.join(holders)} all hold the lease"


def wrong_with_executions(ledger: Quick, cluster: Cluster) -> Wrong:
    """What the ledger calls ended does not go on, and it knows of one run at a time.

    A run that was submitted by a process that died before it wrote so is QUEUED; it is adopted when it is its turn.
    """
    known: dict[str, str] = dict(ledger.look('SELECT "key", state FROM run'))
    states = {execution.request.name: known[execution.request.parameters["run_key"]] for execution in cluster.running}
    for name, state in states.items():
        if state not in {"QUEUED", "RUNNING"}:
            yield "ended_runs_do_not_run", f"{name} runs, the ledger says it is {state}"
    if sum(state == "RUNNING" for state in states.values()) > 1:
        yield "one_run_at_a_time", f"{', '.join(states)} run"


def wrong_with_promotion(ledger: sqlite3.Connection, promotion: Promotion) -> Wrong:
    """It was decided, with evidence, against this champion; its bytes are current, and nobody has asked to end the run."""
    query = """
        SELECT d.verdict, d.champion_version, d.evaluation, r.ending FROM run r
        LEFT JOIN decision d ON d.run_key = r.key AND d.attempt = r.attempt WHERE r.key = ?"""
    verdict, champion, evaluation, ending = ledger.execute(query, (promotion.key,)).fetchone() or ("", "", "{}", "")
    told = f"version {promotion.version} is to replace {promotion.expected or 'nobody'}"
    if (verdict, champion) != ("promote", promotion.expected):
        yield "promotions_are_decided_first", f"{told}, the ledger says {verdict} against {champion or 'nobody'}"
    elif evaluation == "{}":
        yield "promotions_have_evidence", f"{told}, and the decision has no evaluation"
    if ending:
        yield "ended_runs_are_never_promoted", f"{told}, but its run is to end {ending}"
    query = """
        SELECT r.uri, r.checksum, c.checksum FROM run_drop r
        JOIN current_drop c ON c.uri = r.uri AND c.checksum <> r.checksum WHERE r.run_key = ?"""
    for uri, before, now in ledger.execute(query, (promotion.key,)):
        yield "replaced_bytes_are_never_promoted", f"{told}, but {uri} was {before} and {now} is recorded"
