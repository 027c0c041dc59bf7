import {createDatabaseSql, recoverScript} from './recover-script.ts'

export interface RecoveryKit {
  label: string
  environment: string
  database: string
  /** The least major of pg_restore that reads the archive. */
  pgRestoreMajor: number
  /** Of the server that was backed up. */
  serverMajor: number
  encoding: string
  collation: {provider: string; collate: string; ctype: string; locale?: string | undefined}
  /** All members so far: the archive and globals.sql. The script checks them. */
  members: readonly {name: string; bytes: number; sha256: string}[]
  /** Parallel jobs that the script uses unless told otherwise. */
  jobs: number
}

export interface KitFile {
  name: 'RECOVER.md' | 'recover.sh'
  text: string
}

/** What restores the backup where there is no dr: a page for people, and a script for sh, psql and pg_restore. */
export function recoveryKit(kit: RecoveryKit): KitFile[] {
  return [
    {name: 'RECOVER.md', text: recoverText(kit)},
    {name: 'recover.sh', text: recoverScript(kit)},
  ]
}

function recoverText(kit: RecoveryKit): string {
  const {label, environment, database, pgRestoreMajor: major, serverMajor} = kit
  const fresh = `${database}_restored`
  return `# Restore this backup without dr

Database \`${database}\` (${environment}), backup \`${label}\`, taken from PostgreSQL ${serverMajor}.
This folder is a directory archive of pg_dump. It needs \`psql\` and \`pg_restore\` of major version **${major} or newer**, and nothing else.

## 1. Have the whole folder on a disk

From a bucket:

    aws s3 cp --recursive s3://BUCKET/PREFIX/${environment}/${label} ${label}
    cd ${label}

## 2. Say which server

    export PGHOST=... PGPORT=5432 PGUSER=...

The password goes into \`~/.pgpass\` (mode 0600) or into PGPASSWORD. The user needs CREATEDB, and must be able to become the owners of the objects.

## 3. Run the script

    sh recover.sh --roles ${fresh}

It checks every file of this folder against its SHA-256, creates the database \`${fresh}\` (or takes it when it is there and empty; never a filled one), restores into it, and says what went wrong, if anything did. \`--roles\` first creates the roles that are missing, without passwords. \`sh recover.sh --check\` only checks the files.

Several versions of PostgreSQL on one machine: \`PG_RESTORE=/usr/lib/postgresql/${major}/bin/pg_restore sh recover.sh ...\`, and PSQL likewise.

## Or by hand

${byHand(kit, fresh)}
With a pg_restore of 17 or newer and a server of 16 or older, one error per connection is harmless: \`unrecognized configuration parameter "transaction_timeout"\`. Every other error means that something is missing.

## What is in here

- \`toc.dat\`, \`*.dat*\`, \`blob*\`: the archive
- \`globals.sql\`: roles without passwords, memberships, settings of the database
- \`manifest.json\`: what was backed up, when, from where, row counts, SHA-256 of every file
- \`evidence/\`: what later checks of this backup have shown
`
}

function byHand({database, jobs, ...kit}: RecoveryKit, fresh: string): string {
  const create = createDatabaseSql(kit, `"${fresh.replaceAll('"', '""')}"`, kit.serverMajor >= 15)
  return `    psql -X -d postgres -f globals.sql
    psql -X -d postgres -c "${inQuotes(create)}"
    pg_restore -j ${jobs} -d ${word(fresh)} .
    psql -X -d ${word(fresh)} -v target=${word(fresh)} -f globals.sql
    psql -X -d ${word(fresh)} -c ANALYZE

The database was called \`${database}\`.

`
}

const inQuotes = (text: string) => text.replaceAll(/["$\\`]/g, String.raw`\$&`)

/** One word for sh. */
const word = (text: string) => (/^[\w.@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`)
