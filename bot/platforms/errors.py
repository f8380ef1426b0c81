"""What a platform raises when it cannot go on."""


class PlatformError(RuntimeError):
    """A platform cannot run; the message is one sentence for the operator, without the token."""


class UnreachableError(PlatformError):
    """A platform cannot be reached now; later it may be."""
