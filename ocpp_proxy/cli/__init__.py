"""Command line: one file a command, bodies import lazily."""
