import {rm} from 'node:fs/promises'
import {join} from 'node:path'
import type {Finding} from '../../checks/finding.ts'
import {preflightError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {ClientTools} from '../../postgres/tools.ts'
import {compressionWords, layersOf, readHead, sniff, type DumpKind, type Sniffed} from '../../repository/foreign.ts'
import {runTool} from '../../system/tool.ts'
import {StreamTrouble, unpack} from './decompress.ts'
import {verifyDirectory} from './foreign-directory.ts'
import {TarArchive} from './foreign-tar.ts'
import type {Meter} from './meter.ts'
import type {Verified, VerifyOptions} from './options.ts'
import type {ForeignPlaceOf} from './places.ts'
import {spool} from './spool.ts'

export interface ForeignIo {
  options: Pick<VerifyOptions, 'level' | 'tools' | 'toolsMissing' | 'spoolDirectory'>
  meter: Meter
  signal: AbortSignal
}

const names: Readonly<Record<DumpKind, string>> = {
  custom: 'custom archive of pg_dump', tar: 'tar archive of pg_dump', directory: 'directory archive of pg_dump', plain: 'plain SQL dump of one database', cluster: 'SQL dump of a whole cluster', unknown: 'unknown',
}

export const wrong = (code: string, message: string, subject = ''): Finding => ({code, severity: 'error', subject, message})

/** pg_dump --inserts and its like write no COPY, and so no end of the data. */
export const isInserted = ({kind, copyStatement}: Pick<ArchiveEntry, 'kind' | 'copyStatement'>): boolean => kind === 'TABLE DATA' && (copyStatement ?? '') === ''

export const endsOfData = (someInserted: boolean): string => (someInserted ? 'but of tables that are written as INSERT the end of the data cannot be told' : 'and the data of every table has its end')

/** Verifies a dump that dr did not make as far as its kind allows, and says in `result.extent` how far that was. */
export async function verifyForeign(place: ForeignPlaceOf, result: Verified, io: ForeignIo): Promise<void> {
  if (place.key.endsWith('/')) {
    await verifyDirectory(place, result, io)
    return
  }
  const found = await sniff(await readHead(place.storage, place.key, {signal: io.signal}))
  const size = (await place.storage.stat(place.key, {signal: io.signal}))?.bytes ?? 0
  result.members = 1
  result.extent = `by its first bytes a ${names[found.kind]}${found.compression === 'none' ? '' : `, ${compressionWords(found)}`}`
  if (found.kind === 'unknown') result.findings.push(wrong('verify.kind', `is no dump that dr knows${found.compression === 'none' ? '' : ` (it begins as ${found.compression})`}: ${found.other === undefined ? 'its first bytes are something else' : `it is ${found.other.what}`}`))
  else if (found.kind === 'directory') result.findings.push(wrong('verify.kind', 'is only the table of contents of a directory archive: name its folder'))
  else if (io.options.level === 'quick') result.extent += '; nothing else was read'
  else await verifiers[found.kind]({...place, size}, found, result, io)
}

interface SizedPlace extends ForeignPlaceOf {
  size: number
}

type Verifier = (place: SizedPlace, found: Sniffed, result: Verified, io: ForeignIo) => Promise<void>

const through = (found: Sniffed) => (found.compression === 'none' ? 'read to its end' : `${compressionWords(found)} decompressed to its end`)

async function verifySql(place: SizedPlace, found: Sniffed, result: Verified, io: ForeignIo): Promise<void> {
  let tail = Buffer.alloc(0)
  const keep = (chunk: Buffer) => { tail = Buffer.concat([tail, chunk.subarray(-TAIL)]).subarray(-TAIL) }
  if (!(await read(place, found, result, io, keep))) return
  const what = found.kind === 'cluster' ? 'PostgreSQL database cluster dump complete' : 'PostgreSQL database dump complete'
  const ends = endsWith(tail.toString('latin1'), what)
  result.extent = `${names[found.kind]}: ${through(found)}${ends ? ', and it ends as pg_dump ends one' : ''}; nothing was executed, and there is no manifest to compare with`
  if (!ends) result.findings.push(wrong('verify.end', `does not end with the line «-- ${what}»: it is cut off, or something follows it`))
}

const TAIL = 4096

/** Newer minors write `\unrestrict` after it. */
const endsWith = (text: string, what: string) => new RegExp(String.raw`(^|\n)-- ${what}\n--\s*(\\unrestrict \w+\s*)?$`).test(text.replaceAll('\r', ''))

/** Whether the stream was whole. */
async function read({storage, key, size}: SizedPlace, found: Sniffed, result: Verified, {meter, signal}: ForeignIo, sink: (chunk: Buffer) => void | Promise<void>, atEnd?: () => void): Promise<boolean> {
  meter.expect(size)
  const item = meter.begin(result.label, size)
  const source = async function* () {
    for await (const chunk of (await storage.read(key, {signal})) as AsyncIterable<Buffer>) {
      result.bytes += chunk.length
      meter.at(item, result.bytes)
      yield chunk
    }
  }
  try {
    await unpack(source(), layersOf(found), sink)
    atEnd?.()
    return true
  } catch (error) {
    if (!(error instanceof StreamTrouble)) throw error
    result.findings.push(wrong('verify.compression', found.compression === 'none' ? error.message : `${error.message} (${compressionWords(found)})`))
    return false
  } finally {
    meter.end(item)
  }
}

async function verifyTar(place: SizedPlace, found: Sniffed, result: Verified, io: ForeignIo): Promise<void> {
  const archive = new TarArchive()
  if (!(await read(place, found, result, io, (chunk) => { archive.add(chunk) }, () => { result.findings.push(...archive.end()) }))) return
  const contents = result.findings.length === 0 ? `, every file that its table of contents names is there, ${endsOfData(archive.hasInserts)}` : ''
  result.extent = `${names.tar}: ${through(found)}${contents}; nothing was loaded, and there is no manifest to compare the rows with`
}

/** pg_restore needs a file; a local one that is not compressed once more is used where it lies. */
async function verifyArchive(place: SizedPlace, found: Sniffed, result: Verified, io: ForeignIo): Promise<void> {
  const tools = toolsOf(io.options)
  if (place.storage.kind === 'local' && found.compression === 'none') {
    await readThrough(join(place.storage.location, place.key), tools, found, result, io)
    result.bytes = place.size
    return
  }
  const file = join(io.options.spoolDirectory, 'dump')
  try {
    const whole = await spool(file, io.options.spoolDirectory, (sink) => read(place, found, result, io, sink))
    if (whole) await readThrough(file, tools, found, result, io)
  } finally {
    await rm(file, {force: true})
  }
}

export function toolsOf({tools, toolsMissing}: Pick<VerifyOptions, 'tools' | 'toolsMissing'>): ClientTools {
  const [newest] = tools ?? []
  if (newest !== undefined) return newest
  throw preflightError('tools.missing', `pg_restore is needed to verify this dump: ${toolsMissing ?? 'it was not found'}`, {hints: ['Install the PostgreSQL client tools (apt-get install postgresql-client), or set tools.directory (DR_PG_BIN).']})
}

/** Written as SQL into nothing: pg_restore reads and decompresses every block of data. */
async function readThrough(file: string, tools: ClientTools, found: Sniffed, result: Verified, {meter, signal}: ForeignIo): Promise<void> {
  for (const argument of ['--list', '--file=/dev/null']) {
    meter.say(`pg_restore ${argument}`)
    const {code, stderr} = await runTool([tools.pgRestore, '--format=custom', argument, file], {signal})
    if (code === 0) continue
    const said = stderr.map((line) => line.replace(/^pg_restore: (error: )?/, '').replaceAll(file, result.label)).slice(0, 3).join('; ')
    if (/unsupported version/.test(said)) throw preflightError('tools.too-old', `pg_restore ${tools.version} cannot read this archive: ${said}`, {hints: ['Install newer client tools (postgresql-client-18), or set tools.directory (DR_PG_BIN).']})
    result.findings.push(wrong('verify.pg-restore', `pg_restore ${tools.version} cannot read it: ${said}`))
    return
  }
  result.extent = `${names[found.kind]}: ${found.compression === 'none' ? '' : `${through(found)}, `}every block of data read by pg_restore ${tools.version}; nothing was loaded, and there is no manifest to compare the rows with`
}

const verifiers: Readonly<Record<Exclude<DumpKind, 'unknown' | 'directory'>, Verifier>> = {custom: verifyArchive, tar: verifyTar, plain: verifySql, cluster: verifySql}
