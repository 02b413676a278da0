"""What the doctor asks of IAM and of Cloud Storage: which permissions the caller has on a service account, and on a bucket."""

from tests.emulators.kfp.call import Call, Routes
from tests.emulators.kfp.store import Document, Store
from tests.emulators.vertex.refusal import refuse


class Accounts:
    """Both services.

    Args:
        store: Where the test's settings are: `accounts` may be acted as, `buckets` maps names to permissions.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def iam_routes(self) -> Routes:
        """Of IAM."""
        return {("POST", "/projects/-/serviceAccounts/{account}:testIamPermissions"): self._on_account}

    def storage_routes(self) -> Routes:
        """Of Cloud Storage."""
        return {("GET", "/b/{bucket}/iam/testPermissions"): self._on_bucket}

    def _on_account(self, call: Call) -> Document:
        usable = call.path["account"] in self._store.setting("accounts", [])
        return {"permissions": call.body["permissions"]} if usable else {}

    def _on_bucket(self, call: Call) -> Document:
        granted = self._store.setting("buckets", {}).get(call.path["bucket"])
        if granted is None:
            refuse(404, "The specified bucket does not exist.")
        return {"kind": "storage#testIamPermissionsResponse", "permissions": granted}
