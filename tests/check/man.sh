#!/bin/bash
# SPDX-License-Identifier: MIT
# Manual pages, --help, completions, sample configuration and the tables in the program agree.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
scopekey=$PWD/cli/scopekey
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
cd "$src" || exit 1

page=man/scopekey.1
# The part of the manual page about a command: `-` for the options of every command.
section() {
  if [ "$1" = - ]; then
    awk '/^\.Sh OPTIONS OF EVERY COMMAND/ { on = 1; next } /^\.Sh/ { on = 0 } on' "$page"
  else
    awk -v name="$1" '/^\.S[sh] / { line = $0; sub(/^\.Ss /, "", line)
      on = line == name || index(line, name " ") == 1; next } on' "$page"
  fi
}

tables=$("$scopekey" --dump-options)
bash=$("$scopekey" completion bash)
zsh=$("$scopekey" completion zsh)
is "the shipped bash completion is what the program writes" "$(cat cli/completion/bash/scopekey)" "$bash"
is "the shipped zsh completion is what the program writes" "$(cat cli/completion/zsh/_scopekey)" "$zsh"
holds "the bash completion is good bash" bash -n cli/completion/bash/scopekey
holds "the zsh completion is good zsh" zsh -n cli/completion/zsh/_scopekey

count=0
while IFS=$'\t' read -r kind name option letter; do
  count=$((count + 1))
  missing=''
  words=()
  [ "$name" = - ] || read -ra words <<<"$name"
  if [ "$kind" = command ]; then
    grep -qE "^\.Ss $name( |\$)" "$page" || missing+=" the manual page"
    grep -q -- "  $name  " <<<"$("$scopekey" --help)" || missing+=" --help"
    grep -q '^Examples:' <<<"$("$scopekey" "${words[@]}" --help)" || missing+=" examples in its own --help"
    grep -q "\"$name\") kind=" <<<"$bash" || missing+=" bash completion"
    grep -q "'$name') own=" <<<"$zsh" || missing+=" zsh completion"
    empty "command $name is everywhere" "${missing:+missing in$missing}"
    continue
  fi
  long=${option#--}
  manual=$(section "$name")
  grep -qE -- "^\.It Fl ([a-zA-Z] , )?-$long( |\$)" <<<"$manual" || missing+=" the manual page"
  if [ "$letter" != '  ' ]; then
    grep -qE -- "^\.It Fl ${letter#-} , -$long( |\$)" <<<"$manual" || missing+=" the manual page (as $letter)"
  fi
  grep -qE -- "^  .{4}$option( |\$)" <<<"$("$scopekey" "${words[@]}" --help)" || missing+=" --help"
  if [ "$name" = - ]; then
    grep -qE -- "list=\"\\\$list.* $option( |\")" <<<"$bash" || missing+=" bash completion"
    grep -qE -- "^ .*${option}(=|\[|\})" <<<"$(sed -n '/every=(/,/^  )/p' <<<"$zsh")" || missing+=" zsh completion"
  else
    grep -qE -- "\"$name\"\\) kind=.* $option( |\")" <<<"$bash" || missing+=" bash completion"
    grep -qE -- "$option(=|\[|\})" <<<"$(sed -n "/'$name') own=(/,/) ;;/p" <<<"$zsh")" || missing+=" zsh completion"
  fi
  empty "option $option of ${words[*]:-every command} is everywhere" "${missing:+missing in$missing}"
done <<<"$tables"
[ "$count" -gt 60 ] || fail "the tables are there" "only $count rows"

# And nothing is described that does not exist.
empty "the manual page has no other option" "$(
  comm -23 <(grep -oE '^\.It Fl ([a-zA-Z] , )?-[a-z-]+' "$page" | sed 's/.*-\([a-z]\)/\1/; s/.* -//' | sort -u) \
    <(cut -f3 <<<"$tables" | sed 's/^--//' | sed 's/.*-\([a-z]\)/\1/' | sort -u))"

# scopekey.conf
keys=$("$scopekey" config keys --json)
conf=man/scopekey.conf.5
sample=conf/scopekey.conf.example
in_section() { awk -v name="$2" '$0 == name { on = 1; next } /^(\.S[sh] |\[)/ { on = 0 } on' "$1"; }
while IFS='|' read -r name key fallback env; do
  manual=$(in_section "$conf" ".Ss [$name]" | awk -v key="$key" '/^\.It Ic / { on = $3 == key } on')
  missing=''
  [ -n "$manual" ] || missing+=" is not in $conf;"
  if [ -n "$manual" ] && [ -n "$fallback" ] && [ "$fallback" != . ]; then
    tr '\n' ' ' <<<"$manual" | grep -qE "Default: (\.(Cm|Pa) )?${fallback//./\\.}( ?\.)? " ||
      missing+=" default $fallback is not in $conf;"
  fi
  [ -z "$env" ] || grep -qE "^\.Ev $env( |\$)" <<<"$manual" || missing+=" $env is not in $conf;"
  grep -qxF -- "#$key = $fallback" <(in_section "$sample" "[$name]" | sed 's/[[:space:]]*$//; s/ =$/ = /') ||
    missing+=" \"#$key = $fallback\" is not in $sample;"
  empty "[$name] $key is documented" "$missing"
done < <(jq -r '[.section, .key, .default, .environment // ""] | join("|")' <<<"$keys")
empty "$conf describes no other key" "$(
  comm -23 <(awk '/^\.Ss \[/ { s = $0; sub(/^\.Ss /, "", s) } /^\.It Ic / { print s " " $3 }' "$conf" | sort) \
    <(jq -r '"[" + .section + "] " + .key' <<<"$keys" | sort))"
empty "$sample has no other key" "$(
  comm -23 <(awk '/^\[/ { s = $0 } /^#[a-z_]+ =/ { print s " " substr($1, 2) }' "$sample" | sort) \
    <(jq -r '"[" + .section + "] " + .key' <<<"$keys" | sort))"

for page in man/*.[1-9]; do
  empty "$page is clean by mandoc" "$(mandoc -Tlint -W warning "$page" 2>&1)"
done
tap_end
