"""Terminal UI for ocpp-proxy."""
