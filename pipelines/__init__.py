"""DATA: raw source -> checked dataset on disk -> model-ready dataset -> batches.

Begin with `sources/source.py` (what a source is; `reading/` is what sources share), then follow the
data's way: `example_gen.py`
(Beam: records to TFDS-format shards), `statistics.py`, `schema.py`, `anomalies.py` (with
`validation/`), `transform.py` (analyzers and preparation, Beam) and `inputs.py` (tf.data batches).
Nothing here knows tasks, models or the orchestrator.
"""
