"""Where the review page keeps what persons did and what programs sent: two tables in any SQL database.

In: changes with the version of the cell that their maker had seen; pictures to be counted. Out: events in the
order in which they came, and the :class:`~erythron.review.record.Review` of each field; how far each picture
is. Never: changes or removes an event.
"""
