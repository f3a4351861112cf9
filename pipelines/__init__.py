"""DATA: raw source -> checked dataset on disk -> model-ready dataset -> batches.

Follow the data's way: `sources/` (a file each; `reading/` is what they share), `ingest/` (Beam:
records to TFDS-format shards; what is bad goes to `quarantine/`), `statistics/`, `validation/`
(schema, anomalies, drift), `transform/` (analyzers and preparation, Beam) and `inputs/` (tf.data
batches). `features.py` says what a record may hold, `example_codec.py` how it looks on disk,
`config.py` what a config may say of all this. `media/` knows pictures, masks and recordings,
`running/` how Beam runs here. Nothing here knows tasks, models or the orchestrator.
"""
