#!/usr/bin/env bash
# run.sh [PROGRAM] -- try pgsluice: a throw-away PostgreSQL, or the server that DATABASE_URL
# (postgres://user:password@host:port/database) or PGHOST names, and pgsluice before it.
# Everything lives in one private folder, which goes away at Ctrl-C. Behind `make run`.
set -euo pipefail

program=$(readlink -f "${1:-build/pgsluice}")
dir="" pooler="" server_started="" tail_pid=""

say() { printf '%s\n' "$*"; }
die() { printf 'run: %s\n' "$@" >&2; exit 1; }

# Neither PostgreSQL nor pgsluice runs as root; as_user precedes their commands.
user="" as_user=()
if [ "$(id -u)" = 0 ]; then
	for user in postgres nobody; do
		! id "$user" >/dev/null 2>&1 || break
	done
fi

cleanup()
{
	local rc=$?
	# Nothing may keep the rest from being done, a closed terminal neither.
	set +e
	trap '' INT TERM HUP PIPE
	trap - EXIT
	[ -z "$dir" ] || say "" "stopping" 2>/dev/null
	[ -z "$tail_pid" ] || kill "$tail_pid" 2>/dev/null
	if [ -n "$pooler" ]; then
		kill -QUIT "$pooler" 2>/dev/null
		for _ in {1..30}; do
			kill -0 "$pooler" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pooler" 2>/dev/null
		wait "$pooler" 2>/dev/null
	fi
	if [ -n "$server_started" ]; then
		"${as_user[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -s stop >/dev/null 2>&1
	fi
	[ -z "$dir" ] || rm -rf "$dir"
	exit "$rc"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP PIPE

# A port is free when nobody answers there; pgsluice shares ports by SO_REUSEPORT, so that binding
# would not tell.
free_port()
{
	local port=$1
	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		port=$((port + 1))
	done
	echo "$port"
}

random_password() { od -An -N 18 -tx1 /dev/urandom | tr -d ' \n'; }

# Values of postgres:// URLs are percent-encoded.
decode() { local s=${1//\\/\\\\}; printf '%b' "${s//%/\\x}"; }
# 'quoted' for the config, "quoted" for the user list.
config_quote() { printf "'%s'" "${1//\'/\'\'}"; }
list_quote() { printf '"%s"' "${1//\"/\"\"}"; }

# postgres://user:password@host:port/database?sslmode=... to the PG* variables.
parse_url()
{
	local rest=${1#*://} query="" auth=""
	[[ $1 =~ ^postgres(ql)?:// ]] || die "DATABASE_URL is not postgres://user:password@host:port/database"
	[[ $rest != *\?* ]] || { query=${rest#*\?} rest=${rest%%\?*}; }
	PGDATABASE=""
	[[ $rest != */* ]] || { PGDATABASE=$(decode "${rest#*/}") rest=${rest%%/*}; }
	[[ $rest != *@* ]] || { auth=${rest%@*} rest=${rest##*@}; }
	if [ -n "$auth" ]; then
		PGUSER=$(decode "${auth%%:*}")
		[[ $auth != *:* ]] || PGPASSWORD=$(decode "${auth#*:}")
	fi
	if [[ $rest =~ ^\[(.*)\](:([0-9]+))?$ ]]; then
		PGHOST=${BASH_REMATCH[1]} PGPORT=${BASH_REMATCH[3]:-5432}
	else
		PGHOST=$(decode "${rest%%:*}") PGPORT=5432
		[[ $rest != *:* ]] || PGPORT=${rest##*:}
	fi
	[[ ! $query =~ (^|&)sslmode=([a-z-]+) ]] || PGSSLMODE=${BASH_REMATCH[2]}
	[ -n "$PGHOST" ] || die "DATABASE_URL names no host"
}

# The private folder is the unprivileged user's; nobody else may look into it.
make_folder()
{
	umask 077
	dir=$(mktemp -d "${TMPDIR:-/tmp}/pgsluice-run.XXXXXX")
	if [ -n "$user" ]; then
		as_user=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups
			env HOME="$dir")
		chown "$user:" "$dir"
	fi
	# A build below /root is out of the user's reach.
	if ! "${as_user[@]}" test -x "$program"; then
		install -m 755 "$program" "$dir/pgsluice"
		program=$dir/pgsluice
	fi
	cd "$dir"
	say "private folder $dir${user:+, user $user}"
}

start_server()
{
	local initdb port
	initdb=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
	[ -x "$initdb" ] || initdb=$(command -v initdb) || die "no PostgreSQL server programs found"
	bin=${initdb%/*}
	port=$(free_port $((15432 + RANDOM % 4000)))
	admin=postgres admin_password=$(random_password)
	login=app login_password=$(random_password)
	database=app

	say "making a throw-away PostgreSQL $("$bin/postgres" --version | awk '{ print $3 }')"
	printf '%s\n' "$admin_password" >"$dir/pw"
	[ -z "$user" ] || chown "$user:" "$dir/pw"
	"${as_user[@]}" "$bin/initdb" -D "$dir/data" -U "$admin" --auth=scram-sha-256 --pwfile="$dir/pw" \
		--encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2; die "initdb failed"; }
	rm -f "$dir/pw"

	say "starting it on 127.0.0.1:$port"
	server_started=1
	"${as_user[@]}" "$bin/pg_ctl" -D "$dir/data" -w -s -l "$dir/postgresql.log" -o "-c port=$port \
		-c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c fsync=off \
		-c max_connections=200" start ||
		{ cat "$dir/postgresql.log" >&2; die "PostgreSQL did not start"; }
	"${as_user[@]}" env PGPASSWORD="$admin_password" psql -qXAtw -v ON_ERROR_STOP=1 \
		-d "host=$dir port=$port user=$admin dbname=postgres" <<-EOF
			create role app login password '$login_password';
			create database app owner app;
		EOF
	host=127.0.0.1 server_port=$port sslmode=""
}

use_server()
{
	local problem
	host=$PGHOST server_port=${PGPORT:-5432} sslmode=${PGSSLMODE:-}
	login=${PGUSER:-postgres} login_password=${PGPASSWORD:-} database=${PGDATABASE:-$login}
	admin=$login
	say "looking for PostgreSQL at $host:$server_port"
	problem=$("${as_user[@]}" env PGHOST="$host" PGPORT="$server_port" PGUSER="$login" \
		PGDATABASE="$database" PGPASSWORD="$login_password" PGPASSFILE="$dir/none" \
		PGCONNECT_TIMEOUT=5 PGSSLMODE="${sslmode:-prefer}" psql -qXAtw -c 'select 1' 2>&1 >/dev/null) ||
		die "$problem" \
			"cannot log in to PostgreSQL at $host:$server_port, database $database, user $login." \
			"To fix it: start that server, or correct DATABASE_URL or PGHOST, PGPORT, PGUSER," \
			"PGPASSWORD, PGDATABASE; without DATABASE_URL and PGHOST a throw-away server is made."
	# A server that trusts us asks for no password; pgsluice's clients still need one.
	[ -n "$login_password" ] || login_password=$(random_password)
	admin_password=$login_password
}

write_config()
{
	{
		list_quote "$login"; printf ' '; list_quote "$login_password"; echo
		if [ "$admin" != "$login" ]; then
			list_quote "$admin"; printf ' '; list_quote "$admin_password"; echo
		fi
	} >"$dir/userlist.txt"
	cat >"$dir/pgsluice.ini" <<-EOF
		[databases]
		$database = host=$(config_quote "$host") port=$server_port dbname=$(config_quote "$database")
		* = host=$(config_quote "$host") port=$server_port

		[pgsluice]
		listen_addr = 127.0.0.1
		listen_port = $port
		unix_socket_dir = $dir
		auth_type = scram-sha-256
		auth_file = $dir/userlist.txt
		admin_users = $admin
		pool_mode = transaction
		max_client_conn = 5000
		default_pool_size = 20
		${sslmode:+server_tls_sslmode = $sslmode}
	EOF
	# For the lines printed at the end: a password given to us is not shown.
	printf '127.0.0.1:%s:*:%s:%s\n' "$port" "$login" \
		"$(printf '%s' "$login_password" | sed 's/[\\:]/\\&/g')" >"$dir/pgpass"
	[ -z "$user" ] || chown "$user:" "$dir/userlist.txt" "$dir/pgsluice.ini" "$dir/pgpass"
}

start_pooler()
{
	local error=""
	say "starting pgsluice on 127.0.0.1:$port"
	# 5,000 clients need as many descriptors.
	ulimit -n "$(ulimit -H -n)" 2>/dev/null || true
	"${as_user[@]}" "$program" "$dir/pgsluice.ini" >"$dir/pgsluice.log" 2>&1 </dev/null &
	pooler=$!
	for _ in {1..75}; do
		kill -0 "$pooler" 2>/dev/null || break
		if error=$(PGPASSWORD="$login_password" PGCONNECT_TIMEOUT=3 PGPASSFILE="$dir/none" \
			PGSSLMODE=prefer psql -qXAtw -h 127.0.0.1 -p "$port" -U "$login" -d "$database" \
			-c 'select 1' 2>&1); then
			say "a login through pgsluice works"
			return
		fi
		sleep 0.2
	done
	say "-- pgsluice.log" >&2
	tail -n 40 "$dir/pgsluice.log" >&2
	die "no login through pgsluice: ${error:-it ended at once}"
}

how_to_connect()
{
	local password="PGPASSWORD=$login_password" admin_pw="PGPASSWORD=$admin_password"
	local to
	to="-h 127.0.0.1 -p $port"
	if [ -z "$server_started" ]; then
		password="PGPASSFILE=$dir/pgpass" admin_pw=$password
	fi
	cat <<-EOF

		pgsluice is ready. In another terminal:

		  a client       $password psql $to -U $login $database
		  admin console  $admin_pw psql $to -U $admin pgsluice -c 'show pools'
		  load           echo 'select 1' | $password pgbench -n -f - -c 50 -T 10 $to -U $login $database

		Config: $dir/pgsluice.ini. Its log follows; Ctrl-C ends everything.

	EOF
}

[ -x "$program" ] || die "no program $program; run make first"
command -v psql >/dev/null || die "psql is missing (Debian package postgresql-client-15)"
[ -z "${DATABASE_URL:-}" ] || parse_url "$DATABASE_URL"

bin=""
make_folder
if [ -n "${PGHOST:-}" ]; then
	use_server
else
	start_server
fi
# The names below are ours from here on.
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PGSERVICE DATABASE_URL PGOPTIONS
port=$(free_port 6432)
write_config
start_pooler
how_to_connect
tail -n +1 -f "$dir/pgsluice.log" &
tail_pid=$!
rc=0
wait "$pooler" || rc=$?
pooler=""
die "pgsluice ended (exit code $rc)"
