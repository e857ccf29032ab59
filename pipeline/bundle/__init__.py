"""A trained model: networks, calibration and proofs, in memory and as a folder."""

from pipeline.bundle.bundle import Bundle, bundle_identity, least_claims_of, with_policy
from pipeline.bundle.folder import (
    CARD,
    LEAKS,
    MANIFEST,
    MAPS,
    SPLITS,
    load_bundle,
    making_of,
    save_bundle,
    split_of,
    weights_file,
)

__all__ = [
    "CARD", "LEAKS", "MANIFEST", "MAPS", "SPLITS",
    "Bundle", "bundle_identity", "least_claims_of", "load_bundle", "making_of", "save_bundle",
    "split_of", "weights_file", "with_policy",
]  # fmt: skip
