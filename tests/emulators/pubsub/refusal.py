"""How an RPC ends with a status other than OK."""

import grpc

Trailing = tuple[tuple[str, str | bytes], ...]


class RefusedError(Exception):
    """An RPC is refused.

    Args:
        code: The status.
        text: What the caller reads.
        trailing: Metadata that carries the details.
    """

    def __init__(self, code: grpc.StatusCode, text: str, trailing: Trailing = ()) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.trailing = trailing


def invalid(text: str) -> RefusedError:
    """The request can never succeed."""
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, text)


def not_found(name: str) -> RefusedError:
    """A resource that the request names does not exist."""
    return RefusedError(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


def taken(name: str) -> RefusedError:
    """A resource with this name exists."""
    return RefusedError(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists in the project (resource={name}).")
