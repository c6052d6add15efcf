"""Evaluation: several systems compared on utterances that no system was trained on."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from pipelines.evaluation.run import run_evaluation
    from pipelines.evaluation.table import evaluation_table
else:
    __getattr__ = on_demand(__name__)

__all__ = ["evaluation_table", "run_evaluation"]
