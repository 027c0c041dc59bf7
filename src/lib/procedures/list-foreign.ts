import {readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {foreignDumps, readHead, sniff, type Compression, type DumpKind, type ForeignDump} from '../repository/foreign.ts'
import {mapInOrder} from '../repository/map-in-order.ts'
import type {Storage, StoredObject} from '../repository/storage/storage.ts'

/** So many dumps are looked into; the rest are only named. */
const MOST_LOOKED_AT = 50
const LOOKS_AT_ONCE = 8

/** A dump that dr did not make. */
export interface ListedForeign {
  /** What `dr verify` and `dr restore` take. */
  location: string
  /** Below its storage. */
  key: string
  place: string
  bytes: number
  modifiedAt: string
  /** By its first bytes; absent when they were not looked at. */
  kind?: DumpKind
  compression?: Compression
}

/** Where dumps of others may lie: everything under a prefix of a bucket, or what lies loose in the local folder. */
export interface ForeignPlace {
  storage: Storage
  prefix: string
}

/** Newest first; the newest are looked into. */
export async function listForeign({storage, prefix}: ForeignPlace, signal: AbortSignal): Promise<ListedForeign[]> {
  const dumps = storage.kind === 's3' ? await foreignDumps(storage, prefix, {signal}) : await looseDumps(storage, signal)
  const newest = dumps.toSorted((a, b) => b.modifiedAt.getTime() - a.modifiedAt.getTime())
  const looked: ForeignDump[] = []
  for await (const dump of mapInOrder(newest.slice(0, MOST_LOOKED_AT), LOOKS_AT_ONCE, async (one) => look(storage, one, signal))) looked.push(dump)
  // A bucket's prefix was named as the place of dumps; in a folder only what is one counts.
  const known = storage.kind === 's3' ? looked : looked.filter(({found}) => found?.kind !== 'unknown')
  return [...known, ...newest.slice(MOST_LOOKED_AT)].map((dump) => listed(storage, dump))
}

async function look(storage: Storage, dump: ForeignDump, signal: AbortSignal): Promise<ForeignDump> {
  return dump.found === undefined ? {...dump, found: await sniff(await readHead(storage, dump.key, {signal}))} : dump
}

function listed(storage: Storage, {key, bytes, modifiedAt, found}: ForeignDump): ListedForeign {
  return {location: `${storage.location}/${key}`, key, place: storage.location, bytes, modifiedAt: modifiedAt.toISOString(), ...(found && {kind: found.kind, compression: found.compression})}
}

/** Files directly in the folder, and folders with a toc.dat. The environments' folders are not walked. */
async function looseDumps(storage: Storage, signal: AbortSignal): Promise<ForeignDump[]> {
  const entries = await readdir(storage.location, {withFileTypes: true}).catch(() => [])
  const dumps: ForeignDump[] = []
  for (const entry of entries.filter(({name}) => !name.startsWith('.'))) {
    const dump = entry.isDirectory() ? await directoryDump(storage, entry.name, signal) : await storage.stat(entry.name, {signal})
    if (dump !== undefined && dump.bytes > 0) dumps.push(dump)
  }
  return dumps
}

async function directoryDump(storage: Storage, name: string, signal: AbortSignal): Promise<ForeignDump | undefined> {
  const toc: StoredObject | undefined = await storage.stat(join(name, 'toc.dat'), {signal})
  if (toc === undefined) return undefined
  let bytes = 0
  for await (const object of storage.list(`${name}/`, {signal})) bytes += object.bytes
  return {key: `${name}/`, bytes, modifiedAt: toc.modifiedAt, found: {compression: 'none', kind: 'directory'}}
}
