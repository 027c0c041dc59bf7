import {stat, statfs} from 'node:fs/promises'
import {rowsOf, type Client} from './connection.ts'
import type {Target} from './target.ts'

/**
 * Free bytes on the disk of the server's data folder, where that is on this machine and the role may know where; else undefined.
 * That the folder of this name is the server's own is proven by the time of its last change, which both must see alike.
 */
export async function serverDiskSpace(client: Client, {host}: Target): Promise<number | undefined> {
  if (!host.startsWith('/') && !/^(localhost|127\.|::1$)/.test(host)) return undefined
  try {
    const [row] = await rowsOf<{directory: string; changed: string}>(client, `SELECT current_setting('data_directory') AS directory, extract(epoch FROM (pg_stat_file('.')).change)::int8::text AS changed`)
    if (row === undefined) return undefined
    const {ctimeMs} = await stat(row.directory)
    if (Math.floor(ctimeMs / 1000) !== Number(row.changed)) return undefined
    const {bavail, bsize} = await statfs(row.directory)
    return bavail * bsize
  } catch {
    return undefined
  }
}
