"""How every command ends (`xllmx.run.exit_status`): what commands need of it, under their own roof."""

from xllmx.run.exit_status import CHECK_FAILED, STOPPED, TERMINATED, UNFORESEEN, USER_ERROR, status_of, terminating

__all__ = ["CHECK_FAILED", "STOPPED", "TERMINATED", "UNFORESEEN", "USER_ERROR", "status_of", "terminating"]
