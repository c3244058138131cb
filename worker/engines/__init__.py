"""What can run a network: Keras on TensorFlow or JAX, OpenVINO; and the choice among them."""
