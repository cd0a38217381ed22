"""Makes payloads from a flattened schema: valid ones, and ones with a single random fault. Seeded, so repeatable."""

import copy
from collections.abc import Iterator
from random import Random

Schema = dict[str, object]


def make(schema: Schema, random: Random, full: bool = False) -> object:
    """One valid value of a schema; ``full``: with every optional property."""
    kind = schema.get("type")
    if "enum" in schema:
        options = schema["enum"]
        assert isinstance(options, list)
        return random.choice(options)
    if kind == "object" or "properties" in schema:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        assert isinstance(properties, dict) and isinstance(required, list)
        chosen = [name for name in properties if full or name in required or random.random() < 0.5]
        return {name: make(properties[name], random, full) for name in chosen}
    if kind == "array":
        items = schema.get("items", {})
        assert isinstance(items, dict)
        least = number(schema, "minItems", 0)
        return [make(items, random, full) for _ in range(random.randint(least, min(least + 2, number(schema, "maxItems", 99))))]
    if kind == "string":
        text = "2026-01-02T03:04:05Z" if schema.get("format") == "date-time" else "x" * random.randint(0, 6)
        return text[: number(schema, "maxLength", 10_000)]
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "integer":
        return random.randint(number(schema, "minimum", -5), number(schema, "maximum", 5))
    if kind == "number":
        return random.randint(0, 99) / 10
    return random.choice([1, "x", {"any": True}, None])


def number(schema: Schema, key: str, default: int) -> int:
    """A limit of a schema."""
    value = schema.get(key, default)
    assert isinstance(value, int | float)
    return int(value)


def mutants(payload: object, schema: Schema, random: Random, count: int) -> Iterator[object]:
    """Copies of a payload, each changed at one random place: gone, another type, too long, unknown value, extra, many."""
    for _ in range(count):
        changed = copy.deepcopy(payload)
        spots = list(_spots(changed))
        if not spots:
            return
        holder, key = random.choice(spots)
        value = holder[key]
        choice = random.randrange(7)
        if choice == 0:
            del holder[key]
        elif choice == 1:
            holder[key] = random.choice([None, 1, 1.5, "text", True, [], {}, "", -1, 10**20])
        elif choice == 2 and isinstance(value, str):
            holder[key] = value + "y" * random.choice([1, 15, 30, 600, 3000, 9000])
        elif choice == 3 and isinstance(value, list):
            holder[key] = value * random.choice([0, 3, 5, 1100])
        elif choice == 4 and isinstance(value, dict):
            value["somethingElse"] = 1
        elif choice == 5 and isinstance(value, str):
            holder[key] = value.swapcase()
        else:
            holder[key] = random.choice(["Accepted", "None", "Idle", "MacAddress", 0, 20.5, "2026-01-02 03:04:05"])
        yield changed


def _spots(value: object) -> Iterator[tuple[dict[object, object], object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _spots(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield value, index      # type: ignore[misc]  # lists and dicts are indexed alike here
            yield from _spots(inner)
