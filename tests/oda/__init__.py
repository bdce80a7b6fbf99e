"""Tests of offline data authentication."""
