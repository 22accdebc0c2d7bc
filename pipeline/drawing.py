"""The pipeline drawn for a terminal, where ``dvc dag`` is wider than any."""

import networkx as nx
from dvc.dagascii import draw
from dvc.repo import Repo


def stages() -> str:
    """Draw the stages of the ``dvc.yaml`` that is here, each below those whose outputs it reads.

    Stages that differ by subject alone, such as ``measure@gpt2`` and ``measure@mini``, are one box.
    A line that others imply is left out.
    """
    kinds = nx.DiGraph()
    for reader, writer in Repo().index.graph.edges:
        edge = [stage.addressing.partition("@")[0] for stage in (reader, writer)]
        if edge[0] != edge[1]:
            kinds.add_edge(*edge)
    # Sorted, as the order of what is drawn decides where it stands.
    drawn: str = draw(sorted(kinds), sorted(nx.transitive_reduction(kinds).edges))
    return "\n".join(line.rstrip() for line in drawn.splitlines())
