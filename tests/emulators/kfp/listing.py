"""Lists: filters, order and pages, with the limits and the refusals of the real server."""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tests.emulators.kfp.refusal import refuse_invalid
from tests.emulators.kfp.store import Document, Store
from tests.emulators.kfp.times import same_form

_PAGE, _PAGE_MAX = 20, 200
_NUMBERED = {
    1: "EQUALS",
    2: "NOT_EQUALS",
    3: "GREATER_THAN",
    5: "GREATER_THAN_EQUALS",
    6: "LESS_THAN",
    7: "LESS_THAN_EQUALS",
    8: "IN",
    9: "IS_SUBSTRING",
}
_COMPARED = {
    "EQUALS": "=",
    "NOT_EQUALS": "!=",
    "GREATER_THAN": ">",
    "GREATER_THAN_EQUALS": ">=",
    "LESS_THAN": "<",
    "LESS_THAN_EQUALS": "<=",
}
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CAMEL = re.compile(r"_([a-z])")
_PREDICATE = {
    "operation",
    "key",
    "intValue",
    "longValue",
    "stringValue",
    "timestampValue",
    "intValues",
    "longValues",
    "stringValues",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What can be listed.

    Attributes:
        name: In the store.
        plural: The key of the reply.
        fields: What one can filter and sort by, with the path in the body; an empty path is the scope.
    """

    name: str
    plural: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A part of a SQL `where` clause."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    sort_by: str
    is_descending: bool


def page(store: Store, collection: Collection, query: Mapping[str, str], conditions: Sequence[Condition] = ()) -> Document:
    """One page of a collection; keys without content are left out, as the server does.

    Args:
        store: Where the documents are.
        collection: Which of them.
        query: `page_token`, `page_size`, `sort_by` and `filter` of the request.
        conditions: What else must hold.

    Raises:
        RefusedError: The request is wrong.
    """
    token = _read_token(query.get("page_token", ""))
    order, text = _criteria(collection, query, token)
    matching = [*conditions, *_filter(collection, text)]
    key = _column(collection, order.sort_by)
    size = _page_size(query.get("page_size", ""))
    rows = _rows(store, collection, _joined([*matching, *_after(key, order, token)]), _by(key, order, size + 1))
    found: Document = {collection.plural: [json.loads(body) for _, _, body in rows[:size]]}
    found["total_size"] = _count(store, collection, _joined(matching))
    if len(rows) > size:
        found["next_page_token"] = _token(order, text, rows[size])
    return {name: value for name, value in found.items() if value}


def _criteria(collection: Collection, query: Mapping[str, str], token: Document | None) -> tuple[_Order, str]:
    sort_by, text = query.get("sort_by", ""), query.get("filter", "")
    if token is None:
        return _order(collection, sort_by), text
    order = _Order(sort_by=token["sort_by"], is_descending=token["is_descending"])
    if (sort_by or text) and (_order(collection, sort_by), text) != (order, token["filter"]):
        msg = (
            "page token does not match the supplied sort by and/or filtering criteria. "
            "Either specify the same criteria or leave the latter empty if page token is specified."
        )
        refuse_invalid(msg)
    return order, token["filter"]


def _order(collection: Collection, text: str) -> _Order:
    words = text.lower().split() or ["created_at"]
    if len(words) > 2 or (len(words) == 2 and words[1] not in {"asc", "desc"}):
        msg = f'Received invalid sort by format "{text}". Supported format: "field_name", "field_name desc", or "field_name asc"'
        refuse_invalid(msg)
    if words[0] not in collection.fields:
        msg = f'Invalid sorting field: "{words[0]}" on listable type {collection.name.title()}'
        refuse_invalid(msg)
    return _Order(sort_by=words[0], is_descending=words[-1] == "desc")


def _page_size(text: str) -> int:
    try:
        size = int(text or 0)
    except ValueError as exc:
        msg = f"type mismatch, parameter: page_size, error: {exc}"
        refuse_invalid(msg)
    if size < 0:
        msg = f"The page size should be greater than 0. Got {size}"
        refuse_invalid(msg)
    return min(size, _PAGE_MAX) or _PAGE


def _column(collection: Collection, field: str) -> str:
    path = collection.fields[field]
    return f"coalesce(json_extract(body, '$.{path}'), '')" if path else "scope"


def _filter(collection: Collection, encoded: str) -> list[Condition]:
    """The conditions of a filter, which arrives decoded once and is decoded once more."""
    if not encoded:
        return []
    wrong = f'failed to parse valid filter from "{encoded}"'
    if _BAD_ESCAPE.search(encoded):
        refuse_invalid(f"{wrong}: invalid URL escape")
    try:
        predicates = [_camel(each) for each in json.loads(unquote_plus(encoded))["predicates"]]
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        refuse_invalid(f"{wrong}: {exc}")
    for predicate in predicates:
        if unknown := sorted(set(predicate) - _PREDICATE):
            refuse_invalid(f'{wrong}: unknown field "{unknown[0]}" in v2beta1.Predicate')
    return [_condition(collection, predicate) for predicate in predicates]


def _camel(predicate: Document) -> Document:
    return {_CAMEL.sub(lambda found: found[1].upper(), key): value for key, value in predicate.items()}


def _condition(collection: Collection, predicate: Document) -> Condition:
    key, given = predicate.get("key", ""), predicate.get("operation", "")
    operation = _NUMBERED.get(given, given)
    if key not in collection.fields:
        refuse_invalid(f'no support for filtering on unrecognized field "{key}"')
    column, value = _column(collection, key), _value(predicate)
    if isinstance(value, list) != (operation == "IN"):
        refuse_invalid(f"cannot use operator {operation} with a value of type {type(value).__name__}")
    # the server compares without regard to case
    if operation == "IN":
        return Condition(sql=f"{column} collate nocase in ({', '.join('?' * len(value))})", values=tuple(value))
    if operation == "IS_SUBSTRING":
        return Condition(sql=f"{column} like '%' || ? || '%'", values=(value,))
    if operation not in _COMPARED:
        refuse_invalid(f"invalid predicate operation: {given}")
    return Condition(sql=f"{column} {_COMPARED[operation]} ? collate nocase", values=(value,))


def _value(predicate: Document) -> Any:  # noqa: ANN401 - of several types
    for kind in ("stringValues", "intValues", "longValues"):
        if kind in predicate:
            return list(predicate[kind].get("values", []))
    for kind in ("stringValue", "intValue", "longValue"):
        if kind in predicate:
            return predicate[kind]
    try:
        return same_form(predicate["timestampValue"])
    except (KeyError, ValueError) as exc:
        refuse_invalid(f"failed to parse valid filter: {exc}")


def _after(key: str, order: _Order, token: Document | None) -> list[Condition]:
    if token is None:
        return []
    beyond = "<" if order.is_descending else ">"
    sql = f"({key} {beyond} ? or ({key} = ? and id {beyond}= ?))"
    return [Condition(sql=sql, values=(token["value"], token["value"], token["id"]))]


def _by(key: str, order: _Order, size: int) -> str:
    direction = "desc" if order.is_descending else "asc"
    return f"{key}, id, body from document {{where}} order by {key} {direction}, id {direction} limit {size}"


def _joined(conditions: Sequence[Condition]) -> Condition:
    return Condition(
        sql=" and ".join(["collection = ?", *(each.sql for each in conditions)]),
        values=tuple(value for each in conditions for value in each.values),
    )


def _rows(store: Store, collection: Collection, condition: Condition, rest: str) -> list[tuple[Any, str, str]]:
    query = "select " + rest.format(where=f"where {condition.sql}")
    return store.database.execute(query, (collection.name, *condition.values)).fetchall()


def _count(store: Store, collection: Collection, condition: Condition) -> int:
    query = f"select count(*) from document where {condition.sql}"  # noqa: S608 - made of constants
    return int(store.database.execute(query, (collection.name, *condition.values)).fetchone()[0])


def _token(order: _Order, text: str, row: tuple[Any, str, str]) -> str:
    fields = {"sort_by": order.sort_by, "is_descending": order.is_descending, "filter": text, "value": row[0], "id": row[1]}
    return base64.b64encode(json.dumps(fields).encode()).decode()


def _read_token(text: str) -> Document | None:
    if not text:
        return None
    try:
        token: Document = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as exc:
        refuse_invalid(f"Invalid package token: {exc}")
    return token
