"""UIDs that can be trusted as keys and as file names, whatever the header says."""

import hashlib
import re

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MAX_LENGTH = 64


def is_uid(text: str) -> bool:
    """Say whether a text may serve as a UID: digits and single dots, at most 64 characters.

    Leading zeros in a component break PS3.5 9.1 but are harmless and common, so they pass.
    """
    return len(text) <= _MAX_LENGTH and _UID.fullmatch(text) is not None


def derived_uid(*parts: str) -> str:
    """Make the UID that the same parts always give, under the root 2.25 (PS3.5 B.2).

    Its number is the first 128 bits of the SHA-256 of the parts.
    """
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def usable_uid(text: str) -> str:
    """Keep a well-formed or empty UID, replace a malformed one by a derived one."""
    if not text or is_uid(text):
        return text
    return derived_uid("malformed", text)
