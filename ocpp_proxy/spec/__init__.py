"""What the standards say, as data: versions, actions, directions, error codes, schemas and our errata to them."""
