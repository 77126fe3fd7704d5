"""One frozen file for each schema version: ``0002_blocks.py`` brings a store of version 1 to version 2.

A migration reads neither schema.sql nor any other module of ours: both change, and an old store must still migrate.
"""
