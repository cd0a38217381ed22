"""The recorder: tails the spool, runs the pipeline, feeds the store, serves the control API."""
