"""`python tests/bucket.py PORT`: a bucket on this machine, `gs://genjax-tests`.

The emulator has no conditions on an object's generation, which the service has; they are added.
"""

import sys
from http import HTTPStatus

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound


def _generation(request, storage) -> str:
    """Of the object that a request names; "0" where there is none."""
    params, names = request.params, request.query.get("name", [""])
    try:
        file = storage.get_file_obj(params["bucket_name"], params.get("object_id", names[0]))
    except (KeyError, NotFound):
        return "0"
    return file["generation"]


def _conditional(handler):
    def handle(request, response, storage):
        found = _generation(request, storage)
        if request.query.get("ifGenerationMatch", [found]) != [found]:
            response.status = HTTPStatus.PRECONDITION_FAILED
            return
        response["x-goog-generation"] = found  # of what a GET answers with
        handler(request, response, storage)

    return handle


if __name__ == "__main__":
    for _, handlers in server.HANDLERS:
        handlers |= {method: _conditional(handler) for method, handler in handlers.items()}
    server.create_server("localhost", int(sys.argv[1]), True, "genjax-tests").run()
