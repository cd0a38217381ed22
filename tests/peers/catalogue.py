"""All subjects of transparency in one place: importing the category files registers them."""

from types import ModuleType

from tests.peers import closing, control, deflate, frames, handshake, http_errors, load, soap, violations
from tests.peers.harness import SUBJECTS, Subject

CATEGORIES: dict[str, tuple[ModuleType, int]] = {
    "handshake": (handshake, 21), "http errors": (http_errors, 11), "frames": (frames, 15), "control": (control, 4),
    "deflate": (deflate, 4), "violations": (violations, 17), "closing": (closing, 19), "load": (load, 5), "soap": (soap, 4),
}
ALL: tuple[Subject, ...] = tuple(SUBJECTS.values())


def category(one: Subject) -> str:
    """The category a subject belongs to."""
    return next(name for name, (module, _) in CATEGORIES.items() if one.script.__module__ == module.__name__)
