"""Regular expressions of the filter language (``~``), in time linear in the text, whatever pattern or text.

A backtracking engine can be stalled for hours by a pattern like ``(a+)+$`` and a text that a charger chooses, and no
simple look at a pattern excludes all such pairs. So the matching is done by an automaton: the Rust ``regex`` crate, as
it sits in jsonschema-rs (0.2 µs a call, compiled size bounded). DuckDB's RE2 speaks nearly the same dialect. No
look-around and no back-references; ``\\d \\w \\s`` are ASCII; ``(?i)`` at the start ignores case.
"""

from collections.abc import Callable
from functools import lru_cache

from jsonschema_rs import Draft7Validator, RegexOptions

from ocpp_proxy.model import ConfigError

MAX_PATTERN = 500
_SIZE = 1 << 20                             # bytes of a compiled pattern


@lru_cache(maxsize=64)
def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that says whether the pattern occurs in a text. Raises ``ConfigError`` when it cannot be compiled."""
    if len(pattern) > MAX_PATTERN:
        raise ConfigError(f"the pattern is longer than {MAX_PATTERN} characters")
    rust = f"(?i:{pattern[4:]})" if pattern.startswith("(?i)") else pattern
    try:
        options = RegexOptions(size_limit=_SIZE, dfa_size_limit=_SIZE)
        matches: Callable[[str], bool] = Draft7Validator({"pattern": rust}, pattern_options=options).is_valid
    except ValueError:
        raise ConfigError("no valid pattern (look-around and back-references are not available)") from None

    def search(text: str) -> bool:
        try:
            return matches(text)
        except UnicodeEncodeError:          # a lone surrogate, from an escape in JSON
            return matches(text.encode("utf-8", "replace").decode())
    return search
