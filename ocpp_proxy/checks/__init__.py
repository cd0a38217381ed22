"""Findings: one file a family, a rule is one small function with a code. Sans-I/O."""
