"""Models that undo noise, and what a trained one can become: one that a critic corrects, one that draws in one pass."""

from .distillation import Distilled, distill
from .guidance import Guided, guide
from .noised import Diffusion, FlowMatching

__all__ = ["Diffusion", "Distilled", "FlowMatching", "Guided", "distill", "guide"]
