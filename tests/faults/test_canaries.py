"""Credentials that pass through are on the wire as sent, and nowhere on disk afterwards: forty planted ones."""

import asyncio
import base64
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from ocpp_proxy.demo.csms import Call, SimulatedCsms, simulated
from ocpp_proxy.demo.play import Proxy, proxy
from ocpp_proxy.wire import kept


class Canaries:
    """Gives out secrets nobody else has, and remembers them."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def new(self) -> str:
        word = f"Canary{len(self.planted):02d}x7Qz"
        self.planted.append(word)
        return word


def station_calls(canaries: Canaries) -> list[Call]:
    """What a CSMS of 1.6 sends that holds credentials."""
    new = canaries.new
    firmware = {"requestId": 1, "firmware": {
        "location": f"ftps://u:{new()}@h/f", "retrieveDateTime": "2026-01-01T00:00:00Z",
        "signingCertificate": "x", "signature": "y"}}
    return [
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": new()}),
        ("ChangeConfiguration", {"key": "authorizationkey", "value": new()}),
        ("UpdateFirmware", {"location": f"ftp://user:{new()}@host/fw.bin", "retrieveDate": "2026-01-01T00:00:00Z"}),
        ("GetDiagnostics", {"location": f"sftp://user:{new()}@host/in"}),
        ("GetLog", {"logType": "SecurityLog", "requestId": 2, "log": {"remoteLocation": f"https://u:{new()}@host/l"}}),
        ("SignedUpdateFirmware", firmware),
    ]


def modern_calls(canaries: Canaries) -> list[Call]:
    """What a CSMS of 2.0.1 or 2.1 sends that holds credentials."""
    new = canaries.new

    def variable(component: str, name: str) -> dict[str, Any]:
        return {"attributeValue": new(), "component": {"name": component}, "variable": {"name": name}}

    profile = {
        "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://csms.example", "messageTimeout": 30,
        "securityProfile": 2, "ocppInterface": "Wireless0",
        "apn": {"apn": "a", "apnUserName": "u", "apnPassword": new(), "simPin": 1234, "apnAuthentication": "AUTO"},
        "vpn": {"server": "s", "user": "u", "password": new(), "key": new(), "type": "IPSec"},
    }
    return [
        ("SetVariables", {"setVariableData": [
            variable("SecurityCtrlr", "BasicAuthPassword"), variable("SecurityCtrlr", "basicauthpassword")]}),
        ("SetNetworkProfile", {"configurationSlot": 1, "connectionData": profile}),
        ("UpdateFirmware", {"requestId": 1, "firmware": {
            "location": f"https://u:{new()}@host/f", "retrieveDateTime": "2026-01-01T00:00:00Z"}}),
        ("GetLog", {"logType": "SecurityLog", "requestId": 2, "log": {"remoteLocation": f"https://u:{new()}@host/l"}}),
    ]


async def visit(running: Proxy, identity: str, protocol: str, secret: str, expected: int, compressed: bool) -> list[str]:
    """Dial with Basic credentials; prod the CSMS until it has sent its Calls; give their texts as they arrived."""
    got: list[str] = []
    credentials = base64.b64encode(f"{identity}:{secret}".encode()).decode()
    async with connect(
        f"ws://{running.host}:{running.port}/{identity}", subprotocols=[Subprotocol(protocol)], proxy=None,
        compression="deflate" if compressed else None, open_timeout=60,
        additional_headers={"Authorization": f"Basic {credentials}"},
    ) as socket:
        number = 0
        while len(got) < expected:
            number += 1
            await socket.send(json.dumps([2, f"{identity}-{number}", "Heartbeat", {}]))
            for _ in range(2 if len(got) < expected else 1):
                text = await asyncio.wait_for(socket.recv(), 60)
                if str(text).startswith("[2,"):
                    got.append(str(text))
                    await socket.send(json.dumps([3, json.loads(text)[1], {"status": "Accepted"}]))
    return got


def files_with(folder: Path, words: list[str]) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for word in words:
                encoded = base64.b64encode(word.encode()).rstrip(b"=")[2:-2]
                if word.encode() in data or encoded in data:
                    yield path.name, word


def export(capture: Path, target: Path) -> None:
    subprocess.run([sys.executable, "-m", "ocpp_proxy", "export", str(capture), "-o", str(target)], check=True, timeout=60)


def unpack(folder: Path, target: Path) -> None:
    """Kept segments as their bytes were before they were compressed."""
    for path in folder.glob(f"*{kept.SUFFIX}"):
        for number, entry in enumerate(kept.read(path.read_bytes())):
            (target / f"{path.name}.{number}").write_bytes(zlib.decompress(entry.packed))


def rebuilt(capture: Path, before: Path, after: Path) -> None:
    """The capture file is damaged and repaired: the export is the same again."""
    data = bytearray(capture.read_bytes())
    for at in range(4096, len(data), 997):
        data[at] ^= 0xFF
    capture.write_bytes(data)
    command = [sys.executable, "-m", "ocpp_proxy", "doctor", "--repair", str(capture)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "made anew from" in told and " 0 gaps" in told
    export(capture, after)
    assert after.read_bytes() == before.read_bytes()


@pytest.mark.parametrize("how", ["masked", "kept", "keep-secrets"])
def test_planted_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    keep = how == "keep-secrets"
    if how == "kept":
        monkeypatch.setenv("OCPP_PROXY_CAPTURE_KEEP_SPOOL", "true")
    canaries = Canaries()
    calls = {
        "CP16": station_calls(canaries), "CP16Z": station_calls(canaries), "CS201": modern_calls(canaries),
        "CS201Z": modern_calls(canaries), "CS21": modern_calls(canaries), "CS21Z": modern_calls(canaries),
    }
    protocols = {"CP16": "ocpp1.6", "CS201": "ocpp2.0.1", "CS21": "ocpp2.1"}
    capture = tmp_path / "c.duckdb"
    csms = SimulatedCsms(script=lambda identity: calls[identity])
    arrived: list[str] = []
    options = ["--keep-secrets"] if keep else []
    with simulated(csms) as upstream, proxy(upstream, capture, *options, show=False) as running:
        for identity, wanted in calls.items():
            plain = identity.removesuffix("Z")
            arrived += asyncio.run(visit(running, identity, protocols[plain], canaries.new(), len(wanted), plain != identity))
    in_messages = [word for word in canaries.planted if any(word in text for text in arrived)]
    assert len(canaries.planted) >= 40
    assert len(in_messages) == len(canaries.planted) - len(calls)        # all but the Authorization ones came through
    export(capture, tmp_path / "out.jsonl")
    export(capture, tmp_path / "out.txt")
    if how == "kept":
        unpack(tmp_path / "c.duckdb.spool", tmp_path)
        assert list(tmp_path.glob("*.kept.*"))
        rebuilt(capture, tmp_path / "out.jsonl", tmp_path / "again.jsonl")
    hits = sorted(set(files_with(tmp_path, canaries.planted)))
    if keep:
        assert {word for name, word in hits if name == "out.jsonl"} == set(in_messages)
    else:
        assert hits == []
