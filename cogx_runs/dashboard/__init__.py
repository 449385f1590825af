"""Shows experiments in MLflow's UI: the server, and each experiment's views, notes and pictures.

Any module may be imported from the rooms above. Only this room and `tracking` import MLflow.
"""
