"""Bytes to frames, OCPP-J messages, HTTP heads and spool records, and back. Sans-I/O: no sockets, no clock."""
