"""The review page: a server on this machine and the page that it serves, on which persons confirm the calls.

In: the folder of a finished count. Out: the page, an HTTP interface beside it, and, when a person signs, the
run counted again with that person's calls by :mod:`erythron.pipeline.recount`. Every change is an event in
the database of :mod:`erythron.review.store` before it is acknowledged. Never: counts or recounts by itself,
or loads anything from another host.
"""
