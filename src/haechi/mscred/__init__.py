"""MSCRED (Zhang et al., AAAI 2019): counts of many series together, judged by how they hang together."""
