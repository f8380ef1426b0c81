"""Who speaks: characters, the screenplay format, and what may leave the house.

Standard library only. `training` and `bot` both build on this package and never on each other.
"""
