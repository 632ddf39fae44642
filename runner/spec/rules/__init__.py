"""What must hold between the fields of a file, and between files: one module a subject.

A rule looks at built values and reports at the place to change. Rules see what the files and runner.yaml say and
nothing else: no clock, no network, no code of the author's.
"""
