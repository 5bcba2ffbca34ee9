# What the scripts of this folder share: installing what is missing, and parts of work that are timed. Sourced by a
# script that has set -euo pipefail.

export LC_ALL=C
root_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root_folder"
jobs=$(nproc)
exec </dev/null

say()
{
    printf '\n== %s\n' "$*"
}

# True if one of the comma-separated proofs is there: a program by its name, a file by its pattern.
is_there()
{
    local proof file
    for proof in ${1//,/ }; do
        if [[ $proof != /* ]]; then
            type -P "$proof" >/dev/null && return 0
            continue
        fi
        for file in $(compgen -G "$proof" || true); do
            [ ! -e "$file" ] || return 0
        done
    done
    return 1
}

# missing_packages <purpose>: the packages of ci/packages for it that are not there, one a line.
missing_packages()
{
    local package proof purposes
    while read -r package proof purposes; do
        [[ $package != '#'* && " $purposes " == *" $1 "* ]] || continue
        is_there "$proof" || echo "$package"
    done <"$root_folder/ci/packages"
}

# install_missing <purpose>: installs them through apt-get, and says which; only root can.
install_missing()
{
    local missing
    # No pattern of the list is expanded before is_there asks for it.
    missing=$(set -f; missing_packages "$1" | xargs)
    if [ -z "$missing" ]; then
        say 'packages: all that is needed is installed'
        return
    fi
    if [ "$(id -u)" != 0 ] || [ -z "$(type -P apt-get)" ]; then
        echo "missing: $missing" >&2
        echo "install them, as root on Debian by: apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
    say "packages: installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing
    if [ -n "$(set -f; missing_packages "$1")" ]; then
        echo "apt-get succeeded, yet missing: $(set -f; missing_packages "$1" | xargs)" >&2
        exit 1
    fi
    say "packages: installed $missing"
}

# part <name> command...: runs it, keeps its time and how it ended for the table, and goes on either way.
part_names=()
part_results=()
failed_parts=()
part()
{
    local name=$1 begin=$SECONDS result=passed
    shift
    say "$name"
    "$@" || {
        result=FAILED
        failed_parts+=("$name")
    }
    part_names+=("$name")
    part_results+=("$(printf '%-6s %6d s' $result $((SECONDS - begin)))")
    [ $result = passed ]
}

# seconds_of <word>: what the parts took whose names begin with the word, together.
seconds_of()
{
    local i seconds=0 result=()
    for ((i = 0; i < ${#part_names[@]}; i++)); do
        read -ra result <<<"${part_results[i]}"
        [[ ${part_names[i]} != "$1 "* ]] || seconds=$((seconds + result[1]))
    done
    echo $seconds
}

print_table()
{
    local i
    say 'time per part'
    for ((i = 0; i < ${#part_names[@]}; i++)); do
        printf '%-44s %s\n' "${part_names[i]}" "${part_results[i]}"
    done
}
