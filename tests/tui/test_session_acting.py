"""Acting by hand in a real terminal: a breakpoint, a held message edited in the user's editor, a Reset from its form."""

import sys
from pathlib import Path

from tests.cli.test_end_to_end import Machine
from tests.station import station
from tests.tui.tmux import terminal


def test_a_message_is_held_edited_and_sent_and_a_reset_is_answered(tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text("import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n"
                      "print('the editor has the terminal', flush=True)\n"
                      "file.write_text(file.read_text().replace('OLD', 'NEW'))\n")
    machine = Machine(tmp_path)
    control = ["--control", str(tmp_path / "control.sock")]
    with (machine.proxy("--allow-inject", "--capture", str(tmp_path / "c.duckdb"), *control) as (_, port),
          station(port) as charger, terminal(tmp_path, EDITOR=f"{sys.executable} {editor}") as window):
        window.command("tui", f"unix:{tmp_path}/control.sock")
        window.see("BootNotification")
        window.type("/", "action == Authorize", "Enter")
        window.see("action == Authorize")
        window.type("I")
        window.see("Hold the messages of all chargers")
        window.type("Enter")
        window.see("intercept 1 is set")
        charger.say("a", "Authorize", {"idTag": "OLD"})
        window.see("7 Held 1")
        window.type("7")
        window.see('idTag: "OLD"')
        window.type("e")
        assert charger.told()[:2] == [3, "a"]               # the CSMS answers what left
        window.see("0 held")
        window.type("1")
        window.until(lambda screen: "Authorize" in screen and '"NEW"' not in screen, "the row of what was received")
        window.press("o", "differs at $.idTag")
        window.see('"idTag": "NEW"')
        window.type("i")
        window.see("send to CP1 (OCPP 1.6)")
        window.type("Enter")
        window.see("Ctrl+S send")
        window.type("Hard", "Enter")
        window.see("Send Reset to the charger CP1 (OCPP 1.6)?")
        window.type("y")
        window.see("CALLRESULT after")
        assert charger.asked.get(timeout=30)[2:] == ["Reset", {"type": "Hard"}]
        window.type("Enter")
        window.type("q")
        window.see("ready>")
