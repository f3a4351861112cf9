"""MEDIA: encoded pictures, masks and recordings, without TensorFlow.

A file for each kind: what may be stored, how it is brought to that form, and what is measured of it.
"""
