"""QUARANTINE: every record that could not be used, with the reason.

Begin with `quarantine.py` (what is on disk). `bad_records.py` collects them while reading,
`reason_kinds.py` groups reasons, `printable.py` makes hostile bytes harmless, `replay.py` reads
mended files again.
"""
