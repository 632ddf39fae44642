"""From the text of a YAML file to an immutable strategy: load, extend, check, build.

    text ──load──► Document (nodes with positions) ──extends──► merged nodes ──check──► Problems ──build──► StrategySpec

Tests that authors write inside or beside a file go the same way, `case_schema` ──► `case_reader` ──► `cases`, and are
held against their strategy in `rules.cases`.

`folder.load_file` and `folder.load_folder` are the doors for strategies, `config.load_config` for runner.yaml. No byte
sequence makes the first two raise: what is wrong becomes a `problems.Problem` with file, line and column, all of them
at once; `render` shows them.
"""
