"""Steps in a runtime of Dragon: the driver's side, the server inside the runtime, and what runs around its processes."""
