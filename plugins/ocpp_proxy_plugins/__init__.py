"""Plugins that come with ocpp-proxy; each enters by entry point, as a stranger's would."""
