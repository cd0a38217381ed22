"""Spool records to frames, messages, exchanges, transactions and findings; the Session of frame mode. Sans-I/O."""
