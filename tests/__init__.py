"""The tests mirror the package; vectors, traces, journeys and simulation stand beside it."""
