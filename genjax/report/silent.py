"""The stand-in for a `Report` in every process but the first."""


class Silent:
    """Has the methods of `genjax.report.Report`, which do nothing."""

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
