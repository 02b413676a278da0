"""Whether the filter of a Pub/Sub subscription lets the notifications of drops through. Pure.

Filters are a small language (cloud.google.com/pubsub/docs/subscription-message-filter); here only terms that AND joins are
understood, which is what people write. Of everything else nobody can say anything without evaluating it.
"""

import re

from trainer_daemon.policy.notifications import FINALIZED, FORMAT
from trainer_daemon.policy.objects import Place

_KEY = r'(?:[A-Za-z_][\w-]*|"[^"\\]+")'
_TEXT = r'"[^"\\]*"'
_TERM = re.compile(
    rf"\s*(?P<negation>NOT\s+|-)?(?:attributes:(?P<present>{_KEY})"
    rf"|attributes\.(?P<key>{_KEY})\s*(?P<operator>!?=)\s*(?P<value>{_TEXT})"
    rf"|hasPrefix\(\s*attributes\.(?P<begun>{_KEY})\s*,\s*(?P<prefix>{_TEXT})\s*\))\s*"
)
_AND = re.compile(r"AND\b")
_ALWAYS_PRESENT = frozenset({"objectId", "objectGeneration", "eventTime", "notificationConfig"})


def lets_through(text: str, place: Place) -> bool | None:
    """Whether messages about the drops of a place pass a filter.

    Args:
        text: The filter; empty lets everything through.
        place: Where the drops arrive.

    Returns:
        None when that cannot be said: some may pass and others not, or the filter is not understood.
    """
    if not text.strip():
        return True
    terms = _terms(text)
    if terms is None:
        return None
    outcomes = [_passes(term, place) for term in terms]
    if False in outcomes:
        return False
    return None if None in outcomes else True


def _terms(text: str) -> list[re.Match[str]] | None:
    """The terms that AND joins, None when there is anything else."""
    terms: list[re.Match[str]] = []
    position = 0
    while (term := _TERM.match(text, position)) is not None:
        terms.append(term)
        if term.end() == len(text):
            return terms
        conjunction = _AND.match(text, term.end())
        if conjunction is None:
            return None
        position = conjunction.end()
    return None


def _passes(term: re.Match[str], place: Place) -> bool | None:
    outcome = _holds(term, place)
    return outcome if outcome is None or not term["negation"] else not outcome


def _holds(term: re.Match[str], place: Place) -> bool | None:
    """Whether the notification of a drop is as a term says, its negation left aside."""
    known = {"eventType": FINALIZED, "payloadFormat": FORMAT, "bucketId": place.bucket}
    if term["present"]:
        return True if _plain(term["present"]) in known.keys() | _ALWAYS_PRESENT else None
    if term["begun"] and _plain(term["begun"]) == "objectId":
        return _begins(place.listed_prefix, _plain(term["prefix"]))
    value = known.get(_plain(term["key"] or term["begun"]))
    if value is None:
        return None
    if term["begun"]:
        return value.startswith(_plain(term["prefix"]))
    return (value == _plain(term["value"])) == (term["operator"] == "=")


def _begins(beginning: str, prefix: str) -> bool | None:
    """Whether every name with this beginning begins with the prefix; None when only some do."""
    if beginning.startswith(prefix):
        return True
    return None if prefix.startswith(beginning) else False


def _plain(word: str) -> str:
    return word.strip('"')
