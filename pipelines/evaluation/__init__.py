"""Systems side by side on utterances that none of them was trained on."""

from pipelines.evaluation.run import run_evaluation
from pipelines.evaluation.table import evaluation_table

__all__ = ["evaluation_table", "run_evaluation"]
