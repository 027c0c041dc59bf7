import type {Finding} from '../../checks/finding.ts'
import {DrError} from '../../errors.ts'
import type {Manifest, ManifestMember} from '../../repository/manifest.ts'
import type {StoredObject} from '../../repository/storage/storage.ts'
import {short, type Place} from './listing.ts'
import {kindOfMember, readMember, type ReadMember} from './member.ts'
import type {Meter} from './meter.ts'

const READS_AT_ONCE = 3
const TOC = 'toc.dat'

/** Reads every member that is there but toc.dat, and compares bytes, rows and large objects with the manifest. `bytes` counts what was read. */
export async function compareBytes(place: Place, manifest: Manifest, found: ReadonlyMap<string, StoredObject>, meter: Meter, signal: AbortSignal): Promise<{findings: Finding[]; bytes: number}> {
  const present = manifest.members.filter(({name}) => found.has(name) && name !== TOC).toSorted((a, b) => b.bytes - a.bytes)
  const findings: Finding[] = []
  const lists: string[] = []
  let bytes = 0
  await eachOf(present, READS_AT_ONCE, signal, async (member, inner) => {
    const read = await readOrTrouble(place, member, meter, inner)
    findings.push(...compareMember(manifest, member, found.get(member.name)?.bytes ?? 0, read))
    if (read instanceof DrError) return
    bytes += read.bytes
    if (read.text !== undefined) lists.push(read.text)
  })
  const missing = manifest.members.length - 1 - present.length
  if (findings.length === 0 && missing === 0) findings.push(...largeObjectFindings(manifest, lists))
  findings.sort((a, b) => (a.subject < b.subject ? -1 : 1))
  if (findings.length === 0) findings.push({code: 'verify.bytes', severity: 'ok', subject: '', message: `${present.length} members: SHA-256, compression and number of rows are those of the manifest`})
  return {findings, bytes}
}

/** A few at once, whichever ends first makes room. The first failure ends the others, and is thrown when they have ended. */
async function eachOf<T>(items: readonly T[], atOnce: number, signal: AbortSignal, work: (item: T, signal: AbortSignal) => Promise<void>): Promise<void> {
  const failing = new AbortController()
  const inner = AbortSignal.any([signal, failing.signal])
  const left = items.values()
  const worker = async () => {
    try {
      for (const item of left) await work(item, inner)
    } catch (error) {
      failing.abort(error)
      throw error
    }
  }
  await Promise.allSettled(Array.from({length: atOnce}, worker))
  inner.throwIfAborted()
}

/** A file that the disk does not give out is damage; a store that is not reached says nothing about the backup. */
async function readOrTrouble({storage, folder}: Place, {name, bytes}: ManifestMember, meter: Meter, signal: AbortSignal): Promise<ReadMember | DrError> {
  const item = meter.begin(name, bytes)
  try {
    return await readMember(storage, `${folder}${name}`, {signal, progress: (done) => { meter.at(item, done) }})
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    if (['storage.corrupt', 'storage.not-found'].includes(error.code) || (storage.kind === 'local' && error.code === 'storage.unreachable')) return error
    throw error
  } finally {
    meter.end(item)
  }
}

/** The first thing that is wrong explains the rest, so it alone is told. */
function compareMember(manifest: Manifest, {name, sha256, bytes}: ManifestMember, storedBytes: number, read: ReadMember | DrError): Finding[] {
  const wrong = (code: string, message: string): Finding[] => [{code, severity: 'error', subject: name, message}]
  if (read instanceof DrError) return wrong('verify.unreadable', `cannot be read: ${read.message}`)
  if (storedBytes !== bytes) return []
  if (read.sha256 !== sha256) return wrong('verify.sha256', `is damaged: its SHA-256 is ${short(read.sha256)}, the manifest says ${short(sha256)}${read.trouble === undefined ? '' : `; it ${read.trouble}`}`)
  if (read.trouble !== undefined) return wrong('verify.compression', `was stored damaged: it ${read.trouble}`)
  return kindOfMember(name) === 'table' ? compareRows(manifest, name, read.rows) : []
}

function compareRows({tables}: Manifest, name: string, rows: number | undefined): Finding[] {
  const dumpId = Number.parseInt(name, 10)
  const table = tables.find((one) => one.dumpId === dumpId)
  const whose = table === undefined ? '' : ` of ${table.schema}.${table.name}`
  if (rows === undefined) return [{code: 'verify.copy-end', severity: 'error', subject: name, message: `the data${whose} was stored without its end: rows are missing`}]
  if (table === undefined || table.rows === null || table.rows === rows) return []
  return [{code: 'verify.rows', severity: 'error', subject: name, message: `holds ${rows} rows${whose}, the manifest says ${table.rows}`}]
}

/** A line of a table of large objects is `OID FILE`, the file without the suffix of its compression. */
function largeObjectFindings(manifest: Manifest, lists: readonly string[]): Finding[] {
  const members = new Set(manifest.members.filter(({name}) => kindOfMember(name) === 'large-object').map(({name}) => name.replace(/(\.dat)\.\w+$/, '$1')))
  const listed = lists.flatMap((list) => list.split('\n').filter((line) => line !== '').map((line) => line.slice(line.indexOf(' ') + 1)))
  const known = new Set(listed)
  const wrong = (subject: string, message: string): Finding => ({code: 'verify.large-object', severity: 'error', subject, message})
  return [
    ...listed.filter((name) => !members.has(name)).map((name) => wrong(name, 'is a large object that the archive names, but not a member')),
    ...[...members].filter((name) => !known.has(name)).map((name) => wrong(name, 'is a large object that the archive does not name')),
    ...(listed.length === manifest.largeObjects ? [] : [wrong('', `${listed.length} large objects are in the archive, the manifest says ${manifest.largeObjects}`)]),
  ]
}
