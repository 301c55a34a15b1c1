"""What a run shows to people and programs: metrics.jsonl, TensorBoard, pictures, the progress
line, and report.html, the page that has all of it."""

from genjax.report.meter import Meter, as_computed
from genjax.report.page import write_page
from genjax.report.report import Report, read_metrics
from genjax.report.silent import Silent

__all__ = ["Meter", "Report", "Silent", "as_computed", "read_metrics", "write_page"]
