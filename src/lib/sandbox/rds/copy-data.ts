import {chown, constants, copyFile, mkdir, readdir} from 'node:fs/promises'
import {join} from 'node:path'
import type {Account} from '../../system/service.ts'

/** Folders whose contents a base backup does without; they must be there. Source: PostgreSQL, “Making a Base Backup Using the Low Level API”. */
const EMPTY = ['pg_dynshmem', 'pg_notify', 'pg_replslot', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans', 'pg_wal']
const WITHOUT = /^(postmaster\.(pid|opts)|pg_internal\.init.*|pgsql_tmp.*)$/

/**
 * Copies what a base backup holds: of the data folder of a server that runs, between pg_backup_start and pg_backup_stop, or of a
 * base backup. What vanishes meanwhile is in the WAL.
 */
export async function copyData(from: string, to: string, account: Account | undefined, path = ''): Promise<void> {
  await mkdir(join(to, path), {mode: 0o700})
  await own(join(to, path), account)
  if (EMPTY.includes(path)) return
  for (const entry of await readdir(join(from, path), {withFileTypes: true}).catch(ifThere([]))) {
    const within = path === '' ? entry.name : `${path}/${entry.name}`
    if (WITHOUT.test(entry.name)) continue
    if (entry.isDirectory()) await copyData(from, to, account, within)
    else if (entry.isFile()) await copyOne(join(from, within), join(to, within), account)
  }
}

async function copyOne(from: string, to: string, account: Account | undefined): Promise<void> {
  const copied = await copyFile(from, to, constants.COPYFILE_FICLONE).then(() => true, ifThere(false))
  if (copied) await own(to, account)
}

const own = async (path: string, account: Account | undefined): Promise<void> => {
  if (account) await chown(path, account.uid, account.gid)
}

const ifThere = <T>(otherwise: T) => (error: unknown): T => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return otherwise
  throw error
}
