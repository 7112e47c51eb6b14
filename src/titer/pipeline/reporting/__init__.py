"""What a run, or two, found out: gathered from its tables, as a page, a summary and tables."""
