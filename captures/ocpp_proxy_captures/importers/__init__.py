"""Readers of foreign logs: each gives records as if the traffic had been seen."""
