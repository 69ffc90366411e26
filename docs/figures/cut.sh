#!/bin/sh
# Cuts one figure out of a report, as an SVG file that stands by itself: the report's figures share its style sheet.
#   docs/figures/cut.sh REPORT.html 'START OF THE FIGURE'S aria-label' > FIGURE.svg
set -eu
report=$1 label=$2
lines=$(sed -e 's/<svg /\
&/g' -e 's/<\/svg>/&\
/g' -e 's/<style>/&\
/g' -e 's/\*{box-sizing/\
&/g' "$report")
style=$(printf '%s\n' "$lines" | grep -m 1 '^:root{')
figure=$(printf '%s\n' "$lines" | grep -m 1 -F "aria-label=\"$label") || { echo "$report has no figure \"$label...\"" >&2; exit 1; }
printf '%s\n' "$figure" | sed "s|^<svg \([^>]*\)>|<svg xmlns=\"http://www.w3.org/2000/svg\" \1><style>$(printf '%s' "$style" | sed 's/[&|\\]/\\&/g')</style>|"
