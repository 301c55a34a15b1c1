"""What people and programs see of a run: metrics.jsonl, TensorBoard, pictures, progress, and the
page that shows all of it."""

from genjax.report.meter import Meter, as_computed
from genjax.report.page import write_page
from genjax.report.report import Report, read_metrics
from genjax.report.silent import Silent

__all__ = ["Meter", "Report", "Silent", "as_computed", "read_metrics", "write_page"]
