"""Named resources of one kind: create, get, list, delete."""

from collections.abc import Iterator, Sequence

from google.protobuf.message import Message

from tests.emulators.pubsub.names import check_name
from tests.emulators.pubsub.refusal import not_found, taken
from tests.emulators.pubsub.store import Store

_PAGE_SIZE = 1000


class Collection:
    """The resources of one kind.

    Args:
        store: Where they are kept.
        kind: `topics`, `subscriptions` or `snapshots`.
        message: Their protobuf class.
    """

    def __init__(self, store: Store, kind: str, message: type[Message]) -> None:
        self._store = store
        self._kind = kind
        self._message = message

    def __iter__(self) -> Iterator[Message]:
        return (self._message.FromString(config) for _, config in self._store.load(self._kind))

    def find(self, name: str) -> Message | None:
        """A resource, if it exists."""
        config = self._store.find(self._kind, name)
        return None if config is None else self._message.FromString(config)

    def get(self, name: str) -> Message:
        """A resource.

        Raises:
            RefusedError: There is none with this name.
        """
        config = self.find(name)
        if config is None:
            raise not_found(name)
        return config

    def check_new(self, name: str) -> None:
        """Accept a name.

        Raises:
            RefusedError: The name is malformed or taken.
        """
        check_name(name, self._kind)
        if self.find(name) is not None:
            raise taken(name)

    def save(self, config: Message) -> None:
        """Create or replace a resource."""
        self._store.save(self._kind, config.name, config.SerializeToString())

    def delete(self, name: str) -> None:
        """Delete a resource.

        Raises:
            RefusedError: There is none with this name.
        """
        self.get(name)
        self._store.delete(self._kind, name)


def page(resources: Sequence[Message], request: Message) -> tuple[Sequence[Message], str]:
    """One page of a list, and the token of the next one; "" when this is the last."""
    rest = sorted((each for each in resources if each.name > request.page_token), key=lambda each: each.name)
    shown = rest[: request.page_size or _PAGE_SIZE]
    return shown, shown[-1].name if len(rest) > len(shown) else ""
