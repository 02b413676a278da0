from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration

from tests.integration.emulators.conftest import MakeLine
from tests.integration.emulators.lines import Line, a_name, let_pass


def test_seek_into_the_past_replays_acked_messages(make_line: MakeLine) -> None:
    """Those that the subscription retains."""
    line = make_line(retain_acked_messages=True, message_retention_duration=Duration(seconds=3600))
    before = datetime.now(UTC) - timedelta(seconds=1)
    line.publish(b"data")
    line.ack(line.pull())
    assert line.is_empty()
    line.subscriber.seek(request={"subscription": line.subscription, "time": before})
    assert line.pull()[0].message.data == b"data"


def test_seek_replays_nothing_that_was_not_retained(line: Line) -> None:
    """Acked is forgotten by default."""
    line.publish(b"data")
    line.ack(line.pull())
    line.subscriber.seek(request={"subscription": line.subscription, "time": datetime.now(UTC) - timedelta(seconds=60)})
    assert line.is_empty()


def test_seek_into_the_future_empties_the_backlog(line: Line) -> None:
    """Leased messages too."""
    for _ in range(3):
        line.publish(b"data")
    line.pull()
    line.subscriber.seek(request={"subscription": line.subscription, "time": datetime.now(UTC) + timedelta(seconds=1)})
    assert line.counts()["backlog"] == 0
    assert line.is_empty()


def test_seek_to_a_snapshot_replays_what_was_not_acked_then(make_line: MakeLine) -> None:
    """A retained message acked before stays acked, one acked later comes again."""
    line = make_line(retain_acked_messages=True)
    line.publish(b"acked before")
    line.ack(line.pull())
    line.publish(b"acked later")
    snapshot = line.subscriber.create_snapshot(name=a_name("snapshots"), subscription=line.subscription).name
    line.ack(line.pull())
    line.subscriber.seek(request={"subscription": line.subscription, "snapshot": snapshot})
    assert [each.message.data for each in line.pull()] == [b"acked later"]
    assert line.is_empty()
    line.subscriber.delete_snapshot(snapshot=snapshot)


def test_acked_message_is_kept_for_a_snapshot(line: Line) -> None:
    """Also by a subscription that retains nothing itself."""
    snapshot = line.subscriber.create_snapshot(name=a_name("snapshots"), subscription=line.subscription).name
    line.publish(b"data")
    line.ack(line.pull())
    line.subscriber.seek(request={"subscription": line.subscription, "snapshot": snapshot})
    assert line.pull()[0].message.data == b"data"
    line.subscriber.delete_snapshot(snapshot=snapshot)


def test_outdated_message_is_not_delivered(make_line: MakeLine) -> None:
    """Retention ends a message's life."""
    line = make_line(message_retention_duration=Duration(seconds=1))
    line.publish(b"data")
    let_pass(1.2)
    assert line.counts()["backlog"] == 1
    assert line.is_empty()
