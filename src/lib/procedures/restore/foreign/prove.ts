import {stat} from 'node:fs/promises'
import {basename, dirname} from 'node:path'
import {DrError, preflightError} from '../../../errors.ts'
import {parseArchive, readArchiveFile, readArchiveHead, readerMajor, type Archive} from '../../../postgres/archive.ts'
import {ScriptScan, type ScriptFacts} from '../../../postgres/sql/script.ts'
import {chooseForRestore, type ClientTools} from '../../../postgres/tools.ts'
import {LocalStorage} from '../../../repository/storage/local.ts'
import type {StepIo} from '../../../runbook/procedure.ts'
import {runTool} from '../../../system/tool.ts'
import {StreamTrouble, unpack} from '../../verify/decompress.ts'
import {verifyDirectory} from '../../verify/foreign-directory.ts'
import {TarArchive} from '../../verify/foreign-tar.ts'
import {Meter} from '../../verify/meter.ts'
import type {Verified} from '../../verify/options.ts'
import {foundWords} from './dump.ts'
import {ReadProgress} from './progress.ts'
import {bytesOf, damaged, type ReadyDump} from './receive.ts'
import {refuseScript} from './script.ts'

/** What a dump holds, once it was read to its end. One of the two is there. */
export interface ProvenDump {
  ready: ReadyDump
  archive?: Archive
  /** Read the archive, and so restore it. */
  tools?: ClientTools
  script?: ScriptFacts
  /** How far it was proven, for people. */
  extent: string
  /** By which a file that is changed meanwhile is known. */
  identity: string
}

export interface ProveOptions {
  location: string
  tools: readonly ClientTools[]
  serverMajor: number
}

/** Reads a dump to its end, as far as its kind allows to tell whether it is whole. Throws (exit 4) what is wrong with it. */
export async function prove(ready: ReadyDump, options: ProveOptions, io: StepIo): Promise<ProvenDump> {
  const identity = await identityOf(ready.path)
  const provers = {custom: proveCustom, tar: proveTar, directory: proveDirectory, plain: provePlain}
  try {
    return {ready, identity, ...await provers[ready.kind](ready, options, io)}
  } catch (error) {
    io.signal.throwIfAborted()
    if (error instanceof StreamTrouble) throw damaged(options.location, `it ${error.message}`)
    if (error instanceof DrError && ['archive.truncated', 'archive.no-archive'].includes(error.code)) throw damaged(options.location, lowered(error.message))
    throw error
  }
}

const lowered = (text: string) => `${text.charAt(0).toLowerCase()}${text.slice(1).replace(/\.$/, '')}`

export async function identityOf(path: string): Promise<string> {
  const {ino, size, mtimeMs} = await stat(path)
  return [ino, size, mtimeMs].join(' ')
}

type Proven = Omit<ProvenDump, 'ready' | 'identity'>

/** The least major that may restore it: one that reads its format, and never one older than what wrote it. */
export const archiveMajor = (archive: Archive): number => Math.max(readerMajor(archive), Number.parseInt(archive.pgDumpVersion, 10) || 0)

const toolsFor = (archive: Archive, {tools, serverMajor}: ProveOptions): ClientTools => chooseForRestore(tools, archiveMajor(archive), serverMajor)

/** zlib's streams and gzip carry a checksum; of the rest none is in what pg_dump writes. */
function checksumWords({compression}: Pick<Archive, 'compression'>, {found}: ReadyDump): string {
  const isCovered = compression === 'gzip' || found.compression === 'gzip'
  return isCovered ? '' : '; it carries no checksum of its rows, so a changed byte inside of a value would not show'
}

/** Written as SQL into nothing: pg_restore reads and decompresses every block of data. */
async function proveCustom(ready: ReadyDump, options: ProveOptions, io: StepIo): Promise<Proven> {
  const archive = await readArchiveHead(ready.path)
  const tools = toolsFor(archive, options)
  io.progress('pg_restore reads every block of data')
  const {code, stderr} = await runTool([tools.pgRestore, '--format=custom', '--file=/dev/null', ready.path], {signal: io.signal})
  const said = stderr.map((line) => line.replace(/^pg_restore: (error: |warning: )?/, '').replaceAll(ready.path, options.location)).slice(0, 3).join('; ')
  if (/unsupported version|does not support/.test(said)) throw preflightError('tools.too-old', `pg_restore ${tools.version} cannot read ${options.location}: ${said}`, {hints: ['Install client tools that are built with this compression, or newer ones; tools.directory (DR_PG_BIN) names them.']})
  if (code !== 0) throw damaged(options.location, `pg_restore ${tools.version} cannot read it: ${said}`)
  return {archive, tools, extent: `${foundWords(ready.found)}: every block of data read by pg_restore ${tools.version}${checksumWords(archive, ready)}`}
}

/** pg_restore is not asked: on a tar that is cut off it never ends. */
async function proveTar(ready: ReadyDump, options: ProveOptions, io: StepIo): Promise<Proven> {
  const tar = new TarArchive()
  const progress = new ReadProgress(io, (await stat(ready.path)).size, 'read')
  for await (const chunk of progress.over(bytesOf(ready.path, io.signal))) tar.add(chunk)
  const [first] = tar.end()
  if (first) throw damaged(options.location, `${first.subject} ${first.message}`)
  const archive = parseArchive(tar.toc)
  const ends = tar.hasInserts ? 'read to its end' : 'the data of every table has its end'
  return {archive, tools: toolsFor(archive, options), extent: `${foundWords(ready.found)}: every file that its table of contents names is there, ${ends}${checksumWords({compression: 'none'}, ready)}`}
}

async function proveDirectory({path, found}: ReadyDump, options: ProveOptions, io: StepIo): Promise<Proven> {
  const result: Verified = {kind: 'foreign', label: basename(path), storage: 'local', location: options.location, level: 'full', ok: null, extent: '', findings: [], members: 0, bytes: 0, timings: [], evidence: null}
  const meter = new Meter(io)
  await verifyDirectory({storage: new LocalStorage(dirname(path)), key: `${basename(path)}/`}, result, {options: {level: 'full', tools: options.tools, spoolDirectory: ''}, meter, signal: io.signal})
  const [first, ...more] = result.findings.filter(({severity}) => severity === 'error')
  if (first) throw damaged(options.location, `${first.subject} ${first.message}${more.length > 0 ? ` (and ${more.length} more)` : ''}`)
  const archive = await readArchiveFile(`${path}/toc.dat`)
  const {compression} = archive
  return {archive, tools: toolsFor(archive, options), extent: `${foundWords(found)}: every file that toc.dat names is there and was read to its end${checksumWords({compression}, {found} as ReadyDump)}`}
}

async function provePlain(ready: ReadyDump, {location}: ProveOptions, io: StepIo): Promise<Proven> {
  const scan = new ScriptScan()
  const progress = new ReadProgress(io, ready.bytes, 'read')
  await unpack(progress.over(bytesOf(ready.path, io.signal)), ready.layers, (chunk) => { scan.add(chunk) })
  const script = scan.end()
  refuseScript(script, location)
  return {script, extent: `${foundWords(ready.found)}: ${script.lines.toLocaleString('en-US')} lines read to their end${script.complete ? ', and it ends as pg_dump ends one' : ''}${checksumWords({compression: 'none'}, ready)}`}
}
