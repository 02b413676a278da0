"""What the doctor asks of the bucket that artifacts are kept in."""

from collections.abc import Sequence
from contextlib import closing

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client

from trainer_daemon.errors import TemporaryError
from trainer_daemon.remote.runs import one_line


def missing_permissions(bucket: str, wanted: Sequence[str], *, timeout_s: float) -> Sequence[str] | None:
    """Those of the permissions that this account does not have on a bucket; None when there is no such bucket.

    Raises:
        TemporaryError: The service does not answer.
    """
    try:
        with closing(Client(project=None)) as client:
            granted = client.bucket(bucket).test_iam_permissions(list(wanted), timeout=timeout_s, retry=None)
    except exceptions.NotFound:
        return None
    except exceptions.Forbidden:
        return wanted
    except (exceptions.GoogleAPIError, GoogleAuthError, OSError) as exc:
        msg = f"cannot ask Cloud Storage about bucket {bucket}: {one_line(str(exc))}"
        raise TemporaryError(msg) from exc
    return [permission for permission in wanted if permission not in granted]
