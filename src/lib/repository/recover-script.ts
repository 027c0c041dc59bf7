import type {RecoveryKit} from './recovery-kit.ts'

/** Only what every sh has (dash, BusyBox): the script runs on machines of which nothing is known. */
export function recoverScript(kit: RecoveryKit): string {
  return `${head(kit)}${FUNCTIONS}${memberList(kit)}${createSql(kit)}${MAIN}`
}

function head({label, environment, database, pgRestoreMajor, jobs}: RecoveryKit): string {
  return `#!/bin/sh
# Restores the backup ${label} of ${comment(database)} (${comment(environment)}) with psql and pg_restore alone.
#   sh recover.sh [--roles] [--jobs N] TARGET_DATABASE    restore into a new or an empty database
#   sh recover.sh --check                                 only check the files
# The server comes from PGHOST, PGPORT, PGUSER, PGPASSWORD or ~/.pgpass. RECOVER.md says the same for people.

NEEDED_MAJOR=${pgRestoreMajor}
JOBS=${jobs}
`
}

const comment = (text: string) => text.replaceAll(/[^\x20-\x7E]/g, '?')

const FUNCTIONS = String.raw`PG_RESTORE=${'$'}{PG_RESTORE:-pg_restore}
PSQL=${'$'}{PSQL:-psql}
MAINTENANCE_DATABASE=${'$'}{MAINTENANCE_DATABASE:-postgres}
LC_ALL=C
export LC_ALL
unset LANGUAGE

fail() {
  echo "recover.sh: $*" >&2
  exit 1
}

say() {
  echo "recover.sh: $*" >&2
}

sha256_of() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum <"$1" | cut -d ' ' -f 1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 <"$1" | cut -d ' ' -f 1
  else
    echo unknown
  fi
}

# Reads "SHA256 BYTES NAME" lines; prints what is wrong, nothing when all is well.
wrong_members() {
  while read -r sha256 bytes name; do
    if [ ! -f "$name" ]; then
      echo "$name is missing"
    elif [ "$(($(wc -c <"$name")))" -ne "$bytes" ]; then
      echo "$name has not $bytes bytes"
    else
      found=$(sha256_of "$name")
      [ "$found" = "$sha256" ] || [ "$found" = unknown ] || echo "$name is damaged: its SHA-256 is not the one of the backup"
    fi
  done
}

check_members() {
  [ "$(sha256_of /dev/null)" != unknown ] || say "neither sha256sum nor shasum is here: only sizes are checked"
  wrong=$(members | wrong_members)
  [ -z "$wrong" ] || fail "this copy of the backup is not whole:
$wrong"
}

check_pg_restore() {
  version=$("$PG_RESTORE" --version) || fail "$PG_RESTORE cannot be run: install the PostgreSQL client, major $NEEDED_MAJOR or newer, or name it in PG_RESTORE"
  major=$(echo "$version" | sed -n 's/^pg_restore (PostgreSQL) \([0-9][0-9]*\).*/\1/p')
  [ -n "$major" ] || fail "$PG_RESTORE does not say its version: $version"
  [ "$major" -ge "$NEEDED_MAJOR" ] || fail "this archive needs pg_restore $NEEDED_MAJOR or newer, and $PG_RESTORE is $major: name a newer one in PG_RESTORE"
}

# ask DATABASE SQL: :'target' and :"target" stand for the target's name.
ask() {
  printf '%s\n' "$2" | "$PSQL" -X -A -t -q -v ON_ERROR_STOP=1 -v target="$target" -d "$1"
}

apply_globals() {
  "$PSQL" -X -q -v ON_ERROR_STOP=1 "$@" -f globals.sql >/dev/null || fail "globals.sql could not be applied"
}

prepare_database() {
  there=$(ask "$MAINTENANCE_DATABASE" "SELECT count(*) FROM pg_database WHERE datname = :'target';") || fail "the server cannot be asked: check PGHOST, PGPORT, PGUSER and the password"
  if [ "$there" = 0 ]; then
    server=$(ask "$MAINTENANCE_DATABASE" "SELECT current_setting('server_version_num');") || exit 1
    ask "$MAINTENANCE_DATABASE" "$(create_sql "$server")" >/dev/null || fail "the database could not be created; create it yourself (empty, from template0), then run this again"
    say "created the database $target"
    return
  fi
  filled=$(ask "$target" "SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
    + (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public'))
    + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
    + (SELECT count(*) FROM pg_largeobject_metadata);") || exit 1
  [ "$filled" = 0 ] || fail "the database $target is not empty: name a new one"
}

# Errors that do not matter: a client of 17 or newer sets a parameter that a server of 16 or older does not know.
# Only when every error is that one, and every one of them came from that very statement. Workers tear each other's lines,
# so errors are counted wherever they stand in a line.
only_harmless() {
  errors=$(($(grep -o -E '(error|fatal):' "$1" | wc -l)))
  known=$(($(grep -o 'could not execute query: .*transaction_timeout' "$1" | wc -l)))
  statements=$(($(grep -o 'Command was: SET transaction_timeout = 0;' "$1" | wc -l)))
  [ "$errors" -gt 0 ] && [ "$errors" -eq "$known" ] && [ "$errors" -eq "$statements" ]
}

restore() {
  log=$(mktemp "${'$'}{TMPDIR:-/tmp}/recover.XXXXXX") || exit 1
  trap 'rm -f "$log"' EXIT
  "$PG_RESTORE" --jobs="$JOBS" --dbname="$target" . 2>"$log"
  code=$?
  # Any other code is not the end of a pg_restore that went through (137: it was killed).
  if [ "$code" -ne 0 ] && { [ "$code" -ne 1 ] || ! only_harmless "$log"; }; then
    cat "$log" >&2
    if grep -q 'role ".*" does not exist' "$log"; then say "roles are missing: drop $target, then run this again with --roles"; fi
    fail "pg_restore ended with errors: the database $target is not complete"
  fi
  if [ "$code" -eq 0 ]; then cat "$log" >&2; fi
}
`

const MAIN = String.raw`
usage() {
  fail "usage: sh recover.sh [--roles] [--jobs N] TARGET_DATABASE, or sh recover.sh --check"
}

target=
roles=
check=
while [ $# -gt 0 ]; do
  case $1 in
    --roles) roles=yes ;;
    --check) check=yes ;;
    --jobs)
      [ $# -ge 2 ] || usage
      JOBS=$2
      shift
      ;;
    -*) usage ;;
    *)
      [ -z "$target" ] || usage
      target=$1
      ;;
  esac
  shift
done
[ -n "$target" ] || [ -n "$check" ] || usage

# psql and pg_restore take a name with = or :// for a whole connection string.
case $target in *=* | *://*) fail "$target is not a plain database name" ;; esac
CDPATH= cd -- "$(dirname -- "$0")" || exit 1
check_members
if [ -n "$check" ]; then
  say "every file is whole"
  exit 0
fi
check_pg_restore
if [ -n "$roles" ]; then apply_globals -d "$MAINTENANCE_DATABASE"; fi
prepare_database
say "restoring into $target"
restore
if [ -n "$roles" ]; then apply_globals -d "$target" -v target="$target"; fi
# A user that does not own everything is warned about each table that it cannot analyze.
ask "$target" 'SET client_min_messages = error; ANALYZE;' >/dev/null || fail "everything is restored, but ANALYZE failed"
say "$target is restored"
`

const PLAIN = /^[\w.][\w./-]*$/

function memberList({members}: RecoveryKit): string {
  const odd = members.find(({name}) => !PLAIN.test(name))
  if (odd !== undefined) throw new Error(`No member of an archive is called ${odd.name}.`)
  const lines = members.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({name, bytes, sha256}) => `${sha256} ${bytes} ${name}`)
  return `
members() {
  cat <<'MEMBERS'
${lines.join('\n')}
MEMBERS
}
`
}

/** The target's name is quoted already. LOCALE_PROVIDER is known from 15 on; before, everything is libc. */
export function createDatabaseSql({encoding, collation}: Pick<RecoveryKit, 'encoding' | 'collation'>, target: string, knowsProviders: boolean): string {
  const {provider, collate, ctype, locale} = collation
  const base = `CREATE DATABASE ${target} TEMPLATE template0 ENCODING ${literal(encoding)} LC_COLLATE ${literal(collate)} LC_CTYPE ${literal(ctype)}`
  if (!knowsProviders) return `${base};`
  const named = provider === 'libc' || locale === undefined ? '' : ` ${provider === 'icu' ? 'ICU_LOCALE' : 'BUILTIN_LOCALE'} ${literal(locale)}`
  return `${base} LOCALE_PROVIDER ${provider}${named};`
}

function createSql(kit: RecoveryKit): string {
  return `
# create_sql SERVER_VERSION_NUM
create_sql() {
  if [ "$1" -ge 150000 ]; then
    cat <<'SQL'
${createDatabaseSql(kit, ':"target"', true)}
SQL
  else
    cat <<'SQL'
${createDatabaseSql(kit, ':"target"', false)}
SQL
  fi
}
`
}

const literal = (text: string) => `'${text.replaceAll("'", "''").replaceAll(/[\r\n\\]/g, '')}'`
