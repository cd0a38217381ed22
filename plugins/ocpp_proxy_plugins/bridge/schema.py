"""Owns what the tables are held against: all fields of a message of the official schemas, by path."""

from collections.abc import Iterator
from functools import cache

from ocpp_proxy.spec.field_help import FieldHelp, field_help, members
from ocpp_proxy.spec.json_path import Step

DEEPEST = 10
FREE = "customData"                         # carries anything, is never carried


class Fields(dict[str, FieldHelp]):
    """Path ("a.b", "a[]" for the items of list a) -> what the schema says; without the payload itself and customData."""

    def leaves(self, root: str = "") -> Iterator[str]:
        """Paths of values under a path; of a list of values the list itself."""
        for path in self:
            if path.endswith("[]") or (root and not below(path, root)) or path == root:
                continue
            inner = f"{path}[]" if f"{path}[]" in self else path
            if not any(below(other, inner) for other in self):
                yield path

    def needed(self, path: str, filled: set[str], root: str = "") -> bool:
        """Whether a value has to be there: it is required, and each object above it (below ``root``) is, or is filled in."""
        if not self[path].required:
            return False
        for above in _above(path):
            known = self[above]
            if root and not below(above, root):
                continue
            if known.required is False and not any(one == above or below(one, above) for one in filled):
                return False
        return True


def below(path: str, root: str) -> bool:
    """Whether a path lies inside of another."""
    return path.startswith((f"{root}.", f"{root}["))


def covers(paths: set[str], path: str) -> bool:
    """Whether one of them is the path, or holds it, or is an item of it."""
    return any(path == one or below(path, one) or one == f"{path}[]" for one in paths)


def _above(path: str) -> Iterator[str]:
    for at, sign in enumerate(path):
        if sign in ".[" and at:
            yield path[:at]


@cache
def fields(version: str, action: str, answer: bool) -> Fields:
    """The fields of a message; empty where there is no such message. Nobody changes it."""
    found = Fields()
    _walk(found, (version, action, answer), (), "")
    return found


def _walk(found: Fields, key: tuple[str, str, bool], steps: tuple[Step, ...], name: str) -> None:
    if len(steps) > DEEPEST:
        return
    for member in members(*key, steps):
        inner: tuple[Step, ...] = (*steps, member)
        known = field_help(*key, inner)
        if member == FREE or known is None:
            continue
        path = f"{name}.{member}" if name else member
        found[path] = known
        item = field_help(*key, (*inner, 0))
        if item is not None:
            inner, path = (*inner, 0), f"{path}[]"
            found[path] = item
        _walk(found, key, inner, path)
