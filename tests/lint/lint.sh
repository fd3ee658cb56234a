#!/usr/bin/env bash
# lint.sh -- the rules of HACKING.md that a program can check, behind `make lint`.
# Prints each finding as file:line: what, rule; fails when there was one.
# lint.sh --list-c prints the C files that are formatted.
set -u
cd "$(dirname "$0")/../.." || exit 1
here=tests/lint

MAX_FILE_LINES=450
MAX_FUNCTION_LINES=100
MAX_COMPLEXITY=25
MAX_README_LINES=40

# Our files, with a glob each for the rules below; neither built, installed nor corpus files.
files()
{
	{
		git ls-files -co --exclude-standard 2>/dev/null | grep . ||
			find . -name .git -prune -o -name build -prune -o -name node_modules -prune \
				-o -name __pycache__ -prune -o -type f -print
	} | sed 's,^\./,,' | grep -v -e '^tests/fuzz/corpus/' -e '/node_modules/' |
		while read -r f; do [ ! -f "$f" ] || echo "$f"; done | sort
}

mapfile -t all < <(files)
pick()
{
	printf '%s\n' "${all[@]}" | grep -E "$1"
}
mapfile -t c_files < <(pick '\.[ch]$')
mapfile -t source_files < <(pick '^(proxy|auth|pool)/.*\.(c|h|def)$')
mapfile -t bodies < <(pick '\.c$')

if [ "${1:-}" = --list-c ]; then
	printf '%s\n' "${c_files[@]}"
	exit 0
fi

lint_layers()
{
	[ ${#source_files[@]} = 0 ] || $here/layers.sh "${source_files[@]}"
}

lint_file_size()
{
	awk -v max=$MAX_FILE_LINES '
		FNR == max + 1 { print FILENAME ":" FNR ": more than " max " lines, rule file-size" }
		' "${c_files[@]}"
}

lint_function_size()
{
	ctags -x --languages=C --kinds-C=f --fields=+e --_xformat='%F %n %{end} %N' "${bodies[@]}" |
		awk -v max=$MAX_FUNCTION_LINES '$3 - $2 + 1 > max {
			print $1 ":" $2 ": " $4 " has " $3 - $2 + 1 " lines, " max " allowed, rule function-size"
		}'
}

# The tables that this file includes (*.def) are left as they are: pmccabe does not preprocess.
lint_complexity()
{
	pmccabe "${bodies[@]}" 2>/dev/null | awk -v max=$MAX_COMPLEXITY '
		$1 > max {
			at = $6
			sub(/\([0-9]*\):$/, "", at)
			print at ":" $4 ": " $7 " has complexity " $1 ", " max " allowed, rule complexity"
		}'
}

# A name with '.' or '->' before it is a member, not the C library's function.
lint_banned_calls()
{
	awk -f $here/strip.awk "${c_files[@]}" | awk -v list=$here/banned.txt '
		BEGIN {
			while ((getline line < list) > 0) {
				if (line ~ /^#/ || split(line, f, /\t+/) < 3)
					continue
				allowed[f[1]] = f[2]
				instead[f[1]] = f[3]
			}
		}
		{
			match($0, /^[^:]*:[0-9]*:/)
			at = substr($0, 1, RLENGTH - 1)
			file = at
			sub(/:[0-9]*$/, "", file)
			rest = substr($0, RLENGTH + 1)
			before = ""
			while (match(rest, /[A-Za-z_][A-Za-z_0-9]*[ \t]*\(/)) {
				before = substr(rest, 1, RSTART - 1)
				name = substr(rest, RSTART, RLENGTH - 1)
				rest = substr(rest, RSTART + RLENGTH)
				sub(/[ \t]+$/, "", name)
				if (!(name in instead) || before ~ /(\.|->)[ \t]*$/ || allowed[name] == file)
					continue
				if (file ~ /^tests\// && name ~ /^(exit|abort|system|PQ.*)$/)
					continue
				print at ": " name "(): " instead[name] ", rule banned-calls"
			}
		}'
}

lint_blanks()
{
	mapfile -t text < <(pick '(\.(c|h|def|sh|py|m?js|md|txt|ini|awk|service)|^Makefile|^\.ci/run)$')
	awk '
		/[ \t\r]$/ { print FILENAME ":" FNR ": blank at the end of the line, rule blanks" }
		' "${text[@]}"
	for f in "${text[@]}"; do
		[ -z "$(tail -c 1 "$f")" ] ||
			echo "$f:$(wc -l <"$f"): no newline at the end of the file, rule blanks"
	done
}

lint_spelling()
{
	pick '(\.(c|h|def|sh|py|m?js|md|txt|ini|service|[15])|^Makefile)$' | grep -v codespell.txt |
		xargs -r -d '\n' codespell --ignore-words=$here/codespell.txt |
		sed 's/$/, rule spelling/'
}

lint_shell()
{
	{
		pick '\.sh$'
		pick '^\.ci/run$'
	} | xargs -r -d '\n' shellcheck --format=gcc --severity=warning |
		sed 's/$/, rule shellcheck/'
}

# One line per file: the first place, and how many there are.
lint_format()
{
	printf '%s\n' "${c_files[@]}" |
		xargs -r -d '\n' -n 16 -P 2 clang-format --dry-run --ferror-limit=0 2>&1 |
		awk -F: '/clang-format-violations/ {
			if (!($1 in n)) { order[++files] = $1; first[$1] = $2 }
			n[$1]++
		}
		END {
			for (i = 1; i <= files; i++) {
				f = order[i]
				print f ":" first[f] ": " n[f] " place(s) to format, make fmt, rule format"
			}
		}'
}

# Every source folder is described, file by file, and what is described exists.
lint_readmes()
{
	local dir readme f name
	for dir in $(printf '%s\n' "${bodies[@]}" | grep -E '^(proxy|auth|pool)/' |
		sed 's,/[^/]*$,,' | sort -u); do
		readme=$dir/README.md
		if [ ! -f "$readme" ]; then
			echo "$dir:1: no README.md, rule readme"
			continue
		fi
		for f in "$dir"/*.c; do
			grep -qw -- "${f##*/}" "$readme" ||
				echo "$readme:1: does not name ${f##*/}, rule readme"
		done
		grep -noE '[a-z0-9_/]+\.c\b' "$readme" | while IFS=: read -r n name; do
			[ -f "$name" ] || [ -f "$dir/$name" ] ||
				printf '%s\n' "${bodies[@]}" | grep -q "/${name##*/}\$" ||
				echo "$readme:$n: names $name, which is not there, rule readme"
		done
		[ "$(wc -l <"$readme")" -le $MAX_README_LINES ] ||
			echo "$readme:$MAX_README_LINES: more than $MAX_README_LINES lines, rule readme"
	done
}

findings=$(mktemp) || exit 1
trap 'rm -f "$findings"' EXIT
for tool in ctags pmccabe codespell shellcheck clang-format; do
	command -v $tool >/dev/null ||
		echo "$here/lint.sh:1: $tool is not installed, rule tools" >>"$findings"
done
if [ ${#c_files[@]} -gt 0 ]; then
	for rule in layers file_size function_size complexity banned_calls format readmes; do
		lint_$rule >>"$findings" 2>&1
	done
fi
for rule in blanks spelling shell; do
	lint_$rule >>"$findings" 2>&1
done
cat "$findings"
n=$(wc -l <"$findings")
echo "lint: ${#all[@]} files, $n finding(s)"
[ "$n" = 0 ]
