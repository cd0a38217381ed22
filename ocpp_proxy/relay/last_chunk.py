"""What a relay had at hand when it ended in a plugin's hook, appended to its spool by the one after it.

Bytes are appended once plugins have said what becomes of them, so those that a hook never came back from would be missing.
They stand in the mapped file of ``relay.hook_mark``; here they become the next record of the spool they belong to, in a segment
of its own. Where they were appended after all, the reader has a record of that number already and passes this one over.
"""

import os
import time
from pathlib import Path

from ocpp_proxy.relay import hook_mark, segments
from ocpp_proxy.wire.spool import Kind, record_header

NUMBER = 99_999_999                         # of the segment: behind all others of its incarnation


def append(spool: Path, worker: int, mark: Path) -> bool:
    """Append it, before the spool of the next relay is begun. False: no hook was running, or not all of it was kept."""
    found = hook_mark.at_hand(mark) if hook_mark.left(mark) else None
    if found is None or len(found[1].data) != found[1].size or not found[0]:
        return False
    incarnation, one = found
    try:
        segments.prepare(spool)
        segment = segments.SegmentFile(spool, worker, incarnation, NUMBER, one.seq + 1)
    except OSError:
        return False
    try:
        wall, mono = time.time_ns(), time.monotonic_ns()
        header = record_header(
            segment.start, Kind.IN, one.direction, one.seq + 1, wall, mono, one.link, one.offset, one.data)
        return os.write(segment.fd, header + one.data) == len(header) + one.size
    except OSError:
        return False
    finally:
        segment.close()
