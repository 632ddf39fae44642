"""File systems on which other machines write without this one being told."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/mounts")
"""Where Linux lists what is mounted; other systems have no such file, and nothing is known there."""

_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|lustre|gpfs|gfs2?|ocfs2|beegfs|virtiofs|vboxsf|prl_fs|drvfs|fuse(?!blk|ctl)\b.*"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def remote_type(real: Path) -> str:
    """The type of the file system that a path without links is on, when it is a remote one; else empty."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = Path("/"), ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mounted = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[1]))
        # The longest prefix wins, and of two mounts in one place the later, which hides the earlier.
        if real.is_relative_to(mounted) and len(mounted.parts) >= len(best.parts):
            best, kind = mounted, fields[2]
    return kind if _REMOTE.fullmatch(kind) else ""
