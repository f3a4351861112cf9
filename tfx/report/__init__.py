"""`penstock report`: one HTML page that shows what a run did, from what the store keeps of it.

Begin with `write.py`, which puts the page together. `collect.py` asks the store; `headline.py`,
`steps.py`, `data.py`, `training.py`, `evaluation.py`, `serving.py` and `environment.py` each make
the values of one section of `page.html.j2`; `plots.py`, `matrix.py` and `graph.py` draw; `svg.py`
turns a figure into SVG that follows the page's light and dark colours.

The data's section is made of `statistics.py` (with `distributions.py`: one axis for all splits,
`categories.py`, `derived.py`: what parts of features are called, and `statistics_tables.py`),
`slices.py`, `drift.py` and `findings.py` (anomalies). `images.py`, `overlays.py` (boxes and masks)
and `sounds.py` show single examples, `words.py` the words that an answer rests on; `samples.py` and
`mistakes.py` choose which. What a section shows depends on what the artifacts hold, never on the
task. Neither TensorFlow nor Keras nor Beam is imported.
"""
