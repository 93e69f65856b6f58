#!/usr/bin/env python3
"""The contract of tests/engine/contract.py, kept by the engine oci."""
import unittest

from contract import Contract, main


class OciTest(Contract, unittest.TestCase):
    engine = "oci"


if __name__ == "__main__":
    main(OciTest)
