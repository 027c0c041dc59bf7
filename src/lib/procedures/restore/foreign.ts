import {open} from 'node:fs/promises'
import {join} from 'node:path'
import {stat} from 'node:fs/promises'
import {preflightError, type DrError} from '../../errors.ts'
import {HEAD_BYTES, readHead, sniff, type Sniffed} from '../../repository/foreign.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {FindOptions} from './source.ts'

const UNPACK = {none: 'cat', gzip: 'gzip -dc', zstd: 'zstd -dc', lz4: 'lz4 -dc'} as const
const NAMES = {custom: 'a custom archive of pg_dump', tar: 'a tar archive of pg_dump', directory: 'a directory archive of pg_dump', plain: 'plain SQL', cluster: 'SQL of pg_dumpall', unknown: 'no dump that dr knows'} as const

/** Says in words that a file or folder is no backup of dr's, and how to restore it with PostgreSQL's own tools. */
export async function foreignFile(path: string, isFolder: boolean): Promise<DrError> {
  if (!isFolder) return refuse(path, await sniff(await headOf(path)), `< ${path}`, path)
  const isArchive = (await stat(join(path, 'toc.dat')).catch(() => undefined)) !== undefined
  if (isArchive) return refuse(path, {compression: 'none', kind: 'directory'}, '', path)
  return preflightError('restore.no-backup', `${path} holds no backup: there is neither a manifest.json nor a toc.dat.`, {hints: ['dr list shows the backups.']})
}

export async function foreignObject(storage: Storage, key: string, {signal}: FindOptions): Promise<DrError> {
  const where = `${storage.location}/${key}`
  const object = await storage.stat(key, {signal})
  if (object === undefined) return preflightError('restore.no-backup', `There is neither a backup nor an object ${where}.`, {hints: ['dr list shows the backups of the bucket.']})
  return refuse(where, await sniff(await readHead(storage, key, {signal})), '', `aws s3 cp ${where} - |`)
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const {buffer, bytesRead} = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function refuse(where: string, {compression, kind}: Sniffed, redirect: string, source: string): DrError {
  const packed = compression === 'none' ? '' : ` (${compression})`
  const hints = kind === 'unknown' ? ['dr list shows the backups.'] : [`By hand, into an empty database: ${stockLine({compression, kind}, redirect, source)}`]
  return preflightError('restore.foreign', `${where} is not a backup of dr but ${NAMES[kind]}${packed}; dr restores those in a later version.`, {hints})
}

/** Piped: pg_restore reads custom and tar archives from its standard input. */
function stockLine({compression, kind}: Sniffed, redirect: string, source: string): string {
  if (kind === 'directory') return `pg_restore --jobs=2 --dbname=NEW ${source}`
  const tool = kind === 'plain' || kind === 'cluster' ? 'psql --set=ON_ERROR_STOP=1 --dbname=NEW' : 'pg_restore --dbname=NEW'
  if (redirect === '') return `${source} ${compression === 'none' ? '' : `${UNPACK[compression]} | `}${tool}`
  return compression === 'none' ? `${tool} ${redirect}` : `${UNPACK[compression]} ${redirect} | ${tool}`
}
