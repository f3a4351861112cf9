"""What tasks share whose answer to a text is a text; not a task itself.

`config.py` holds the sections (pydantic only), `data.py` makes ids of texts. The networks are
`transformer.py` and `recurrent.py` (with `attention.py` and `copying.py`), over what `network.py` asks
of them; `loss.py` is minimised, `activations.py` says what memory that takes, `search.py` writes the
answer, `task.py` joins them. Begin with `task.py`;
`text/translation/` is the first user.
"""
