"""Vector kinds of iso8583."""
