"""What a user can put right."""


class ProjectError(Exception):
    """Something that its user can put right: told in a line or two, without a traceback."""

    status = 1  # with which a command ends
