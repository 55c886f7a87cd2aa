"""What the parts of a page mean: a heading for each group of figures, and how to read each part."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# group of metrics -> (heading, how to read it)
GROUPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "classifier": (
            "Can the two be told apart?",
            "The area under the ROC curve is the chance that a random real row gets a higher score than a random fake "
            "one. 0.5 is a coin; 0.6 is hard to see by eye; above 0.8 most fakes can be sorted out. An interval that "
            "holds 0.5 means that these rows do not show a difference.",
        ),
        "distance": (
            "How far apart?",
            "Distances between the two distributions as a whole. They have no natural unit: the figure between two "
            "real sets says how large they are by chance, and the same figure of another generator what is better.",
        ),
        "fidelity": (
            "Fidelity: do the fakes look real?",
            "Do fakes fall where real rows fall? A generator can be perfect here and still show one kind of row only, "
            "so read it together with coverage. Values depend on the features they are taken in; compare them only "
            "with values in the same features and at the same number of rows.",
        ),
        "coverage": (
            "Coverage: is everything there?",
            "Are there fakes wherever there are real rows? Low coverage with high fidelity is mode dropping. Coverage "
            "depends on the number of rows on both sides, so hold it against the real-vs-real column.",
        ),
        "modes": (
            "Modes",
            "The real rows fall into groups; this counts how many of them the fakes have, and in which proportion. A "
            "group that is missing throughout is a dropped mode.",
        ),
        "copies": (
            "Copies",
            "A generator may repeat its training rows. What counts is the excess over rows that were held out, which "
            "are as near to the training rows as honest samples would be.",
        ),
        "privacy": (
            "Originality and privacy",
            "Could one tell from the fakes who was in the training data? Each figure stands beside that of held-out "
            "rows; at or near it, the fakes give away no more than fresh data would. None of this is a guarantee "
            "such as differential privacy.",
        ),
        "utility": (
            "Utility: can one work with the fakes?",
            "Models are fitted to fakes and judged on real rows that neither saw, beside models fitted to real rows. "
            "The gap is what working with the fakes would cost.",
        ),
        "likelihood": (
            "Likelihood",
            "How probable real rows are under the generator. Higher is better, but a model that memorises can beat the "
            "truth on its training rows: look at held-out rows. Estimates and bounds say which way they err.",
        ),
        "columns": (
            "Single columns",
            "The distance between the distributions of one column at a time, averaged; the list of columns says which.",
        ),
        "correlations": (
            "How columns hang together",
            "Columns can each be right while the way they hang together is not. Associations lie between 0 (or -1) "
            "and 1; a difference of 0.1 is one that a regression would notice.",
        ),
        "structure": (
            "Rules and higher orders",
            "Rules that hold in the real data (one column never above another, sums, fixed combinations) and "
            "combinations of three columns, held against the fakes.",
        ),
    }
)

# section -> how to read it
SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "findings": "Each fault was looked for by a test of its own. The p-values are adjusted for all kinds of fault "
        "looked for, so that where nothing is wrong any finding at all appears with at most the chance of the level. "
        "A fault that is not listed was not found at these numbers of rows, which is not proof that it is absent.",
        "where": "Each line is a part of the data, described by a few conditions, in which real and fake rows occur "
        "in different proportions. The counts come from rows that were not used to find it.",
        "columns": "The distance is 0 where the two distributions are equal and 1 where they do not overlap. The bar "
        "is a 95% interval, the thin mark the same distance between two real sets: a column whose bar reaches that "
        "mark may be as good as real. Look at the shapes first, then at the numbers.",
        "correlations": "The square shows the change of the association of each pair of columns from real to fake. A "
        "pale square is right. The intervals hold for all pairs together.",
        "classifier": "The more the curve bends to the upper left, the easier the fakes are told. In the histogram, "
        "the overlap of the two shapes is what passes for real.",
        "tests": "Other tests of the same question. Each sees other differences best; a small p-value of any one is "
        "evidence, but with many tests some are small by chance.",
        "records": "Look at single rows. Fake-like rows are what gives the generator away; missed rows are what it "
        "fails to make. Where no difference was detected they are ordinary extremes.",
        "copies": "If the curve of the fakes is piled up at small distances where that of held-out rows is not, "
        "training rows are being repeated. Pairs that agree in everything are copies, whatever the tests say.",
        "picture": "A flat view of many dimensions: what lies apart here is apart, but what overlaps here may still "
        "differ in other directions.",
        "history": "A figure has moved where the change is more than the noise of both comparisons; the p-values are "
        "adjusted for looking at all figures.",
    }
)
