"""What one sees of a run: its folder, metrics, alarms, evaluation, page, and the items that come of it."""
