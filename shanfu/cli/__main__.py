"""`python -m shanfu.cli`: the same door, for a checkout that is not installed."""

from shanfu.cli.main import main

if __name__ == "__main__":
    main()
