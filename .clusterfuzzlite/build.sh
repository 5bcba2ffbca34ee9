#!/bin/bash
# The same build as OSS-Fuzz's.
exec bash "$SRC/heapster/fuzz/oss-fuzz/build.sh"
