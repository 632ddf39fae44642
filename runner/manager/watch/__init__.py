"""What the strategies folder holds, once it holds still.

    hints (inotify) ─┐
    a timer ─────────┼─► scan ──► machine ──► file events ──► whoever applies them
    wake() ──────────┘   truth    what has settled

A hint only says that looking may be worth it. The scan says what is there, the hash of the content decides whether
anything has changed. While nobody watches, `Looks` does the same for whoever asks. Nothing here knows what a strategy
is: the two questions that need it, whether a content is risky and whose it is, are passed in.
"""
