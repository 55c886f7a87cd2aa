"""When to stop: an auditor that shares nothing with the critic looks at the generator now and then.

Two parts of the data are kept out of training: *watched* rows W, which every audit looks at, and *closing* rows, which
nothing looks at until the end. At audit k the generator Q_k (its moving average) draws fresh samples F_k.

*One audit.* W is split once, for the whole run, into rows that judges are trained on and rows that are judged; F_k is
dealt likewise. Judges c_j (`judges`: boosted trees, a quadratic logistic model, nearest neighbours) are trained on the
first parts, and on the second

- A_j = P(c_j(X) > c_j(Y)) + P(c_j(X) = c_j(Y))/2, X of the data, Y of Q_k: the AUC that judge j attains;
- E_S = P(S) - 2 Q_k(S) for each of a few regions S = {c_j > t}: at least the mass of data in S that has less than half
  the samples it should. An AUC alone is blind to that: a generator that never draws one of 25 modes, and all else
  perfectly, has an optimal AUC of 0.52, but E = 0.04 at the mode that it lost;

are bounded: A_j by betting on the shares of samples that each judged row scores above, every row set against samples of
its own so that these shares are independent; E_S by the limits of Clopper and Pearson (`bounds`).

*The rule.* "indistinguishable": every A_j is under `tolerance`, and every E_S under `collapse`, by their upper bounds.
"no progress": for `patience` audits (or half of those before, if that is more) the mean AUC of three audits in a row
has not been lower than that of the best three by two standard errors. The best checkpoint is that of the lowest AUC
estimate; of later ones that are not one standard error above it, and have not lost more of the data, the latest: where
the audits cannot tell two checkpoints apart, the one with more averaging and a smaller learning rate behind it is the
safer. Differences between audits are taken on the same judged rows, whose part of the noise cancels. These two are
working rules that promise nothing; the promises are:

*What is promised.* With probability at least 1 - `alpha` each, over the whole run and however it is stopped,

(1) at no audit "indistinguishable" is said while some judge of that audit attains an AUC of `tolerance` or more, or one
    of its regions has lost `collapse` or more of the data;
(2) `auc_lower` never exceeds the largest A_j; in particular, a generator that is equal to the data at every audit never
    gets `p_value` <= alpha at any of them.

*Proof.* Audits decide where the run ends and which weights are kept, but never what a step of training does. So Q_k is
a function of training rows and seeds, independent of W, for every k: also for those k that were only reached because
of what earlier audits saw, as the run could have been continued without looking. Given Q_k and the judges of audit k,
which saw neither the judged rows nor the judged samples, those rows and samples are independent draws of P and Q_k,
although the same rows are judged at every audit. Hence each bound of audit k fails with probability at most alpha_k =
alpha/(k (k + 1)) (`bounds`), and sum_k alpha_k = alpha bounds the chance that any ever fails, whatever their
dependence (Boole): a stopping time, which only chooses among the audits, cannot do worse. For (1) alpha_k need not be
divided among judges and regions: if the promise is broken at audit k then one quantity, the largest of those that are
too large, is not under its limit, and its own bound has to have failed (Berger's 1982 intersection-union argument).
For (2) the capitals of all judges are averaged, and an average of e-values is an e-value.

*The closing figure* is about the checkpoint that was selected: the audits have favoured it for its luck on W, so W is
no longer a fair sample for it. The closing rows are independent of all that was selected, of the judges (now trained
on all of W) and of the choice among them (the best one at the audit selected), so for them one ordinary interval and
one p-value hold. It is computed once.

*What is not promised.* The A_j are what judges of this kind attain after training on this many rows; the optimal AUC
is larger. A generator that repeats its training rows is equal to the data for anyone who has not seen those rows: only
copies among the samples themselves give it away, so a few thousand distinct rows are found out and a hundred thousand
are not (`pushforward.evaluation` compares with the training rows). Modes of less than `collapse` of the data may be
lost unseen. If anything that is learned from an audit were fed back into training, Q_k would depend on W, and no
promise would hold.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> auditor = Auditor(rng.normal(size=(3000, 2)), rng.normal(size=(1000, 2)), names=("quadratic",))
>>> auditor.audit(100, rng.normal(size=(auditor.fakes_wanted, 2)) + 0.5).p_value < 1e-6, auditor.decision()
(True, 'go on')
>>> found = auditor.audit(200, rng.normal(size=(auditor.fakes_wanted, 2)))
>>> auditor.decision(), auditor.best_step, found.auc_upper < 0.55
('indistinguishable', 200, True)
"""

from .auditor import Audit, Auditor, Closing, Decision

__all__ = ["Audit", "Auditor", "Closing", "Decision"]
