#!/bin/sh
# Builds a program with nothing but the compiler and pkg-config, then runs a command.
#   pkg_config.sh COMPILER PREFIX SOURCE PROGRAM COMMAND...
set -eu
PKG_CONFIG_PATH=$(dirname "$(find "$2" -name elbo.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # the flags are words
"$1" -Wall -Wextra -Werror "$3" -o "$4" $(pkg-config --cflags --libs elbo)
shift 4
"$@"
