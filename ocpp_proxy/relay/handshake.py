"""The HTTP phase of a link: heads are read, routed, recorded and passed on byte-exact; the CSMS decides.

Only a 101 makes a tunnel. Until the status line is known, bytes behind an upgrade head are held; after any other answer
HTTP framing goes on, and each next head is read anew on the same upstream connection. The CSMS is dialled only after a
complete head.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct, structs

from ocpp_proxy.core.entering import Entered
from ocpp_proxy.relay import answers, lenient, route
from ocpp_proxy.relay.dial import Failure, dial
from ocpp_proxy.relay.entrance import Dial, answer, ask, led, offer, version
from ocpp_proxy.relay.environment import Environment, tls_of
from ocpp_proxy.relay.hello import HANDSHAKE, parse
from ocpp_proxy.relay.leg import HELD, Leg
from ocpp_proxy.relay.link import Link
from ocpp_proxy.relay.validity import chain_text, peer_chain
from ocpp_proxy.wire.credentials import credential_facts
from ocpp_proxy.wire.http import AMBIGUOUS, RequestHead, find_head, parse_request, parse_response, text_of
from ocpp_proxy.wire.http_body import BodyReader
from ocpp_proxy.wire.http_edit import mask_authorization, rewrite
from ocpp_proxy.wire.spool import CSMS, STATION, Head, Kind, encode_body

HOLD_BYTES = 64 << 10                       # held behind an upgrade head, or while dialling
MAX_ASKED = 64                              # requests of one link that wait for an answer
MAX_ANSWER_HEAD = 64 << 10                  # a longer answer head is passed on as it comes
LINGER_SECONDS = 2.0                        # after an answer of our own: for the charger to read it and close


class Asked(Struct):
    """A request that waits for its answer. ``facts`` of its credentials are told when the CSMS refuses them."""

    method: str
    upgrade: bool
    repairs: lenient.Repairs | None = None
    facts: tuple[str, ...] = ()
    entered: Entered = Entered()


class HttpPhase:
    """Both directions until the tunnel. ``kept``: station bytes not passed on yet; ``answer``: the same of the CSMS."""

    def __init__(self, link: Link, peer: str) -> None:
        self.link = link
        self.env: Environment = link.env
        self.peer = peer                    # the charger's address, the last resort of an identity
        self.kept = b""
        self.answer = b""
        self.body: BodyReader | None = None
        self.answer_body: BodyReader | None = None
        self.asked: deque[Asked] = deque()
        self.pending: list[tuple[bytes, int]] = []      # what goes to the CSMS once it is dialled, and its size as read
        self.heads = 0
        self.over = False                   # we have answered ourselves, or the link ends
        self.station_fin = False
        self.dialling: asyncio.Task[None] | None = None
        self.identity = ""
        self.upstream = link.env.upstream   # unless plugins lead it elsewhere
        self.dial: Dial | None = None       # plugins are being asked about it
        self.head_timer: asyncio.TimerHandle | None = None
        self.answer_timer: asyncio.TimerHandle | None = None
        link.phase = self
        link.station.reader = self.from_station
        self._await_head()

    # ---- from the station ----

    def from_station(self, data: bytes) -> None:
        """Bytes of the charger."""
        self.kept += data
        self._pump()
        waiting = len(self.kept) + sum(size for _, size in self.pending)
        if waiting >= HOLD_BYTES:
            self.link.station.hold(HELD)

    def _pump(self) -> None:
        """Pass on what is complete: bodies as they come, heads when they are whole."""
        while self.kept and not self.over:
            if self.body is not None:
                taken = self.body.feed(self.kept)
                chunk, self.kept = self.kept[:taken], self.kept[taken:]
                if chunk:
                    self._record(STATION, chunk)
                if self.body.ended:
                    self.body = None
                continue
            if self._waiting():
                return
            if not self._next_head():
                return

    def _waiting(self) -> bool:
        """Whether what the charger sends now is held until an answer."""
        return self.dial is not None or (bool(self.asked) and (self.asked[-1].upgrade or len(self.asked) >= MAX_ASKED))

    def _next_head(self) -> bool:
        limits = self.env.config.limits
        if self.kept[0] == HANDSHAKE and not self.heads:
            self._tls_on_plain()
            return False
        end = find_head(self.kept)
        if end > limits.head_bytes or (end < 0 and len(self.kept) > limits.head_bytes):
            self._refuse(431, f"the request head is larger than {limits.head_bytes} bytes")
            return False
        if end < 0:
            self._await_head()
            return False
        raw, self.kept = self.kept[:end], self.kept[end:]
        head = parse_request(raw)
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
        self.env.half_open.pop(self.link.number, None)
        self._request(raw, head)
        return not self.over

    def _request(self, raw: bytes, head: RequestHead) -> None:
        """Route a complete head, record it, send it on."""
        env, limits = self.env, self.env.config.limits
        self.heads += 1
        subject = self.link.station_tls.subject if self.link.station_tls else ""
        self.identity, source = route.identity_of(head.target, head.basic_user, subject, self.peer)
        refused = None
        if len(head.headers) > limits.head_headers:
            refused = 431, f"the request head has more than {limits.head_headers} headers"
        elif head.ambiguous and env.config.ambiguous_heads == "refuse":
            words = ", ".join(AMBIGUOUS[code] for code in head.ambiguous)
            refused = 400, f"two parsers could read the request head differently: {words}"
        dial = Dial(raw, head, source)
        if refused is not None:
            self._head(STATION, raw, self._told(dial, Entered())[0])
            self.link.not_sent(STATION, len(raw))
            self._refuse(*refused)
            return
        self.dial = dial
        if not head.upgrade or not ask(self.link, dial, self.identity, self._entered):
            self._entered(Entered())

    def _entered(self, entered: Entered) -> None:
        """Plugins have decided about a dial; where none is asked, it goes on as it is."""
        dial, self.dial = self.dial, None
        if dial is None:                    # it is over
            return
        raw, head = dial.raw, dial.head
        if head.upgrade:
            self.upstream, entered = led(self.link, self.upstream, entered)
        body, sent, repairs = self._told(dial, entered)
        if entered.status:
            self._head(STATION, raw, body)
            self.link.not_sent(STATION, len(raw))
            self._refuse(entered.status, f"plugin {entered.plugin}: {entered.reason or 'refused'}", "refused")
            return
        self._head(STATION, raw, body, self._to_csms, (sent, len(raw)))
        facts = credential_facts(head.get(b"authorization"), self.identity if dial.source == "path" else "")
        self.asked.append(Asked(head.method, head.upgrade, repairs, facts, entered))
        self.body = BodyReader(head.body, head.length)
        self.body = None if self.body.ended else self.body
        self._reach()
        if head.upgrade:
            self._pump()                    # what came while plugins were asked

    def _told(self, dial: Dial, entered: Entered) -> tuple[Head, bytes, lenient.Repairs | None]:
        """The record of a request head, the head as it is sent on, and its repairs."""
        raw, head = dial.raw, dial.head
        sent, target, repairs = self._edit(raw, head)
        sent, words = offer(sent, head, entered)
        return Head(
            self._shown(raw), len(raw), self._shown(sent) if sent != raw else b"", 0, head.target_text, self.identity,
            dial.source, self.upstream.origin + text_of(target), (*head.problems, *head.ambiguous),
            (*(repairs.words if repairs else ()), *words),
        ), sent, repairs

    def _edit(self, raw: bytes, head: RequestHead) -> tuple[bytes, bytes, lenient.Repairs | None]:
        """The head as it is sent on, its target, and the repairs: byte-exact but for routing and, in lenient, repairs."""
        env = self.env
        target = route.upstream_target(self.upstream, head.target)
        host = route.upstream_host(env.config.host, head.get(b"host"), self.upstream, env.names)
        repairs = None
        if env.config.handshake == "lenient" and head.upgrade:
            repairs = lenient.repair(head, env.config.subprotocol, secrets.token_bytes(16))
            target, words = lenient.clean_target(target)
            if host is None and head.get(b"host") is None:
                host = self.upstream.authority.encode()
                words = "; ".join(filter(None, (words, "added the Host header")))
            if words:
                repairs = structs.replace(repairs, words=(*repairs.words, words))
        changed = target if target != head.target else None
        if changed is None and host is None and (repairs is None or not repairs.words):
            return raw, target, repairs
        if repairs is None:
            return rewrite(raw, target=changed, host=host), target, None
        sent = rewrite(
            raw, target=changed, version=repairs.version, host=host, replace=repairs.replace, add=repairs.add,
            crlf=repairs.crlf,
        )
        return sent, target, repairs

    def _reach(self) -> None:
        """Dial the CSMS unless it is there; an upgrade gets its answer within ``dial_seconds`` or a 504."""
        env = self.env
        if self.asked[-1].upgrade:
            self.answer_timer = env.loop.call_later(env.config.limits.dial_seconds, self._no_answer)
        if self.link.csms is not None or self.dialling is not None:
            return
        plain = not self.upstream.secure and not route.is_loopback(self.upstream.host)
        if self.link.station_tls and plain and not env.config.allow_plain_upstream:
            env.note("plain_upstream_refused", self.upstream.origin, self.link.number, identity=self.identity)
            self._answer(502, answers.PLAIN_UPSTREAM, "refused")
            return
        self.dialling = env.loop.create_task(self._dial())

    async def _dial(self) -> None:
        failure = await dial(self.env, self.link.new_csms, self.upstream)
        self.dialling = None
        csms = self.link.csms
        if failure is not None or csms is None or csms.closed:
            self.link.csms = None
            self.upstream_failed(failure or Failure("closed", "the CSMS closed the connection at once"))
            return
        csms.reader = self.from_csms
        env = self.env
        env.certificate("upstream_certificate", chain_text(peer_chain(csms.transport)), self.link.number, CSMS)
        pending, self.pending = self.pending, []
        for data, size in pending:
            self._to_csms((data, size))
        self.link.station.release(HELD)
        self._pass_station_fin()

    # ---- to the CSMS ----

    def _to_csms(self, item: tuple[bytes, int]) -> None:
        csms = self.link.csms
        if self.over:
            self.link.not_sent(STATION, item[1])
        elif csms is None or self.dialling is not None:
            self.pending.append(item)
        else:
            csms.write(item[0])

    def _record(self, direction: int, data: bytes) -> None:
        """Append body bytes and pass them on."""
        link = self.link
        if direction == STATION:
            link.record(STATION, Kind.IN, data, len(data), self._to_csms, (data, len(data)))
        else:
            link.record(CSMS, Kind.IN, data, len(data), link.station.write, data)

    def _head(
        self, direction: int, raw: bytes, body: Head, call: Callable[[Any], object] | None = None, argument: Any = None,
    ) -> None:
        self.link.record(direction, Kind.HEAD, encode_body(body), len(raw), call, argument)

    def _shown(self, raw: bytes) -> bytes:
        return raw if self.env.config.capture.keep_secrets else mask_authorization(raw)

    # ---- from the CSMS ----

    def from_csms(self, data: bytes) -> None:
        """Bytes of the CSMS: answers, whatever they are."""
        self.answer += data
        while self.answer and self.link.phase is self:
            if self.answer_body is not None:
                taken = self.answer_body.feed(self.answer)
                chunk, self.answer = self.answer[:taken], self.answer[taken:]
                if chunk:
                    self._record(CSMS, chunk)
                if self.answer_body.ended:
                    self.answer_body = None
            elif not self._answer_head():
                return

    def _answer_head(self) -> bool:
        end = find_head(self.answer)
        if not b"HTTP/".startswith(self.answer[:5]) or (end < 0 and len(self.answer) > MAX_ANSWER_HEAD):
            self.answer_body = BodyReader("close")      # not HTTP: passed on as it is
            self._answered()
            return True
        if end < 0:
            return False
        raw, self.answer = self.answer[:end], self.answer[end:]
        asked = self.asked[0] if self.asked else Asked("GET", False)
        head = parse_response(raw, asked.method)
        sent = raw
        if head.status == 101 and asked.repairs is not None:
            sent = lenient.restore(raw, head, asked.repairs)
        words: tuple[str, ...] = ()
        if head.status == 101:
            sent, words = answer(sent, head, asked.entered)
        csms = self.link.csms
        assert csms is not None
        facts = asked.facts if head.status == 401 else ()
        self._head(CSMS, raw, Head(
            raw, len(raw), sent if sent != raw else b"", head.status, problems=(*head.problems, *head.ambiguous, *facts),
            repairs=words, csms_tls=tls_of(csms.transport),
        ), self.link.station.write, sent)
        if head.status == 101:
            self._tunnel(head.extensions, head.protocol, asked.entered.protocol(head.protocol))
        elif not 100 <= head.status < 200:
            self.answer_body = BodyReader(head.body, head.length)
            self.answer_body = None if self.answer_body.ended else self.answer_body
            self._answered()
        return True

    def _answered(self) -> None:
        """The final answer to the oldest request has begun: what was held behind it may be a next head."""
        if self.asked:
            self.asked.popleft()
        self._cancel_answer_timer()
        self._pump()
        if len(self.kept) < HOLD_BYTES:
            self.link.station.release(HELD)

    def _tunnel(self, extensions: str, chosen: str, told: str) -> None:
        link, kept, answer = self.link, self.kept, self.answer
        assert link.csms is not None
        self._cancel_answer_timer()
        self.kept = self.answer = b""
        link.tunnel(extensions, self.identity, told, (version(self.env, told), version(self.env, chosen)))
        if kept:
            link.station.data_received(kept)
        if answer:
            link.csms.data_received(answer)
        if self.station_fin:
            self.env.turn.flush()
            link.pass_fin(link.station)

    # ---- ends ----

    def fin(self, leg: Leg) -> bool:
        """FIN on plain TCP, from either side."""
        if leg.direction == CSMS:
            return self._csms_ended()
        self.station_fin = True
        if self.over:
            return False
        if not self.heads or (self.kept and not self._waiting()):
            self._no_head("closed by the charger")
        if self.dialling is None and self.link.csms is None:
            self.stop()
            leg.close()
            return True
        self._pass_station_fin()
        return True

    def gone(self, leg: Leg, how: str) -> bool:
        """A connection is over."""
        if leg.direction == CSMS:
            return self._csms_ended()
        if not self.over and (not self.heads or (self.kept and not self._waiting())):
            self._no_head({"fin": "closed", "rst": "reset"}.get(how, how) + " by the charger")
        self.stop()
        return False

    def stop(self) -> None:
        """The link is ending: no timer, dial or held byte survives."""
        self.over = True
        self._cancel_answer_timer()
        if self.head_timer is not None:
            self.head_timer.cancel()
        if self.dialling is not None:
            self.dialling.cancel()
            self.dialling = None
            if self.link.csms is not None:
                self.link.csms.close()
        if self.dial is not None:           # plugins will be too late
            self._head(STATION, self.dial.raw, self._told(self.dial, Entered())[0])
            self.link.not_sent(STATION, len(self.dial.raw))
            self.dial = None
        self.link.not_sent(STATION, sum(size for _, size in self.pending))
        self.pending = []
        self._spill()

    def _spill(self) -> None:
        """Record the bytes that will not be passed on any more."""
        if self.kept:
            kept, self.kept = self.kept, b""
            self.link.record(STATION, Kind.IN, kept, len(kept))
            self.link.not_sent(STATION, len(kept))

    def _pass_station_fin(self) -> None:
        """The charger has ended its direction: pass that on once nothing of it is held back."""
        csms = self.link.csms
        if self.station_fin and self.dialling is None and csms is not None and not self.kept:
            self.env.turn.flush()
            self.link.pass_fin(self.link.station)

    def _csms_ended(self) -> bool:
        """The CSMS ended. Partial answers go on first; an upgrade it never answered is a failed upstream."""
        if self.over:
            return True
        if self.answer:
            rest, self.answer = self.answer, b""
            self._record(CSMS, rest)
            self.env.turn.flush()
            return False
        if self.asked and self.answer_body is None:
            self.upstream_failed(Failure("closed", "the CSMS closed the connection without an answer"))
            return True
        return False

    def _await_head(self) -> None:
        if self.head_timer is None:
            self.head_timer = self.env.loop.call_later(self.env.config.limits.head_seconds, self._head_late)

    def _head_late(self) -> None:
        self.head_timer = None
        self._no_head(f"no complete head within {self.env.config.limits.head_seconds:g} s")
        self.link.shut("timeout")

    def _no_head(self, how: str) -> None:
        count = len(self.kept)
        self._spill()
        self.env.note("no_head", f"{how}, {count} bytes seen", self.link.number)

    def _no_answer(self) -> None:
        self.answer_timer = None
        seconds = self.env.config.limits.dial_seconds
        self.upstream_failed(Failure("timeout", f"no answer from {self.upstream.origin} within {seconds:g} s"))

    def _cancel_answer_timer(self) -> None:
        if self.answer_timer is not None:
            self.answer_timer.cancel()
            self.answer_timer = None

    # ---- our own answers ----

    def upstream_failed(self, failure: Failure) -> None:
        """The CSMS could not be reached or ended before its answer: 502 or 504 with the reason, never a 101."""
        if self.over:
            return
        self.env.note("upstream_failed", failure.text, self.link.number, CSMS, self.identity)
        if self.env.config.upstream_down == "reset":
            self.link.abort("error")
            return
        self._answer(504 if failure.reason == "timeout" else 502, f"the CSMS could not be reached: {failure.text}", "error")

    def _refuse(self, status: int, why: str, kind: str = "head_refused") -> None:
        self.env.half_open.pop(self.link.number, None)
        self._spill()
        self.env.note(kind, f"{status}: {why}", self.link.number, identity=self.identity)
        self._answer(status, why, "refused")

    def _tls_on_plain(self) -> None:
        text = parse(self.kept).text
        self._spill()
        self.env.note("tls_hello", text, self.link.number)
        self.env.note("tls_on_plain", "the charger speaks TLS, but no certificate is configured", self.link.number)
        self.link.shut("refused")

    def _answer(self, status: int, why: str, how: str) -> None:
        """Answer in the CSMS's place and end the link, so that the charger can read it first."""
        link, station = self.link, self.link.station
        self.env.turn.flush()
        self.stop()
        if not link.how:
            link.how = how
        if link.csms is not None:
            link.csms.reset(0)
        station.reader = self._discard
        station.release(HELD)
        offset = link.csms.offset if link.csms is not None else 0
        answer = answers.response(status, why)
        self.env.turn.add(Kind.OUT, CSMS, link.number, offset, answer, station.write, answer)
        self.env.turn.flush()
        station.end()
        self.env.loop.call_later(LINGER_SECONDS, station.close)

    def _discard(self, data: bytes) -> None:
        """What comes behind the request we refused: recorded, not passed on."""
        self.kept = data
        self._spill()
