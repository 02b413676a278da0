"""What people did to the champion, in plain words: who, what, why and what came of it. Pure."""

from collections.abc import Iterator, Sequence

from trainer_daemon.commands.entries import Entry, Tone
from trainer_daemon.policy.interventions import Intervention


def intervened(interventions: Sequence[Intervention], versions: frozenset[str]) -> Iterator[Entry]:
    """An entry for everything that was asked for about some versions, and one for what came of it."""
    for each in interventions:
        if not versions & {each.version, each.replaces}:
            continue
        yield Entry(
            id=f"intervention:{each.id}",
            at=each.at,
            text=f"{each.by} asked to {each.words}",
            details=(each.reason, *_waits(each)),
        )
        if each.closed_at is not None:
            yield _came_of(each, versions)


def _waits(each: Intervention) -> tuple[str, ...]:
    return ("the daemon has not acted on it yet",) if each.outcome == "pending" else ()


def _came_of(each: Intervention, versions: frozenset[str]) -> Entry:
    is_good = each.outcome == "done" and each.version in versions
    return Entry(
        id=f"intervention:{each.id}:{each.outcome}",
        at=each.closed_at or each.at,
        text=_sentence(each),
        details=_consequences(each),
        tone=Tone.GOOD if is_good else Tone.WARNING,
    )


def _sentence(each: Intervention) -> str:
    if each.outcome == "refused":
        return f"it was refused: {each.why}"
    if each.kind == "promote":
        return f"version {each.version} became champion, promoted by {each.by}"
    return f"version {each.version} became champion again: {each.replaced} was rolled back by {each.by}"


def _consequences(each: Intervention) -> tuple[str, ...]:
    if each.outcome == "refused":
        return ()
    moved = f"alias champion moved from {each.replaced} to version {each.version}"
    if each.kind == "promote" or not each.replaces:
        return (moved,)
    return moved, f"version {each.replaces} cannot become champion again by itself"
