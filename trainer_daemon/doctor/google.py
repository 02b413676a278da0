"""Checks of a model on Google Cloud: its bucket, its subscription, and the way from the one to the other."""

import os
from contextlib import ExitStack, closing
from functools import cached_property

from trainer_daemon.adapters.gcs import StorageBucket, open_client
from trainer_daemon.adapters.pubsub import PubsubSubscription
from trainer_daemon.config import ModelSettings
from trainer_daemon.doctor.machine import STORAGE_VARIABLE
from trainer_daemon.policy.checks import Finding, ok, skipped
from trainer_daemon.policy.delivery import SubscriptionConfig, judge_notifications, judge_settings, judge_subscription
from trainer_daemon.policy.drop_names import judge_names
from trainer_daemon.policy.objects import place_of
from trainer_daemon.probing import Probe

NAMES_MAX = 5000


class GoogleChecks:
    """The checks of one model.

    Args:
        settings: Of the model.
        resources: Closes the client.
    """

    def __init__(self, settings: ModelSettings, resources: ExitStack) -> None:
        self._settings = settings
        self._resources = resources
        self._place = place_of(settings.bucket, settings.drops)
        self._subscription: SubscriptionConfig | None = None

    def probes(self) -> tuple[Probe, ...]:
        """In the order in which they need one another."""
        model = self._settings.name
        bucket = Probe(name="bucket", model=model, look=self._look_at_bucket, deadline_s=15.0)
        drops = Probe(name="drops", model=model, look=self._look_at_drops, needs=(bucket,), deadline_s=20.0)
        subscription = Probe(name="subscription", model=model, look=self._look_at_subscription, deadline_s=15.0)
        if not self._settings.subscription:
            return bucket, drops, subscription
        needs = (subscription,)
        settings = Probe(name="subscription settings", model=model, look=lambda: judge_settings(self._described), needs=needs)
        notification = Probe(name="notification", model=model, look=self._look_at_notification, needs=(bucket, subscription))
        return bucket, drops, subscription, settings, notification

    @cached_property
    def _bucket(self) -> StorageBucket:
        client = self._resources.enter_context(closing(open_client()))
        return StorageBucket(self._place, client)

    @property
    def _described(self) -> SubscriptionConfig:
        """Known once the subscription was looked at, which every check that asks needs."""
        self._subscription = self._subscription or PubsubSubscription(self._settings.subscription).describe()
        return self._subscription

    def _look_at_bucket(self) -> Finding:
        self._bucket.check()
        return ok(f"{self._place.uri} can be listed")

    def _look_at_drops(self) -> Finding:
        names, is_complete = self._bucket.names(NAMES_MAX)
        if not is_complete and not any(name.startswith(self._beginning) for name in names):
            names, is_complete = self._bucket.names(NAMES_MAX, beginning=self._beginning)
        return judge_names(names, self._settings.drops, where=self._place.uri, is_complete=is_complete)

    @property
    def _beginning(self) -> str:
        return self._place.listed_prefix.removeprefix(self._place.prefix)

    def _look_at_subscription(self) -> Finding:
        if not self._settings.subscription:
            return skipped(f"none is configured: drops are found by listing every {self._settings.listing_interval_s:g} s")
        return judge_subscription(self._described, self._place)

    def _look_at_notification(self) -> Finding:
        configs = self._bucket.notifications()
        if configs is not None:
            return judge_notifications(configs, self._place, self._described.topic)
        if os.environ.get(STORAGE_VARIABLE):
            return skipped("the storage emulator cannot be asked for it")
        bucket = self._place.bucket
        return skipped(
            "this account may not look at it, which the daemon need not either",
            f"gcloud storage buckets notifications list gs://{bucket}, as somebody who may",
        )
