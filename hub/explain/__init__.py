"""Why an account has its status: the proof, from what a decision stored, down to the vendors' rows.

Every number comes from stored rows (readings, verdicts, episodes, desired tasks, the ledger), so
the explanation cannot say anything else than the decision did; the config only lends its words.
"""

from .proof import prove
from .resolve import resolve

__all__ = ["prove", "resolve"]
