"""Shows experiments in MLflow's UI: its server, and the views, notes and pictures of each experiment.

Any module may be imported from the rooms above. Only this room and `tracking` import MLflow.
"""
