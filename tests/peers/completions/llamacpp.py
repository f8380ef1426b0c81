"""llama.cpp's own server out of the wheel `xllamacpp` (PyPI): `python llamacpp.py MODEL.gguf PORT`."""

import sys
import threading

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = ["smollm2"]
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[2])
parameters.n_ctx = 4096
parameters.n_parallel = 4
parameters.cpuparams.n_threads = 1  # they spin, which a busy machine pays dearly
server = xllamacpp.Server(parameters)
threading.Event().wait()
