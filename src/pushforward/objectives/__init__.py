"""What a critic and a generator play for: one table of objectives, and the ways of making one's own.

from pushforward import links, objectives

objectives.objective("hinge")                       # by name
objectives.of_link(links.alpha(1.5))                # from a link
objectives.of_link(links.Link(phi, psi, "mine"))    # from a link of your own
objectives.relativistic("mine", margin_loss)        # from a margin loss, paired
objectives.embedded("mine", distance, ...)          # from a distance between batches, on a critic's embedding
objectives.direct("mine", distance, ...)            # the same on the data, without a critic
"""

from pushforward.objectives.batches import direct, embedded
from pushforward.objectives.objective import Loss, Objective, of_link, relativistic, relativistic_average
from pushforward.objectives.table import OBJECTIVES, objective

__all__ = [
    "OBJECTIVES",
    "Loss",
    "Objective",
    "direct",
    "embedded",
    "objective",
    "of_link",
    "relativistic",
    "relativistic_average",
]
