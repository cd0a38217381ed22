"""What the standards say, as data: versions, actions, directions, error codes, schemas and our errata to them."""

from ocpp_proxy.spec.guessing import fits, guess

__all__ = ["fits", "guess"]
