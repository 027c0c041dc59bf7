import type {Finding} from '../../checks/finding.ts'
import {DrError} from '../../errors.ts'
import {dataEntries, parseArchive, type ArchiveEntry} from '../../postgres/archive.ts'
import type {StoredObject} from '../../repository/storage/storage.ts'
import {endsOfData, isInserted, wrong, type ForeignIo} from './foreign.ts'
import {contentOf, listPlace, type Place} from './listing.ts'
import {kindOfMember, readMember} from './member.ts'
import type {Verified} from './options.ts'
import type {ForeignPlaceOf} from './places.ts'

const ENDINGS = ['', '.gz', '.zst', '.lz4']

interface NamedFile {
  name: string
  /** Written by INSERT and not by COPY: nothing marks the end of its data. */
  inserted: boolean
}

/** A directory archive without a manifest: what its own table of contents names must be there, and be whole as far as it can say so itself. */
export async function verifyDirectory({storage, key}: ForeignPlaceOf, result: Verified, {options, meter, signal}: ForeignIo): Promise<void> {
  const place: Place = {storage, folder: key}
  const found = await listPlace(place, signal)
  result.members = found.size
  const named = await namedFiles(place, found, result, signal)
  if (named === undefined) return
  const isThere = result.findings.length === 0
  result.extent = `directory archive of pg_dump: ${isThere ? 'every file that toc.dat names is there' : 'only some of the files that toc.dat names are there'}; none was read`
  if (options.level === 'quick') return
  for (const {bytes} of found.values()) meter.expect(bytes)
  for (const name of named) await checkMember(place, name, found, result, {options, meter, signal})
  const read = result.findings.length === 0 ? `every file that toc.dat names is there and was read to its end, ${endsOfData(named.some(({inserted}) => inserted))}` : 'every file that is there was read'
  result.extent = `directory archive of pg_dump: ${read}; there is no manifest to compare the rows with`
}

async function namedFiles(place: Place, found: ReadonlyMap<string, StoredObject>, result: Verified, signal: AbortSignal): Promise<NamedFile[] | undefined> {
  try {
    const toc = await contentOf(place, 'toc.dat', signal)
    result.bytes += toc.length
    return dataEntries(parseArchive(toc)).flatMap((entry) => present(entry, found, result.findings))
  } catch (error) {
    if (!(error instanceof DrError) || !error.code.startsWith('archive.')) throw error
    result.findings.push(wrong('verify.toc', `cannot be read: ${error.message}`, 'toc.dat'))
    return undefined
  }
}

/** toc.dat names a file without the ending of its compression. */
function present(entry: Pick<ArchiveEntry, 'file' | 'kind' | 'copyStatement'>, found: ReadonlyMap<string, StoredObject>, findings: Finding[]): NamedFile[] {
  const {file = ''} = entry
  const name = ENDINGS.map((ending) => `${file}${ending}`).find((one) => found.has(one))
  if (name !== undefined) return [{name, inserted: isInserted(entry)}]
  findings.push(wrong('verify.missing', 'is missing: toc.dat names it', file))
  return []
}

async function checkMember(place: Place, {name, inserted}: NamedFile, found: ReadonlyMap<string, StoredObject>, result: Verified, io: ForeignIo): Promise<void> {
  const {meter, signal} = io
  const item = meter.begin(name, found.get(name)?.bytes ?? 0)
  try {
    const read = await readMember(place.storage, `${place.folder}${name}`, {signal, progress: (done) => { meter.at(item, done) }})
    result.bytes += read.bytes
    if (read.trouble !== undefined) result.findings.push(wrong('verify.compression', `it ${read.trouble}`, name))
    else if (kindOfMember(name) === 'table' && !inserted && read.rows === undefined) result.findings.push(wrong('verify.copy-end', 'has no end: rows are missing', name))
    const objects = (read.text ?? '').split('\n').filter((line) => line !== '').map((line) => line.slice(line.indexOf(' ') + 1))
    for (const object of objects.flatMap((file) => present({file, kind: 'BLOB', copyStatement: undefined}, found, result.findings))) await checkMember(place, object, found, result, io)
  } finally {
    meter.end(item)
  }
}
