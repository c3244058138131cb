"""Classifiers in the formats of other runtimes: ONNX, TensorFlow's SavedModel, OpenVINO's IR."""
