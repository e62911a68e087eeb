"""Which version to keep: paired statistics over the same rows, a rule, and a report."""
