"""Owns the analyser's state as a whole: links, stations, record time, timers; how it is stored and restored."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ocpp_proxy.checks.settings import Settings
from ocpp_proxy.checks.state import LinkState, Scope, StationState
from ocpp_proxy.core.deadlines import Deadlines
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.model import Frame, Link
from ocpp_proxy.spec.versions import version_of

STATIONS = 4096             # stations remembered; the one not heard of for longest goes first
FAR = "\tcsms"              # behind the key of a station: what is remembered of it on the CSMS's leg of a bridge


class Counters(Struct):
    """What is stored beside links and stations."""

    now: int
    msg_no: int
    finding_id: int
    overflow: int = 0
    beat: int = 0


_encode = msgspec.msgpack.Encoder().encode
_link = msgspec.msgpack.Decoder(LinkState).decode
_station = msgspec.msgpack.Decoder(StationState).decode
_counters = msgspec.msgpack.Decoder(Counters).decode


class Memory:
    """Links and stations by id. ``overflow``: stations that were forgotten because there were too many."""

    def __init__(self, settings: Settings, ids: Ids) -> None:
        self.ids = ids
        self.now = 0
        self.beat = 0                   # the last Beat
        self.links: dict[int, LinkState] = {}
        self.stations: dict[str, StationState] = {}
        self.deadlines = Deadlines()
        self.dirty: set[int] = set()
        self.dirty_stations: set[str] = set()
        self.overflow = 0
        self.limit_ns = int(settings.call_seconds * 1e9)

    # ---- links and stations ----

    def add_link(self, link: Link) -> LinkState:
        """A link begins."""
        state = LinkState(link=link)
        self.links[link.link_id] = state
        self.rename(state, link)
        return state

    def link_of(self, frame: Frame) -> LinkState:
        """The link of a frame; one that was never announced begins here."""
        state = self.links.get(frame.link_id)
        if state is None:
            state = self.add_link(Link(frame.link_id, frame.time_ns, ""))
        self.dirty.add(frame.link_id)
        return state

    def rename(self, state: LinkState, link: Link) -> None:
        """What is known of a link has changed: its station, its version."""
        if state.link.protocol_guessed and not link.protocol:
            link = msgspec.structs.replace(link, protocol=state.link.protocol, protocol_guessed=True)
        self._take(state, link, link.identity or f"#{link.link_id}")
        if not link.csms_protocol or link.csms_protocol == link.protocol:
            state.far = None
            return
        state.far = state.far or LinkState(is_far=True)
        beyond = msgspec.structs.replace(link, protocol=link.csms_protocol, protocol_guessed=False)
        self._take(state.far, beyond, state.station + FAR)

    def _take(self, state: LinkState, link: Link, key: str) -> None:
        state.link = link
        state.version = version_of(link.protocol)
        if state.station and state.station != key and state.station.startswith("#"):
            self.forget(state.station)
        state.station = key
        self.dirty.add(link.link_id)
        station = self.stations.pop(key, None) or StationState(identity=link.identity)
        self.stations[key] = station
        station.seen_ns = self.now
        self.dirty_stations.add(key)
        if len(self.stations) > STATIONS:
            self.overflow += 1
            self.forget(next(iter(self.stations)))

    def station_of(self, link: LinkState) -> StationState:
        """The station of a link."""
        station = self.stations.get(link.station)
        if station is None:
            key = link.station or "#0"
            station = self.stations[key] = StationState(identity=link.link.identity)
        self.dirty_stations.add(link.station)
        return station

    def forget(self, key: str) -> None:
        """Drop a station's state."""
        self.stations.pop(key, None)
        self.deadlines.disarm((0, key))
        self.dirty_stations.add(key)

    # ---- deadlines ----

    def earliest(self, scope: Scope) -> int:
        """When something of this link or station is due next; 0 when nothing is."""
        times = list(scope.deadlines.values())
        if isinstance(scope, LinkState):
            times += [
                next(iter(direction.waiting.values())).time_ns + self.limit_ns
                for direction in scope.directions if direction.waiting
            ]
            times += [at_ns for leg in (scope.far,) if leg is not None and (at_ns := self.earliest(leg))]
        return min(times, default=0)

    def rearm(self, link: LinkState) -> None:
        """Set the timers of a link and its station to what they wait for."""
        if link.deadlines:
            self.deadlines.arm((link.link.link_id, ""), min(link.deadlines.values()))
        station = self.stations.get(link.station)
        if station is not None and station.deadlines:
            self.deadlines.arm((0, link.station), min(station.deadlines.values()))

    # ---- storing ----

    def changed(self) -> dict[str, bytes | None]:
        """State pieces changed since the last call."""
        pieces: dict[str, bytes | None] = {
            "n/now": _encode(Counters(self.now, self.ids.msg_no, self.ids.finding_id, self.overflow, self.beat)),
        }
        for link_id in sorted(self.dirty):
            link = self.links.get(link_id)
            pieces[f"n/l/{link_id}"] = _encode(link) if link is not None else None
        for key in sorted(self.dirty_stations):
            station = self.stations.get(key)
            pieces[f"n/s/{key}"] = _encode(station) if station is not None else None
        self.dirty.clear()
        self.dirty_stations.clear()
        return pieces

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Take over what ``changed`` gave, in one piece or several."""
        for name, piece in pieces.items():
            if name == "n/now":
                counters = _counters(piece)
                self.now, self.overflow, self.beat = counters.now, counters.overflow, counters.beat
                self.ids.msg_no, self.ids.finding_id = counters.msg_no, counters.finding_id
            elif name.startswith("n/l/"):
                link = _link(piece)
                self.links[link.link.link_id] = link
            elif name.startswith("n/s/"):
                self.stations[name[4:]] = _station(piece)
        self.links = dict(sorted(self.links.items()))
        self.stations = dict(sorted(self.stations.items(), key=lambda item: (item[1].seen_ns, item[0])))
        for link_id, link in self.links.items():
            self._arm((link_id, ""), link)
        for key, station in self.stations.items():
            self._arm((0, key), station)

    def _arm(self, key: tuple[int, str], scope: Scope) -> None:
        at_ns = self.earliest(scope)
        if at_ns:
            self.deadlines.arm(key, at_ns)


