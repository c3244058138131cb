"""What two roles must agree on: messages, keys, counts, errors and how a process is run.

Changing a line here on one side alone breaks the other side. Nothing here imports a role.
"""
