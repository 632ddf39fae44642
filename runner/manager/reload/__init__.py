"""Hot reload: the file is the wish, the running strategy is the fact.

    settled files ──► workspace ──► folder ──► engine ──► a turn of each strategy: prepare, persist, swap, confirm

What a change means is pure: `decision` (what is to be done), `drift` (file against store), `conditions` (what can be
said). A `track` holds what is known of one strategy, `record` keeps it over a restart. `lanes` give turns; in one,
`in_place` settles what holds in place of the file, `carrier` brings a version into force with the help of `rows` (the
store) and `trials` (strategies that are started), `removal` sees to a file that is gone. `starting` does at the start
what turns do later, `orders` what an operator says. `config_file` follows the deployment's own file.
`plan` foresees what turns would do, with a runner or (`offline`) without; `edits` are the texts that the runner writes
into files itself.
"""
