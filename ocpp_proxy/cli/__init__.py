"""Command line: one file a command; bodies import lazily, so that ``--help`` loads nothing heavy."""


def main() -> None:
    """Entry point of ``ocpp-proxy``. Exit codes: 0 ok, 1 findings, 2 usage, 3 cannot connect, 4 corrupt."""
    from ocpp_proxy.cli.app import run_app

    raise SystemExit(run_app())
