"""What must hold of a history that has settled: one pure function per promise, which says how it was broken, if it was."""

from collections import Counter
from collections.abc import Callable, Iterator

from tests.simulation import operators
from tests.simulation.facts import Facts, RunRow
from trainer_daemon.policy.runs import MOVES, RunState

Invariant = Callable[[Facts], Iterator[str]]
OVER = frozenset({"PROMOTED", "REJECTED", "QUARANTINED", "SUPERSEDED", "CANCELED", "FAILED"})
TOLD = {
    "run_queued": "QUEUED",
    "run_lost": "QUEUED",
    "run_reevaluated": "QUEUED",
    "run_submitted": "RUNNING",
    "run_adopted": "RUNNING",
    "run_trained": "TRAINED",
    "run_failed": "FAILED",
    "drop_quarantined": "QUARANTINED",
    "run_superseded": "SUPERSEDED",
    "run_canceled": "CANCELED",
    "candidate_promoted": "PROMOTED",
    "candidate_rejected": "REJECTED",
}
"""Which state the line of each log event tells of."""
_KEY_SHOWN = 12


def every_drop_is_found(facts: Facts) -> Iterator[str]:
    """Whatever is in the bucket is in the ledger, its notification or not (G1)."""
    for stored in facts.storage.objects.values():
        if stored.event_id not in facts.events:
            yield f"{stored.drop.ref} is in the bucket and not in the ledger"


def missed_notifications_are_told(facts: Facts) -> Iterator[str]:
    """A drop that was never announced, although somebody listened, has its line (G1); what awaits it dies with the process.

    An upload while the first stream is being opened is found and needs no line: whether its notification ought to have
    come is known to nobody, since the service opens the stream at a moment of its own, before the daemon hears of it.
    """
    since = facts.mail.heard_since
    if since is None or facts.tally.kills or facts.tally.jumps or facts.lines_lost:
        return
    told = {line.event_id for line in facts.lines if line.event == "drop_missed_by_notification"}
    announced = {message.attributes["objectGeneration"] for message in [*facts.mail.acked, *facts.mail.waiting]}
    for stored in facts.storage.uploads:
        event = facts.events.get(stored.event_id)
        silent = stored.created_at > since and stored.drop.generation not in announced
        if silent and event is not None and event.source == "listing" and event.id not in told:
            yield f"{stored.drop.ref} was found by a listing only, and nobody said so"


def every_version_is_recorded_once(facts: Facts) -> Iterator[str]:
    """Redelivery and listings make no second event of one version (G1)."""
    events = Counter(event_id for event_id, row in facts.events.items() if row.kind == "drop")
    if len(events) > len(facts.storage.uploads):
        yield f"{len(events)} drop events of {len(facts.storage.uploads)} uploads: {', '.join(sorted(events))}"


def every_event_is_settled(facts: Facts) -> Iterator[str]:
    """Nothing waits for ever (G1)."""
    for row in facts.events.values():
        if row.outcome == "pending":
            yield f"{row.id} is still pending"


def every_run_is_over(facts: Facts) -> Iterator[str]:
    """Nothing is stuck, and what is to end has ended."""
    for run in facts.runs.values():
        final = run.state != "FAILED" or run.attempt >= run.attempts_max
        if run.state not in OVER or not final or run.ending:
            told = f"attempt {run.attempt} of {run.attempts_max} is {run.state}, to end {run.ending or 'nowhere'}"
            yield f"run {_shown(run)} {told}"


def every_drop_has_an_outcome(facts: Facts) -> Iterator[str]:
    """What is in the bucket was trained and decided, or somebody said why not (G1, G2)."""
    for stored in facts.storage.objects.values():
        event = facts.events.get(stored.event_id)
        explained = event is None or (event.outcome in {"skipped", "rejected", "quarantined"} and event.why)
        if explained:
            continue
        content = (stored.drop.uri, stored.drop.checksum)
        runs = [run for run in facts.runs.values() if content in facts.drops[run.key]]
        if not any(_is_outcome(run, is_target=facts.drops[run.key][-1] == content) for run in runs):
            told = ", ".join(f"{_shown(run)} {run.state} ({run.error})" for run in runs) or "no run"
            yield f"{stored.drop.ref} has {told}"


def _is_outcome(run: RunRow, *, is_target: bool) -> bool:
    """Whether the end of a run says what became of one of its drops."""
    return (
        "backlog" in run.error if run.state == "SUPERSEDED" else run.state in OVER and (is_target or run.state != "QUARANTINED")
    )


def equal_bytes_are_trained_once(facts: Facts) -> Iterator[str]:
    """Only an operator who insists gets a second run of the same drop (G2)."""
    if facts.setting.window_months > 1:
        return  # the same drop is in several windows
    targets = Counter(drops[-1] for key, drops in facts.drops.items() if not facts.events[facts.runs[key].event_id].force)
    for (uri, checksum), runs in targets.items():
        if runs > 1:
            yield f"{uri} {checksum} has {runs} runs"


def good_drops_are_never_quarantined(facts: Facts) -> Iterator[str]:
    """A run is quarantined only for its own drop, not for an earlier one of its window, and an event only for its own (G7)."""
    bad = {(stored.drop.uri, stored.drop.checksum) for stored in facts.storage.uploads if stored.is_bad}
    for run in facts.runs.values():
        if run.state == "QUARANTINED" and facts.drops[run.key][-1] not in bad:
            yield f"run {_shown(run)} is QUARANTINED: {run.error}"
    events = {stored.event_id for stored in facts.storage.uploads if stored.is_bad}
    for event in facts.events.values():
        if event.outcome == "quarantined" and event.id not in events:
            yield f"{event.id} is quarantined: {event.why}"


def bad_drops_are_never_decided(facts: Facts) -> Iterator[str]:
    """And they have no version (G7, G10)."""
    bad = {(stored.drop.uri, stored.drop.checksum) for stored in facts.storage.uploads if stored.is_bad}
    for run in facts.runs.values():
        if run.state == "PROMOTED" and bad & set(facts.drops[run.key]):
            yield f"run {_shown(run)} is PROMOTED"


def alias_and_ledger_agree(facts: Facts) -> Iterator[str]:
    """Whoever moved the alias, the ledger knows where it is (G5)."""
    known = facts.reigns[-1].version if facts.reigns else ""
    alias = facts.registry.aliases.get("champion", "")
    if known != alias:
        yield f"the alias is on {alias or 'nobody'}, the ledger knows {known or 'nobody'}"


def nobody_is_suspected_falsely(facts: Facts) -> Iterator[str]:
    """The daemon's own moves are never taken for somebody else's, whatever crashed (G5)."""
    if facts.tally.late_promotions:
        return  # it had given up on that one; from outside it looks the same
    for reign in facts.reigns:
        if reign.cause == "external" and reign.version not in facts.registry.by_hand:
            yield f"version {reign.version or '(nobody)'} is said to be moved by hand, moved were {facts.registry.by_hand}"


def promotions_replace_whom_they_were_decided_against(facts: Facts) -> Iterator[str]:
    """The alias moves from the champion of the decision, or not at all (G5)."""
    if facts.tally.lost_ledgers:
        return
    for before, version in facts.registry.moves:
        if (before, version) not in facts.decided:
            yield f"version {version} replaced {before or 'nobody'}, decided was {sorted(facts.decided)}"


def promotions_are_moves(facts: Facts) -> Iterator[str]:
    """What the ledger calls promoted happened, in that order; what happened is in the ledger unless a hand came between (G5)."""
    if facts.tally.lost_ledgers or facts.tally.late_promotions:
        return
    hands = set(facts.registry.by_hand)
    moved = [version for _, version in facts.registry.moves]
    promoted = [reign.version for reign in facts.reigns if reign.cause == "promoted"]
    rest = iter(moved)
    if not all(version in rest for version in promoted if version not in hands):
        yield f"promoted were {promoted}, moved were {moved}, by hand {facts.registry.by_hand}"
    if len(moved) - len(promoted) > len(facts.registry.by_hand) + len(facts.registry.asked):
        yield f"moved were {moved}, the ledger knows only of {promoted}"


def what_was_taken_back_stays_away(facts: Facts) -> Iterator[str]:
    """A version that a person rolled back is champion again only by a person's doing."""
    if facts.tally.late_promotions or facts.tally.late_tags:
        return  # a request of before the rollback
    done = [(wish.kind, wish.version) for wish in facts.wanted if wish.outcome == "done" and not facts.tally.lost_ledgers]
    for version in operators.brought_back(facts.registry, done):
        yield f"version {version} was rolled back, and a run made it champion again: {facts.registry.story}"


def operators_are_heard_once(facts: Facts) -> Iterator[str]:
    """What they asked for is carried out or refused, once, and told."""
    if facts.tally.lost_ledgers:
        return
    if len(facts.wanted) != len(facts.registry.asked) or any(wish.outcome == "pending" for wish in facts.wanted):
        yield f"asked for was {facts.registry.asked}, recorded is {facts.wanted}"
    done = [wish.version for wish in facts.wanted if wish.outcome == "done"]
    reigns = [reign.version for reign in facts.reigns if reign.cause in {"forced", "rollback"}]
    if done != reigns:
        yield f"carried out was {done}, champion for a person became {reigns}"
    told = sum(line.event in {"champion_rolled_back", "champion_promoted_by_operator"} for line in facts.lines)
    if not len(done) - facts.lines_lost <= told <= len(done):
        yield f"{len(done)} were carried out, {told} lines tell of one"


def transitions_follow_moves(facts: Facts) -> Iterator[str]:
    """Each begins where the one before ended, along an arrow that exists."""
    at: dict[str, str] = {}
    for move in facts.moves:
        if at.get(move.run_key, "") != move.from_state:
            yield f"{move.run_key[:_KEY_SHOWN]} was {at.get(move.run_key)}, then moved from {move.from_state}"
        elif move.from_state and RunState(move.to_state) not in MOVES[RunState(move.from_state)]:
            yield f"{move.run_key[:_KEY_SHOWN]} went from {move.from_state} to {move.to_state}"
        at[move.run_key] = move.to_state
    for key, run in facts.runs.items():
        if at.get(key) != run.state:
            yield f"run {_shown(run)} is {run.state}, its last transition led to {at.get(key)}"


def every_change_has_one_line(facts: Facts) -> Iterator[str]:
    """A state that moved was told once, and nothing was told that did not happen (G8)."""
    changed = Counter((move.run_key[:_KEY_SHOWN], move.to_state) for move in facts.moves)
    recorded = sum(row.kind != "operator" for row in facts.events.values())
    told = Counter((line.run.split("-")[-2], TOLD[line.event]) for line in facts.lines if line.event in TOLD and line.run)
    lines = sum(line.event == "event_recorded" for line in facts.lines)
    if lines > recorded or (lines < recorded and not facts.lines_lost):
        yield f"{recorded} events were recorded, {lines} lines tell of one"
    for (key, state), more in (told - changed).items():
        yield f"{more} more lines than changes of {key} to {state}"
    missing = changed - told
    if missing.total() > facts.lines_lost:
        yield f"without a line, although only {facts.lines_lost} can be missing: {dict(missing)}"


def tags_agree(facts: Facts) -> Iterator[str]:
    """A version says of itself what the ledger says of its run (G5)."""
    if facts.tally.late_tags or facts.tally.lost_ledgers:
        return
    intervened = {version for wish in facts.registry.asked for version in (wish.version, wish.replaces)}
    wanted = {"PROMOTED": "approved", "REJECTED": "rejected", "SUPERSEDED": "superseded", "CANCELED": "canceled"}
    for run in facts.runs.values():
        version = facts.registry.versions.get(run.key, "")
        status = facts.registry.tags.get(version, {}).get("validation_status")
        if version and status is not None and run.state in wanted and status != wanted[run.state]:
            if run.state == "PROMOTED" and version in facts.registry.by_hand:
                continue
            if run.state in {"SUPERSEDED", "CANCELED"} and version in intervened:
                continue  # a person's word about the version outlives the end of its run
            yield f"run {_shown(run)} is {run.state}, its version {version} is {status}"


def nothing_runs_unwanted(facts: Facts) -> Iterator[str]:
    """The orchestrator has nothing left to do."""
    for execution in facts.cluster.running:
        yield f"{execution.request.name} still runs"


def every_message_is_acknowledged(facts: Facts) -> Iterator[str]:
    """Nothing comes again and again."""
    for message in [*facts.mail.waiting, *facts.mail.leased.values()]:
        yield f"message {message.id} about generation {message.attributes['objectGeneration']} waits"


INVARIANTS: tuple[Invariant, ...] = (
    every_drop_is_found,
    missed_notifications_are_told,
    every_version_is_recorded_once,
    every_event_is_settled,
    every_run_is_over,
    every_drop_has_an_outcome,
    equal_bytes_are_trained_once,
    good_drops_are_never_quarantined,
    bad_drops_are_never_decided,
    alias_and_ledger_agree,
    nobody_is_suspected_falsely,
    promotions_replace_whom_they_were_decided_against,
    promotions_are_moves,
    what_was_taken_back_stays_away,
    operators_are_heard_once,
    transitions_follow_moves,
    every_change_has_one_line,
    tags_agree,
    nothing_runs_unwanted,
    every_message_is_acknowledged,
)


def _shown(run: RunRow) -> str:
    return f"{run.period} {run.key[:_KEY_SHOWN]}"
