"""Stores runs in MLflow and reads them back.

Any module may be imported from the rooms above. Only this room and `dashboard` import MLflow.
"""
