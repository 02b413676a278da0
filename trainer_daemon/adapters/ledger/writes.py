"""The statements of a change to the ledger, built once: to build and recognise one takes longer than SQLite takes to execute it.

What a row becomes is given as parameters named like its columns; parameters of a condition have names of their own.
"""

from sqlalchemy import Double, Text, and_, bindparam, func, insert, not_, or_, select, update

from trainer_daemon.adapters.ledger.clock import ledger_clock
from trainer_daemon.adapters.ledger.queries import ALIVE, word
from trainer_daemon.adapters.ledger.tables import (
    answers,
    baselines,
    champions,
    decisions,
    drops,
    events,
    interventions,
    leases,
    run_drops,
    runs,
    transitions,
)

_RUN, _EVENT, _MODEL, _URI = (bindparam(f"of_{name}", type_=Text) for name in ("run", "event", "model", "uri"))
_EVENTS = bindparam("of_events", type_=Text, expanding=True)

ADD_EVENT, ADD_DROP, ADD_RUN, ADD_RUN_DROP = insert(events), insert(drops), insert(runs), insert(run_drops)
ADD_TRANSITION, ADD_DECISION, ADD_ANSWER = insert(transitions), insert(decisions), insert(answers)
ADD_CHAMPION, ADD_BASELINE, ADD_INTERVENTION = insert(champions), insert(baselines), insert(interventions)

NEXT_EVENT = select(func.coalesce(func.max(events.c.sequence), 0) + 1)
NEXT_RUN = select(func.coalesce(func.max(runs.c.sequence), 0) + 1)
"""The next number; the transaction holds the write lock, and a unique key guards it elsewhere."""

CHANGE_DROP = update(drops).where(drops.c.model == _MODEL, drops.c.uri == _URI)

ANNOUNCE_EVENTS = update(events).where(events.c.id.in_(_EVENTS), not_(events.c.announced)).values(announced=True)
CLOSE_EVENT = update(events).where(events.c.id == _EVENT, events.c.outcome == word("pending"))
_of_bytes = and_(events.c.model == _MODEL, events.c.uri == _URI, events.c.checksum == bindparam("of_checksum", type_=Text))
QUARANTINE_EVENTS = update(events).where(_of_bytes, events.c.kind == word("drop")).values(outcome="quarantined")
REOPEN_EVENTS = (
    update(events).where(events.c.id.in_(_EVENTS), events.c.outcome != word("quarantined")).values(outcome="pending", run_key="")
)
"""Not what was found to be bad: nothing that happens to a run makes it better."""
REOPEN_DISAPPOINTED = (
    update(events)
    .where(
        events.c.model == _MODEL,
        events.c.uri.in_(bindparam("of_uris", type_=Text, expanding=True)),
        events.c.run_key == _RUN,
        events.c.outcome != word("quarantined"),
    )
    .values(outcome="pending", run_key="")
)
"""Events that count on a run, which they began or which was on its way; those of these objects."""

CLOSE_INTERVENTION = update(interventions).where(
    interventions.c.id == bindparam("of_intervention"), interventions.c.outcome == word("pending")
)

_as_seen = and_(runs.c.key == _RUN, runs.c.state == bindparam("seen_state"), runs.c.attempt == bindparam("seen_attempt"))
CHANGE_RUN = update(runs).where(_as_seen)
RUN_AS_SEEN = select(runs.c.key).where(_as_seen)
CHANGE_LIVE_RUN = update(runs).where(runs.c.key == _RUN, ALIVE)

_expiry = ledger_clock() + bindparam("lease_s", type_=Double)
_of_model = leases.c.model == _MODEL
_is_free = or_(leases.c.expires_at <= ledger_clock(), leases.c.holder.in_([word(""), bindparam("by_holder", type_=Text)]))
LEASE = select(leases.c.token, _is_free.label("is_free")).where(_of_model)
ADD_LEASE = insert(leases).values(expires_at=_expiry)
TAKE_LEASE = update(leases).where(_of_model).values(expires_at=_expiry)
_is_held = and_(_of_model, leases.c.token == bindparam("of_token"), leases.c.holder == bindparam("of_holder"))
LEASE_AS_HELD = select(leases.c.model).where(_is_held)
RENEW_LEASE = update(leases).where(_is_held).values(expires_at=_expiry)
RELEASE_LEASE = update(leases).where(_is_held).values(holder="", expires_at=0.0)
