"""The application: registers the commands and turns errors into one clear text and an exit code."""

import sys

import typer

from ocpp_proxy import __version__
from ocpp_proxy.cli import (
    acting,
    bridge,
    cert,
    check,
    config,
    demo,
    doctor,
    export,
    lists,
    plugins,
    query,
    replay,
    run,
    tail,
    tui,
)
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import CaptureError, ConfigError, PluginError

OK, FINDINGS, USAGE, CONNECT, CORRUPT, INTERRUPTED = 0, 1, 2, 3, 4, 130

CARD = f"""\
ocpp-proxy {__version__}: see, check and store OCPP traffic between chargers and their CSMS, without changing a byte
  ocpp-proxy run wss://csms.example/ocpp   stand between; prints the URL to type into the charger
  ocpp-proxy run simulate                  a charger on the bench, no CSMS
  ocpp-proxy demo                          simulated chargers and CSMS, nothing to configure
  ocpp-proxy tui                           the screen; tail -f: live lines (--filter 'action == Heartbeat and ms > 500')
  ocpp-proxy check                         what is wrong, and whose fault it is
  ocpp-proxy query overview                one of the ready queries (query --list), or SQL
  ocpp-proxy --help                        all commands   (chargers, tx, findings, doctor, export, plugins, inject, held ...)"""

app = typer.Typer(
    name="ocpp-proxy", rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False,
    help="See, check and store OCPP traffic between EV chargers and their central system.",
)


@app.callback(invoke_without_command=True)
def card(context: typer.Context) -> None:
    """See, check and store OCPP traffic between EV chargers and their central system."""
    if context.invoked_subcommand is None:
        print(CARD)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"ocpp-proxy {__version__}")


for module in (run, demo, tui, tail, lists, query, check, acting, export, replay, bridge, doctor, cert, config, plugins):
    module.register(app)


def run_app(arguments: list[str] | None = None) -> int:
    """Run a command line; gives the exit code. No traceback for what a user can cause."""
    try:
        typer.main.get_command(app).main(args=arguments, prog_name="ocpp-proxy")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ConfigError, PluginError) as error:
        return _tell(error, USAGE)
    except CaptureError as error:
        return _tell(error, CORRUPT)
    except ConnectionError as error:
        return _tell(error, CONNECT)
    return OK


def _tell(error: Exception, code: int) -> int:
    """Say what is wrong. The text may quote a peer (a database error quotes the value it could not convert)."""
    for line in map(safe_text, (str(error) or type(error).__name__).split("\n")):
        print(f"ocpp-proxy: {line}" if not line.startswith("  ") else line, file=sys.stderr)
    return code
