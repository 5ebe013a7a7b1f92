"""Learning without backpropagation: estimates of the gradient from random perturbations, and local losses.

``nets`` describes feed-forward nets and LocalMixer and carries values and tangents through them, ``noise`` draws
directions from a counter, ``estimators`` turns derivatives along directions into gradients, all of one interface,
``learn`` trains by any of them, ``contrastive`` is the unsupervised variant. Nothing here uses autograd: values,
tangents and exact gradients are written out, and the tests hold them against autograd's.
"""
