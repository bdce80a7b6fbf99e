"""Vector kinds of crypto."""
