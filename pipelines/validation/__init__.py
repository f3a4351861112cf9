"""VALIDATION: statistics -> schema, and what is wrong when statistics are compared.

Begin with `schema.py` (infers, or reads a reviewed one) and `anomalies.py`, which calls what is here
and writes the result. `schema_checks.py` holds one split against the schema, `label_checks.py` the
labels of all splits together, `drift.py` the data against those of the last good run or of a serving
log, by the distances of `distances.py`; `association.py` asks whether the labels still go with the
same data. `example_records.py` finds records that show what the statistics say. All work on the
protos alone, without TensorFlow or Beam.
"""
