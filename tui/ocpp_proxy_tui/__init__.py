"""The terminal UI: live traffic and captures on one screen. It only looks; everything it shows comes from a ``Source``."""
