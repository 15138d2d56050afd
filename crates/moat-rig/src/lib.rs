//! A cluster's network in namespaces of one process: nodes, pods, Services, the outside, and probes through it.
