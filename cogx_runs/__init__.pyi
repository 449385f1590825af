from .analysis.best import best_values
from .analysis.correlations import rank_correlations
from .analysis.effects import Margin, effects, effects_frame
from .analysis.frame import load_runs
from .analysis.interactions import interactions
from .analysis.promotion.chosen import without_chosen
from .analysis.promotion.gains import preview_gains
from .analysis.ranking import rank_parameters
from .analysis.seeds import seed_spreads
from .analysis.timing import fit_time
from .api import best_trials, deliver, generate, open_dashboard, plan_sweeps, run_sweeps, sweep_effects
from .cleanup.collect import collect_garbage
from .definitions.schema import sweep_schema
from .definitions.shipped import init
from .doctor import examine
from .errors import CogxError, InputError
from .export import export_runs
from .importing.imports import import_videos
from .notebook import show_clips
from .report.folder import write_report
from .report.votes import merge_votes
from .rescore.rescoring import rescore_runs
from .search.promotion.finals import promote
from .search.threshold import find_threshold
from .verify import verify_runs
from .video_sets import compare_sets

__all__ = [
    "CogxError",
    "InputError",
    "Margin",
    "best_trials",
    "best_values",
    "collect_garbage",
    "compare_sets",
    "deliver",
    "effects",
    "effects_frame",
    "examine",
    "export_runs",
    "find_threshold",
    "fit_time",
    "generate",
    "import_videos",
    "init",
    "interactions",
    "load_runs",
    "merge_votes",
    "open_dashboard",
    "plan_sweeps",
    "preview_gains",
    "promote",
    "rank_correlations",
    "rank_parameters",
    "rescore_runs",
    "run_sweeps",
    "seed_spreads",
    "show_clips",
    "sweep_effects",
    "sweep_schema",
    "verify_runs",
    "without_chosen",
    "write_report",
]
