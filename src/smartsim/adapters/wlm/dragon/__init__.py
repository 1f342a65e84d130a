"""Steps in a runtime of Dragon: the driver's side, the server inside, and what runs around its processes."""
