"""`explain`: the whole story of a drop, a run or a version, and what to do next."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer_daemon.adapters.ledger.history import History
from trainer_daemon.commands.advice import advice
from trainer_daemon.commands.matching import Match, match, names, near
from trainer_daemon.commands.opening import CommandError, Session, local, open_session, reading
from trainer_daemon.commands.records import read_course, read_records
from trainer_daemon.commands.timeline import Entry, Tone, timeline
from trainer_daemon.telemetry.redaction import redacted

_STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.BAD: "red", Tone.WARNING: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What there is to tell about a word, in one model.

    Attributes:
        link: The page of its newest run where that was executed; empty when there is none.
    """

    model: str
    kind: str
    link: str
    entries: tuple[Entry, ...]
    next_steps: tuple[str, ...]


def explain(word: str, *, config: Path, model: str | None, as_json: bool) -> None:
    """Print the stories of a word.

    Raises:
        CommandError: The word means nothing in the ledger.
    """
    session = open_session(config)
    with reading(session) as history:
        stories = tell(word, session, history, session.models(model))
    if as_json:
        print(json.dumps(_document(word, stories), ensure_ascii=False, indent=2))  # noqa: T201 - the answer
        return
    _show(stories)


def tell(word: str, session: Session, history: History | None, models: tuple[str, ...]) -> tuple[Story, ...]:
    """One story for every model in which the word means something.

    Raises:
        CommandError: It means nothing in any of them.
    """
    if history is None:
        msg = f"nothing is known of {word}: the ledger {redacted(session.settings.ledger)} does not exist yet. {session.daemon()}"
        raise CommandError(msg)
    records = [read_records(history, model) for model in models]
    found = [item for one in records if (item := match(word, one))]
    if not found:
        raise CommandError(_unknown(word, [name for one in records for name in names(one)]))
    return tuple(_story(item, session, history) for item in found)


def _story(found: Match, session: Session, history: History) -> Story:
    entries = timeline(found, read_course(history, found.runs))
    link = session.link_of(found.runs[-1]) if found.runs else ""
    return Story(model=found.records.model, kind=found.kind, link=link, entries=entries, next_steps=advice(found, session))


def _unknown(word: str, known: list[str]) -> str:
    kinds = "a drop (file name, URI, period), a run (name, key) or a version"
    if not known:
        return f"nothing is known of {word}: no drop has arrived yet"
    closest = near(word, known) or tuple(dict.fromkeys(reversed(known)))[:5]
    return f"{word} is none of what is known; it must be {kinds}, for example: {', '.join(closest)}"


def _document(word: str, stories: tuple[Story, ...]) -> dict[str, object]:
    return {
        "what": word,
        "stories": [
            {
                "model": story.model,
                "kind": story.kind,
                "link": story.link or None,
                "timeline": [_item(entry) for entry in story.entries],
                "next": list(story.next_steps),
            }
            for story in stories
        ],
    }


def _item(entry: Entry) -> dict[str, object]:
    return {"at": entry.at.isoformat(), "what": entry.text, "details": list(entry.details)}


def _show(stories: tuple[Story, ...]) -> None:
    from trainer_daemon.commands.terminal import console

    out = console()
    for story in stories:
        if len(stories) > 1:
            out.print(f"model {story.model}", style="bold")
        for text, style in _lines(story):
            out.print(text, style=style, soft_wrap=True)


def _lines(story: Story) -> Iterator[tuple[str, str]]:
    """Text and style of every line; the times of entries and their details are aligned."""
    indent = ""
    for entry in story.entries:
        time = local(entry.at)
        indent = " " * len(time)
        yield f"{time}  {entry.text}", _STYLES[entry.tone]
        for detail in entry.details:
            yield f"{indent}    {detail}", "red" if detail.startswith("FAILED") else "dim"
    yield "", ""
    if story.link:
        yield f"Its page: {story.link}", ""
        yield "", ""
    yield "What to do next", "bold"
    for step in story.next_steps:
        yield f"  {step}", ""
