"""Which resource a reference means: relative, absolute, inside a bundle, in any version."""

import re
from dataclasses import dataclass, field

from pipeline.history.fhir.files import Found

_TAIL = re.compile(r"(?:^|/)(?P<tail>[A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")


def own_key(found: Found) -> str:
    """Return what tells a resource apart from all others; "" if nothing does."""
    if found.url:
        return found.url
    kind = type(found.resource).__name__
    return f"{kind}/{found.resource.id}" if found.resource.id else ""


@dataclass(slots=True)
class Directory:
    """The resources of one kind, under every name by which others may call them.

    Parameters
    ----------
    names
        Reference to key; "" where two resources have the same name, so it means neither.
    """

    names: dict[str, str] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        """Enter a resource under its fullUrl and under its type and id."""
        key = own_key(found)
        names = {key}
        if found.resource.id:
            names.add(f"{type(found.resource).__name__}/{found.resource.id}")
        for name in names:
            self.names[name] = key if self.names.get(name, key) == key else ""

    def key_of(self, reference: str) -> str:
        """Return the key of the resource that a reference means; "" if that is not known.

        An absolute URL means a resource that was found without any URL if type and id agree, but
        never one that was found under another URL: another server's patient 1 is somebody else.
        """
        if reference in self.names:
            return self.names[reference]
        form = _TAIL.search(reference)
        if form is None:
            return ""
        tail = form["tail"]
        versionless = reference.partition("/_history/")[0]
        if versionless in self.names:
            return self.names[versionless]
        is_relative = versionless == tail
        key = self.names.get(tail, "")
        return key if is_relative or key == tail else ""
