"""The report over a sweep: its cells side by side, seeds as replicates, effects against doses."""
