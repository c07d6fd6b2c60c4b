"""The eight figures of the report, one function each; matplotlib without a display."""
