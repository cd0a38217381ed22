"""Rules with ``isolate``: each has a relay worker of its own, so that what a plugin does to its process hits nobody else.

Worker 0 has all other links. The rules are numbered in their order: the first isolated one is worker 1.
"""

from msgspec import structs

from ocpp_proxy.config import Config, LinkRule


def isolated(config: Config) -> tuple[LinkRule, ...]:
    """The rules with a worker of their own: those of workers 1, 2 and so on."""
    return tuple(rule for rule in config.links if rule.isolate)


def part_of(config: Config, worker: int) -> Config:
    """The configuration as that worker follows it: its own rule, or (worker 0) those that are nobody's own.

    A worker whose rule is gone from the configuration has none.
    """
    own = isolated(config)
    rules = own[worker - 1 : worker] if worker else tuple(rule for rule in config.links if not rule.isolate)
    return structs.replace(config, links=rules)
