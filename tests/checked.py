"""What checks types and shapes as the package runs in its tests."""

from beartype import BeartypeConf, beartype

# An int is a float here too, as it is to type checkers.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
