"""The tracking store, MLflow. Nothing outside this room imports it."""
