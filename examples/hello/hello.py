"""The smallest experiment: one program, run to its end."""

from smartsim import Experiment

with Experiment("hello") as exp:
    model = exp.create_model("greeting", exp.create_run_settings("echo", "Hello World"))
    exp.start(model, block=True)
    print(exp.summary())
