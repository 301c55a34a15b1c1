"""What every process but the first holds in place of a `Report`."""


class Silent:
    """Takes all that a `genjax.report.Report` is told, and says nothing."""

    def __init__(self, *_, **__):
        pass

    def scalars(self, *_):
        """As `Report.scalars`."""

    def picture(self, *_):
        """As `Report.picture`."""

    def progress(self, *_):
        """As `Report.progress`."""

    def message(self, *_):
        """As `Report.message`."""

    def flush(self):
        """As `Report.flush`."""

    def close(self, *_):
        """As `Report.close`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
