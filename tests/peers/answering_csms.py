"""A CSMS that answers every Call of a station, on any subprotocol and any target: ``python answering_csms.py PORT``.

It reads the handshake itself, since no library accepts the raw blank in the request target that a real station sends.
"""

import json
import socket
import sys

from tests.peers.websocket import CLOSE, TEXT, FrameReader, accept_value, frame, read_head, switching

BODIES = {
    "BootNotification": {"status": "Accepted", "currentTime": "2026-11-22T16:00:00Z", "interval": 60},
    "Heartbeat": {"currentTime": "2026-11-22T16:00:00Z"},
}


def serve(link: socket.socket) -> None:
    """Answer one connection to its end."""
    data = b""
    while (head := read_head(data)) is None:
        data += link.recv(65536)
    offered = head.values("Sec-WebSocket-Protocol")[0].split(b",")[0].strip().decode()
    link.sendall(switching(protocol=offered, accept=accept_value(head.values("Sec-WebSocket-Key")[0].decode())))
    reader, done = FrameReader(), 0
    reader.feed(data[len(head.raw) :])
    while True:
        for one in reader.frames[done:]:
            done += 1
            if one.opcode == TEXT:
                _, ident, action, _ = json.loads(one.payload)
                link.sendall(frame(TEXT, json.dumps([3, ident, BODIES[action]]).encode()))
            elif one.opcode == CLOSE:
                link.sendall(frame(CLOSE, one.payload))
                return
        if not (data := link.recv(65536)):
            return
        reader.feed(data)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        print("ready", flush=True)
        while True:
            accepted, _ = server.accept()
            with accepted:
                serve(accepted)
