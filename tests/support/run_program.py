"""Runs a test program in Python, and when it takes too long says where each of its threads stands: run_program.py PROGRAM SECONDS"""
import faulthandler
import os
import runpy
import sys

program, seconds = sys.argv[1], int(sys.argv[2])
sys.argv[:] = [program]
sys.path[0] = os.path.dirname(os.path.abspath(program))
faulthandler.dump_traceback_later(max(seconds, 1))
runpy.run_path(program, run_name="__main__")
