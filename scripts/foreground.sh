#!/bin/sh
# Run a command so that Ctrl-C reaches it and not the make around it.
#
# Make is in the terminal's foreground group too: it would print "Interrupt" and exit with 130 although
# the command handled Ctrl-C. Job control gives the command a group of its own.
if [ -t 0 ] && [ -t 2 ]; then
  set -m
  "$@"
  exit $?
fi
exec "$@"
