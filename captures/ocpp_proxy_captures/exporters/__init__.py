"""Writers of other forms: trace JSONL, readable text, a new capture; whole or redacted."""
