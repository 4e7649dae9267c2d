"""From the raw outputs of the official scorers to one table, the official totals, and a page with outputs."""
