"""Audits: gap reports over many notes, with every input record accounted for.

The running of one is in `run`; what reads a finished audit's folder stands beside it. Nothing is imported here, so that
reading an audit's files never loads spaCy.
"""
