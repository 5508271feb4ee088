#!/bin/sh
# Builds and runs a program with nothing but the compiler and pkg-config.
#   pkg_config.sh COMPILER SOURCE PREFIX PROGRAM
set -eu
PKG_CONFIG_PATH=$(dirname "$(find "$3" -name elbo.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # the flags are words
"$1" "$2" -o "$4" $(pkg-config --cflags --libs elbo)
"$4"
