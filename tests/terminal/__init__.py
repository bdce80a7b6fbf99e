"""Tests of the terminal against a real card, a real PIN pad and an acquirer that follows a script but really MACs."""
