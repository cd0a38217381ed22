"""Which rules a worker follows."""

from ocpp_proxy.config import Config, LinkRule
from ocpp_proxy.core.isolation import isolated, part_of


def test_each_worker_has_its_part_of_the_rules() -> None:
    """Worker 0 all that are nobody's own, the others one each; whose rule is gone has none."""
    shared, other = LinkRule(plugins=("a",)), LinkRule(plugins=("b",))
    own = [LinkRule(plugins=(name,), isolate=True, listen=str(port)) for name, port in (("c", 9001), ("d", 9002))]
    config = Config(links=(own[0], shared, own[1], other), enable=("e",))
    assert isolated(config) == tuple(own)
    assert [part_of(config, worker).links for worker in range(4)] == [(shared, other), (own[0],), (own[1],), ()]
    assert part_of(config, 1).enable == ("e",)
    plain = Config(links=(shared,))
    assert part_of(plain, 0) == plain
