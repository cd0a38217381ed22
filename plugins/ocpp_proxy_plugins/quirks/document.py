"""The page of the profiles, made from what they say."""

import inspect
from typing import get_args

from msgspec import structs

from ocpp_proxy_plugins.quirks.profile import PROFILES, Profile
from ocpp_proxy_plugins.quirks.repairs import Repair
from ocpp_proxy_plugins.quirks.texts import Mend

_HEAD = """# quirks

Repairs known faults of chargers and CSMSs on their way, by profiles. This page is made by
`python -m ocpp_proxy_plugins.quirks`.

    ocpp-proxy run wss://csms.example/ocpp --plugin quirks:profiles=frequency-hz+letter-case

| option | |
|---|---|
| `profiles` | names, as a list or joined by `+`; `auto`: all that are for the charger and cannot do harm. Default: none |
| `own` | [profiles of your own](#a-profile-of-your-own), as tables |
| `everyone` | whether the named profiles are also for chargers they are not made for, false |

    [plugins.quirks]
    profiles = ["auto", "unset-clock"]

`ocpp-proxy check` says which profile would repair what it found: it runs each profile over the offending message and judges
what comes out. A profile for certain chargers waits for the BootNotification that names vendor, model and firmware; what it
said last is kept per charger.

What a repair did is told: the finding `quirks-repaired` at the first message of a connection (and how many it were at its end),
the reason of the replaced message in the capture, and an entry of the loss ledger for each value that is cut, left out or made
up. All other messages pass as the bytes they were. The digits of a decimal number may change their form in a message that is
repaired (8.10 becomes 8.1).
"""
_TABLE = """
## Profiles

`auto` takes those marked with *.

| profile | repairs | findings | for |
|---|---|---|---|
"""
_OPERATIONS = """
## A profile of your own

    [[plugins.quirks.own]]
    name = "acme-vendor"
    title = "A vendor that changes its name with the firmware"
    detects = []
    vendor = "ACME*"
    actions = ["BootNotification"]
    repairs = [{do = "map", path = "$.chargePointVendor", values = {"ACME GmbH" = "ACME"}}]

| key | |
|---|---|
| `name`, `title`, `detects` | what it is called, what it repairs, and the findings that go away by it; all three needed |
| `vendor`, `model`, `firmware` | of the charger it is for, as its BootNotification says, in any case, with `*` and `?`; all |
| `sender`, `message`, `actions`, `versions` | what it looks at: `station` (default), `csms` or `any`; \
`call` (default), `answer` or `any`; actions with `*`; OCPP versions, all |
| `repairs`, `mends` | the [operations](#operations), on values and on texts that are no message |
| `offers` | of a handshake: `when` (`missing`, `spelling`) the charger's subprotocol is, the CSMS is offered `protocols` |
| `harmless` | whether `auto` takes it, false |
| `setting` | what of the proxy's own settings repairs it instead |
| `about`, `source` | what a user should know before; where the fault is documented |
| `conversation`, `untouched` | a message it repairs and one that it leaves alone, as for `ocpp_proxy.testing.play` |

## Operations

What `repairs` (of values) and `mends` (of texts that are no message) of a profile are made of. A path is
one as in [rewrite](rewrite.md#paths): `$.meterValue[*].sampledValue[*].unit`, `$..timestamp` at any depth.

| do | with | |
|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    rows = "".join(
        f"| [{one.name}](#{one.name}){' *' if one.harmless else ''} | {_cell(one.title)} | {', '.join(one.detects) or '-'} |"
        f" {_whose(one)} |\n"
        for one in PROFILES.values()
    )
    return _HEAD + _TABLE + rows + "".join(_section(one) for one in PROFILES.values()) + _operations()


def _whose(profile: Profile) -> str:
    words = [word for word in (profile.vendor, profile.model, profile.firmware) if word != "*"]
    who = " ".join(words) or {"station": "all chargers", "csms": "all CSMSs", "any": "both sides"}[profile.sender]
    versions = ", ".join(profile.versions)
    return _cell(f"{who}{f', OCPP {versions}' if versions else ''}")


def _section(profile: Profile) -> str:
    shown = profile.conversation.strip() or f"ocpp-proxy run {profile.setting}"
    sources = "\n".join(f"- {f'<{source}>' if source.startswith('https:') else source}" for source in profile.source)
    about = f"\n{profile.about}\n" if profile.about else ""
    return f"\n### {profile.name}\n\n{profile.title}.\n{about}\n```\n{_printable(shown)}\n```\n\n{sources}\n"


def _operations() -> str:
    rows = []
    for kind in (*get_args(Repair), *get_args(Mend)):
        takes = ", ".join(f"`{field.name}`" for field in structs.fields(kind))
        rows.append(f"| `{structs_tag(kind)}` | {takes} | {_cell(_about(kind))} |")
    return _OPERATIONS + "\n".join(rows) + "\n"


def structs_tag(kind: type) -> str:
    """The name of an operation in TOML."""
    return str(kind.__struct_config__.tag)    # type: ignore[attr-defined]


def _about(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split()).replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _printable(text: str) -> str:
    return "".join(f"<{ord(sign):02x}>" if ord(sign) < 32 and sign != "\n" else sign for sign in text)
