#!/bin/sh
# kubectl runs this for the completion of `kubectl flux`.
exec kubectl flux __complete "$@"
