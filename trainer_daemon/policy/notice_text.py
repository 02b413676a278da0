"""A notice in a sentence or two, for people who read it in a chat. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_daemon.policy.notices import Notice, NoticeKind

TEXT_MAX = 3000
"""Chats cut longer messages off, or refuse them."""


def slack_text(notice: Notice) -> str:
    """The text of a message, with Slack's own escapes (docs.slack.dev/messaging/formatting-message-text)."""
    link = notice.data.get("link")
    text = _escaped(_cut(sentence(notice)))
    return f"{text} <{_escaped(link)}|The run>" if link else text


def sentence(notice: Notice) -> str:
    """What happened, and why."""
    return f"{notice.model}: {_happened(notice)}: {'; '.join(_reasons(notice))}"


def _reasons(notice: Notice) -> Sequence[str]:
    """A promotion has a reason for every rule that it passed: one of them has to do."""
    reasons: Sequence[str] = notice.data["reasons"]
    decision = notice.data.get("decision") or {}
    is_by_rules = notice.kind == NoticeKind.CANDIDATE_PROMOTED and reasons == decision.get("reasons")
    return (decision["main_reason"],) if is_by_rules and decision.get("main_reason") else reasons


def _happened(notice: Notice) -> str:  # noqa: PLR0911 - one line per kind
    data = notice.data
    match notice.kind:
        case NoticeKind.CANDIDATE_PROMOTED:
            return f"{_version(data)} is champion now, {_instead(data)}"
        case NoticeKind.CANDIDATE_REJECTED:
            return f"{_version(data)} was rejected"
        case NoticeKind.APPROVAL_REQUESTED:
            return f"{_version(data)} waits for approval, `trainer-daemon approve {data['name']}` or `reject`"
        case NoticeKind.APPROVAL_EXPIRED:
            return f"{_version(data)} was given up"
        case NoticeKind.DROP_QUARANTINED:
            return f"drop {_file(data)} cannot be trained, correct it and upload it again under the same name"
        case NoticeKind.RUN_FAILED:
            return f"run {data['name']} on {_file(data)} has failed for good"
        case NoticeKind.CHAMPION_PROMOTED_BY_OPERATOR:
            return f"version {data['model_version']} is champion now, {_instead(data)}, promoted by {data['by']}"
        case NoticeKind.CHAMPION_ROLLED_BACK:
            return f"version {data['model_version']} is champion again, {_instead(data)}, put back by {data['by']}"
        case _:
            return notice.kind.replace("_", " ")


def _version(data: Mapping[str, Any]) -> str:
    who = f"version {data['model_version']}" if data["model_version"] else "the candidate"
    return f"{who} of {data['period']}"


def _instead(data: Mapping[str, Any]) -> str:
    before = data["champion_version"]
    return f"in place of version {before}" if before else "the first one"


def _file(data: Mapping[str, Any]) -> str:
    return str(data["drops"][-1].rpartition("/")[2].rpartition("#")[0])


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
