"""Machine-learning models as the database takes them: `smartsim.ml.tf`, `smartsim.ml.torch` and `smartsim.ml.onnx`."""
