"""TRANSFORM: examples -> what the model takes, and what a full pass must find out for it.

Begin with `transform.py` (Beam). `analyzers.py` lists what a preparation may ask for, `analyze.py`
computes it, `state.py` holds it; `subwords.py` and its neighbours are the tokenizer.
"""
