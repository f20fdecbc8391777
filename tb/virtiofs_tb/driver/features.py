"""Which features a target can offer, and subsets of them that are valid."""

from __future__ import annotations

import random

from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.host.port import HostCaps

from .virtio import RING_FEATURES, USUAL_FEATURES

NEEDED = {
    Feature.EVENT_IDX: "event_idx",
    Feature.ACCESS_PLATFORM: "iommu",
    Feature.RING_PACKED: "packed",
    Feature.IN_ORDER: "in_order",
    Feature.ORDER_PLATFORM: "iommu",
    Feature.NOTIFICATION_DATA: "doorbell_data",
    Feature.NOTIF_CONFIG_DATA: "doorbell_data",
    Feature.RING_RESET: "ring_reset",
}
"""The field of HostCaps that says whether a feature can be offered."""


def offerable(caps: HostCaps) -> list[Feature]:
    """Features beyond the usual ones that the target can offer, by number."""
    return [feature for feature in RING_FEATURES if getattr(caps, NEEDED[feature])]


def mask_of(*features: Feature) -> int:
    """The features as a mask of 64 bits."""
    return sum(feature.mask for feature in features)


def random_features(rng: random.Random, caps: HostCaps) -> int:
    """VERSION_1 and any of the others that the target can offer. Every subset is valid: none of them needs another."""
    usual = [feature for feature in Feature if feature.mask & USUAL_FEATURES and feature is not Feature.VERSION_1]
    chosen = [feature for feature in [*usual, *offerable(caps)] if rng.random() < 0.5]
    return mask_of(Feature.VERSION_1, *chosen)
