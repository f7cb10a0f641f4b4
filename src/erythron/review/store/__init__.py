"""Where the review page keeps what persons did: one table of events that only grows, in any SQL database.

In: changes with the version of the cell that their maker had seen. Out: events in the order in which they
came, and the :class:`~erythron.review.record.Review` of each field. Never: changes or removes an event.
"""
