# What the style tests share: their arguments, and which files they look at. Sourced.
set -euo pipefail

source_folder=$1
build_folder=${2:-}
cd "$source_folder"

# c_files [folder]...: the C sources and headers there, by default everywhere, one a line.
c_files()
{
    local folder existing=()
    [ $# -gt 0 ] || set -- src include stress tests fuzz bench
    for folder in "$@"; do
        [ ! -d "$folder" ] || existing+=("$folder")
    done
    find "${existing[@]}" -name '*.[ch]' | sort
}

# All text of the project: no build folder, nothing of git's.
all_files()
{
    find . -mindepth 1 \( -name .git -o -path './build' -o -path './build-*' \) -prune -o -type f -print | sort
}

# report <text>: something is wrong; the test goes on and fails at its end.
wrong=0
report()
{
    printf '%s\n' "$*"
    wrong=$((wrong + 1))
}

finish()
{
    [ "$wrong" = 0 ] || {
        echo "$wrong found"
        exit 1
    }
}
