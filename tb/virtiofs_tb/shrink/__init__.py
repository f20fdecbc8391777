"""Makes the recorded stimulus of a failing random run as small as it can be while it fails the same way."""
