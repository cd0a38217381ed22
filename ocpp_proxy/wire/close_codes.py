"""What the codes of a Close frame mean (RFC 6455 section 7.4.1 and the IANA registry it founded)."""

MEANINGS = {
    1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "unsupported data",
    1004: "reserved, must not be sent", 1005: "no code was given, must not be sent",
    1006: "ended without a Close frame, must not be sent", 1007: "data does not fit its type (text that is not UTF-8)",
    1008: "policy violation", 1009: "message too big", 1010: "an extension the client asked for is missing",
    1011: "internal error of the server", 1012: "service restart", 1013: "try again later",
    1014: "bad gateway", 1015: "TLS handshake failed, must not be sent",
}


def meaning(code: int) -> str:
    """What a code means; of the ranges without single meanings who may use them."""
    known = MEANINGS.get(code)
    if known is not None:
        return known
    if 3000 <= code < 4000:
        return "registered for libraries and frameworks"
    return "private use" if 4000 <= code < 5000 else "not a valid code"
