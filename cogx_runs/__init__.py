"""Ablation sweeps over CogVideoX as tracked, resumable MLflow experiments.

The public names are those of `__init__.pyi`; each is imported when it is first used. Each command is a thin face of one
of these functions. No name is that of a package or module here, which Python would put in its place.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
