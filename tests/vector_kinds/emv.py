"""Vector kinds of emv."""
