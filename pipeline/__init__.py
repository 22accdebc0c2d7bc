"""What the paper needs and no user of the package does: ``python -m pipeline COMMAND``.

It trains the models that ship, reads what others published, and writes the curves that figures
draw. ``dvc.yaml`` runs it, from the root of a checkout.
"""
