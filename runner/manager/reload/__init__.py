"""Hot reload: the file is the wish, the running strategy is the fact.

    settled files ──► workspace ──► folder ──► decision, per strategy ──► lane: prepare, persist, swap, confirm

`decision` says what an edit means and is pure; `lane` carries one strategy's change out, one at a time and never across
strategies; `engine` holds both together and answers for what runs, what waits and why.
"""
