#!/usr/bin/env bash
# deps.sh GROUP... -- makes sure that the Debian packages of these groups are installed.
# Silent and quick (one dpkg-query) when nothing is missing; otherwise installs as root or by
# sudo -n, or prints the one line to run and fails. SKIP_DEPS=1 leaves everything to you.
set -euo pipefail

declare -A packages=(
	[build]="gcc make pkg-config libc6-dev libpq-dev libev-dev libssl-dev libinih-dev libc-ares-dev libidn-dev
		libcurl4-openssl-dev libldap-dev libpam0g-dev"
	[test]="libcmocka-dev postgresql-15 postgresql-client-15 postgresql-contrib
		python3-psycopg python3-pytest python3-botocore python3-cryptography openssl nodejs npm
		strace procps slapd ldap-utils faketime"
	[run]="postgresql-15 postgresql-client-15"
	[bench]="postgresql-15 postgresql-client-15 python3-psycopg pgbouncer haproxy openssl"
	[lint]="clang-format pmccabe codespell shellcheck universal-ctags"
	[fuzz]="clang libclang-rt-14-dev"
	[compdb]="bear"
)

# The wanted packages that are not there. node and npm may come from anywhere.
missing()
{
	local want=() p
	for p in $1; do
		case $p in
		nodejs) command -v node >/dev/null || want+=("$p") ;;
		npm) command -v npm >/dev/null || want+=("$p") ;;
		*) want+=("$p") ;;
		esac
	done
	[ ${#want[@]} -gt 0 ] || return 0
	{
		# shellcheck disable=SC2016
		dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${want[@]}" 2>/dev/null || true
		printf 'wanted %s\n' "${want[@]}"
	} | awk '$1 == "installed" { have[$2] } $1 == "wanted" && !($2 in have) { print $2 }' | sort -u
}

# While packages are installed, a policy of ours keeps the services of new ones from starting
# (policy-rc.d(8)); services that are there already, and a policy of the administrator, stay.
install_as_root()
{
	local policy=/usr/sbin/policy-rc.d new=() p
	for p in "$@"; do
		case $p in
		pgbouncer | haproxy | slapd) new+=("$p") ;;
		esac
	done
	[ -e /etc/init.d/postgresql ] || new+=(postgresql)
	if [ ! -e $policy ] && [ ! -L $policy ]; then
		own=$policy # global: the trap runs after this function
		trap 'rm -f "$own"' EXIT
		trap 'exit 130' INT TERM HUP
		cat >"$own" <<-EOF
			#!/bin/sh
			# made by pgsluice's deps.sh while it installs packages
			for s in ${new[*]}; do [ "\${1%.service}" = "\$s" ] && exit 101; done
			exit 0
		EOF
		chmod 755 "$own"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "$@"
	# A further cluster beside running ones: only this one was started by us.
	if [[ " $* " = *" postgresql-15 "* ]] && command -v pg_ctlcluster >/dev/null; then
		pg_ctlcluster 15 main stop >/dev/null 2>&1 || true
	fi
	if [ -d /run/systemd/system ]; then
		for p in "${new[@]}"; do
			systemctl disable --quiet --now "$p" >/dev/null 2>&1 || true
		done
	fi
}

if [ "${1:-}" = --install-as-root ]; then
	shift
	install_as_root "$@"
	exit 0
fi
[ -z "${SKIP_DEPS:-}" ] || exit 0

wanted=""
for group in "$@"; do
	wanted+=" ${packages[$group]:?unknown group $group}"
done
if ! command -v dpkg-query >/dev/null; then
	echo "deps: no dpkg here; needed is what Debian calls:$wanted" >&2
	exit 0
fi
[ -n "$(missing "$wanted")" ] || exit 0

# Two targets of one parallel make may both find something missing: one after the other.
exec 9>"${TMPDIR:-/tmp}/pgsluice-deps.$UID.lock"
flock 9
mapfile -t todo < <(missing "$wanted")
[ ${#todo[@]} -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ]; then
	echo "deps: installing ${todo[*]}"
	"$0" --install-as-root "${todo[@]}"
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	echo "deps: installing ${todo[*]}, by sudo"
	sudo -n "$(readlink -f "$0")" --install-as-root "${todo[@]}"
else
	echo "deps: packages are missing and this user may not install them. Run, then try again:" >&2
	echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${todo[*]}" >&2
	exit 1
fi
