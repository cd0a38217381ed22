"""The demo: simulated chargers and CSMS behind the real proxy."""
