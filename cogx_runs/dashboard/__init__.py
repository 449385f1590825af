"""MLflow's UI and nothing else: its server, the views, notes and pictures of each experiment."""
