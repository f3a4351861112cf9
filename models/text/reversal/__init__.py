"""A string written backwards: the smallest task with text in and text out.

It shows how a task feeds its decoder in training and decodes in a loop when it serves. Begin with
`task.py`.
"""
