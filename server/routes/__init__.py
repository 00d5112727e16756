"""Decodes, authorises and answers each call; holds no SQL and decides nothing about data."""
