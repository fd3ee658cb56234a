#!/bin/sh
# layers.sh FILE... -- checks the #include lines of these C files against layers.txt.
# Prints file:line: what, rule; fails when there was a finding.
exec awk -v rules="$(dirname "$0")/layers.txt" '
function folder(path)
{
	return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/) - 1) : "."
}
function finding(at, what)
{
	print at ": " what ", rule layers"
	bad = 1
}
function read_rules(    line, n, i, f, at)
{
	while ((getline line < rules) > 0) {
		at = "tests/lint/layers.txt:" ++number
		sub(/#.*/, "", line)
		n = split(line, f, " ")
		if (n == 0)
			continue
		if (f[1] ~ /^</) {
			for (i = 2; i <= n; i++)
				owner[f[1]] = owner[f[1]] " " f[i]
			continue
		}
		for (i = 2; i <= n; i++) {
			if (f[i] != "*" && !(f[i] in row))
				finding(at, f[1] " names " f[i] ", which is not an earlier row")
			may[f[1], f[i]] = 1
		}
		row[f[1]] = number
	}
}
# <openssl/ssl.h> falls under <openssl/>, <ev.h> under itself.
function system_header(at, name,    h, n, i, f, prefix, ok, whole)
{
	for (h in owner) {
		prefix = substr(h, 2, length(h) - 2)
		whole = prefix !~ /\/$/
		if (whole ? name != prefix : index(name, prefix) != 1)
			continue
		n = split(owner[h], f, " ")
		ok = 0
		for (i = 1; i <= n; i++)
			ok = ok || f[i] == FILENAME || f[i] == folder(FILENAME)
		if (!ok)
			finding(at, "<" name "> belongs to" owner[h])
	}
}
function own_header(at, name,    from, to)
{
	from = folder(FILENAME)
	to = folder(name)
	if (to == "." || name ~ /\.\./)
		finding(at, "\"" name "\" is not a path from the root")
	else if (!(to in row))
		finding(at, "\"" name "\" is in a folder without a row in layers.txt")
	else if (to != from && !((from, to) in may) && !((from, "*") in may))
		finding(at, from " may not include " to)
}
BEGIN { read_rules() }
FNR == 1 && !(folder(FILENAME) in row) {
	finding(FILENAME ":1", folder(FILENAME) " has no row in layers.txt")
}
/^[ \t]*#[ \t]*include/ {
	name = $0
	sub(/^[ \t]*#[ \t]*include[ \t]*/, "", name)
	kind = substr(name, 1, 1)
	name = substr(name, 2)
	sub(/[>"].*/, "", name)
	if (kind == "<")
		system_header(FILENAME ":" FNR, name)
	else if (kind == "\"")
		own_header(FILENAME ":" FNR, name)
}
END { exit bad }
' "$@"
