"""Subscription filters: the documented grammar (cloud.google.com/pubsub/docs/subscription-message-filter) as a predicate."""

import re
from collections.abc import Callable, Mapping
from functools import reduce

from tests.emulators.pubsub.refusal import RefusedError, invalid

Predicate = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|!=|[=:(),-]|\w[\w.-]*)')
_ESCAPE = re.compile(r"\\(.)")
_ATTRIBUTE = "attributes."


def compile_filter(text: str) -> Predicate:
    """Read a filter.

    Args:
        text: The filter; empty lets every message pass.

    Returns:
        Whether a message with these attributes passes.

    Raises:
        RefusedError: The text is no filter.
    """
    return _Parser(text).parse() if text.strip() else lambda _: True


class _Parser:
    """Recursive descent; `OR` binds weaker than `AND`, `AND` weaker than `NOT`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()

    def parse(self) -> Predicate:
        predicate = self._either()
        if self._tokens:
            raise self._error()
        return predicate

    def _split(self) -> list[str]:
        tokens, at = [], 0
        text = self._text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._error()
            tokens.append(match[1])
            at = match.end()
        return tokens

    def _either(self) -> Predicate:
        parts = [self._both()]
        while self._skip("OR"):
            parts.append(self._both())
        return reduce(_or, parts)

    def _both(self) -> Predicate:
        parts = [self._term()]
        while self._skip("AND"):
            parts.append(self._term())
        return reduce(_and, parts)

    def _term(self) -> Predicate:
        if self._skip("NOT") or self._skip("-"):
            return _not(self._term())
        if self._skip("("):
            inner = self._either()
            self._expect(")")
            return inner
        if self._skip("hasPrefix"):
            return self._prefix()
        if self._skip("attributes"):
            return self._presence()
        return self._comparison()

    def _prefix(self) -> Predicate:
        self._expect("(")
        key = self._key()
        self._expect(",")
        prefix = self._literal()
        self._expect(")")
        return lambda attributes: attributes.get(key, "").startswith(prefix)

    def _presence(self) -> Predicate:
        self._expect(":")
        key = self._literal() if self._tokens[:1] and self._tokens[0].startswith('"') else self._take()
        return lambda attributes: key in attributes

    def _comparison(self) -> Predicate:
        key = self._key()
        negated = self._skip("!=")
        if not negated:
            self._expect("=")
        value = self._literal()
        equal: Predicate = lambda attributes: attributes.get(key) == value  # noqa: E731 - a value of this type, as its neighbours
        return _not(equal) if negated else equal

    def _key(self) -> str:
        token = self._take()
        if not token.startswith(_ATTRIBUTE):
            raise self._error()
        return token.removeprefix(_ATTRIBUTE)

    def _literal(self) -> str:
        token = self._take()
        if not token.startswith('"'):
            raise self._error()
        return _ESCAPE.sub(r"\1", token[1:-1])

    def _take(self) -> str:
        if not self._tokens:
            raise self._error()
        return self._tokens.pop(0)

    def _skip(self, token: str) -> bool:
        found = self._tokens[:1] == [token]
        if found:
            del self._tokens[0]
        return found

    def _expect(self, token: str) -> None:
        if not self._skip(token):
            raise self._error()

    def _error(self) -> RefusedError:
        return invalid(f"Invalid filter: {self._text}")


def _not(inner: Predicate) -> Predicate:
    return lambda attributes: not inner(attributes)


def _and(left: Predicate, right: Predicate) -> Predicate:
    return lambda attributes: left(attributes) and right(attributes)


def _or(left: Predicate, right: Predicate) -> Predicate:
    return lambda attributes: left(attributes) or right(attributes)
