"""INPUTS: transformed examples -> batches for the model (tf.data).

Begin with `inputs.py`. A plan names the rows of each batch (`input_plan.py`, `input_layout.py`), a
store gathers them (`input_rows.py`, `input_disk.py`), then they are padded or packed.
"""
