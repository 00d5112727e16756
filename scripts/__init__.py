"""What the Makefile's words call: set-up on a bare machine, checks, and small tools for working on Holdfast.

Set-up runs before anything is installed, so scripts.setup and what it imports use the standard library only.
"""
