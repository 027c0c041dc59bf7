import {open, readFile} from 'node:fs/promises'
import {DrError, verificationError} from '../errors.ts'

/** One entry of an archive's table of contents. */
export interface ArchiveEntry {
  dumpId: number
  /** `TABLE`, `TABLE DATA`, `SEQUENCE SET`, `ACL`, `BLOBS` … */
  kind: string
  schema: string | undefined
  /** The name, as pg_dump tags it. */
  tag: string
  owner: string | undefined
  section: 'none' | 'pre-data' | 'data' | 'post-data'
  definition: string
  copyStatement: string | undefined
  dependencies: number[]
  /** The member that holds the data: without the suffix of its compression. */
  file: string | undefined
}

export interface Archive {
  /** Of the archive format: `1.16`. */
  formatVersion: string
  compression: 'none' | 'gzip' | 'lz4' | 'zstd'
  database: string
  /** As the server stated it. */
  serverVersion: string
  pgDumpVersion: string
  entries: ArchiveEntry[]
}

const KNOWN_MINORS = [12, 13, 14, 15, 16]
/** The least pg_restore major that reads a format version. */
const READER: Readonly<Record<string, number>> = {'1.12': 9, '1.13': 10, '1.14': 12, '1.15': 16, '1.16': 17}
/** A directory archive states that it is a tar. */
const CUSTOM = 1
const COMPRESSIONS = ['none', 'gzip', 'lz4', 'zstd'] as const
const SECTIONS = ['none', 'none', 'pre-data', 'data', 'post-data'] as const

/** The least major of pg_restore that reads this archive. */
export const readerMajor = (archive: Archive): number => READER[archive.formatVersion] ?? Number.parseInt(archive.pgDumpVersion, 10)

export const readArchiveFile = async (path: string): Promise<Archive> => parseArchive(await readFile(path))

const HEAD_BYTES = 1024 * 1024
/** More is no table of contents, but damage. */
const MOST_HEAD_BYTES = 64 * HEAD_BYTES

/** The table of contents of a custom archive, which stands before the data in the same file. */
export async function readArchiveHead(path: string): Promise<Archive> {
  const file = await open(path)
  try {
    const {size} = await file.stat()
    for (let wanted = HEAD_BYTES; ; wanted *= 8) {
      const {buffer, bytesRead} = await file.read(Buffer.alloc(Math.min(wanted, size)), 0, Math.min(wanted, size), 0)
      try {
        return parseArchive(buffer.subarray(0, bytesRead))
      } catch (error) {
        if (wanted >= Math.min(size, MOST_HEAD_BYTES) || !(error instanceof DrError) || error.code !== 'archive.truncated') throw error
      }
    }
  } finally {
    await file.close()
  }
}

/**
 * Reads `toc.dat` of a directory or tar archive, or the head of a custom one.
 * Source of the format: `ReadHead` and `ReadToc` in PostgreSQL's pg_backup_archiver.c, format versions 1.12 to 1.16.
 */
export function parseArchive(bytes: Buffer): Archive {
  return readToc(bytes).archive
}

/** Where a text of an entry stands in toc.dat, its length in front included. */
export interface TextSpan {
  start: number
  end: number
}

/** The texts that name roles. */
export interface EntrySpans {
  definition: TextSpan
  owner: TextSpan
}

/** The same with the places of the texts that may be rewritten, entry by entry. */
export function readToc(bytes: Buffer): {archive: Archive; spans: EntrySpans[]; intSize: number} {
  try {
    const reader = new TocReader(bytes)
    const archive = reader.archive()
    return {archive, spans: reader.spans, intSize: reader.intSize}
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw verificationError('archive.truncated', 'The table of contents ends too early.', {cause: error, hints: ['dr verify --level full']})
  }
}

class TocReader {
  readonly spans: EntrySpans[] = []
  readonly #bytes: Buffer
  #at = 0
  #intSize = 4
  #offsetSize = 8
  #minor = 0
  #isCustom = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get intSize(): number {
    return this.#intSize
  }

  archive(): Archive {
    if (this.#bytes.toString('latin1', 0, 5) !== 'PGDMP') throw verificationError('archive.no-archive', 'This is no archive of pg_dump: it does not begin with PGDMP.')
    this.#at = 5
    const major = this.#byte()
    this.#minor = this.#byte()
    this.#byte()
    const formatVersion = `${major}.${this.#minor}`
    if (major !== 1 || !KNOWN_MINORS.includes(this.#minor)) {
      throw verificationError('archive.version', `The archive has format version ${formatVersion}, which this dr does not know.`, {hints: ['Update dr: npm install -g dashboarduz-dr@latest']})
    }
    this.#intSize = this.#byte()
    this.#offsetSize = this.#byte()
    this.#isCustom = this.#byte() === CUSTOM
    const compression = this.#compression()
    for (let field = 0; field < 7; field++) this.#int()
    const database = this.#text() ?? ''
    const serverVersion = this.#text() ?? ''
    const pgDumpVersion = this.#text() ?? ''
    return {formatVersion, compression, database, serverVersion, pgDumpVersion, entries: Array.from({length: this.#count()}, () => this.#entry())}
  }

  #compression(): Archive['compression'] {
    if (this.#minor < 15) return this.#int() === 0 ? 'none' : 'gzip'
    return COMPRESSIONS[this.#byte()] ?? 'none'
  }

  #entry(): ArchiveEntry {
    const dumpId = this.#int()
    this.#int()
    this.#text()
    this.#text()
    const tag = this.#text() ?? ''
    const kind = this.#text() ?? ''
    const section = SECTIONS[this.#int()] ?? 'none'
    const [definition = '', definitionSpan] = this.#spanned()
    this.#text()
    const copyStatement = this.#text()
    const schema = this.#text()
    this.#text()
    if (this.#minor >= 14) this.#text()
    if (this.#minor >= 16) this.#int()
    const [owner, ownerSpan] = this.#spanned()
    this.spans.push({definition: definitionSpan, owner: ownerSpan})
    this.#text()
    const dependencies: number[] = []
    for (let text = this.#text(); text !== undefined; text = this.#text()) dependencies.push(Number(text))
    return {dumpId, kind, schema, tag, owner, section, definition, copyStatement, dependencies, file: this.#file()}
  }

  /** A custom archive has the place of the data instead: a byte, and the offset. */
  #file(): string | undefined {
    if (!this.#isCustom) return this.#text() || undefined
    if (this.#at + 1 + this.#offsetSize > this.#bytes.length) throw new RangeError('offset')
    this.#at += 1 + this.#offsetSize
    return undefined
  }

  #spanned(): [string | undefined, TextSpan] {
    const start = this.#at
    return [this.#text(), {start, end: this.#at}]
  }

  #byte(): number {
    return this.#bytes.readUInt8(this.#at++)
  }

  /** A sign byte, then the size in little-endian order. */
  #int(): number {
    const negative = this.#byte() !== 0
    const value = this.#bytes.readUIntLE(this.#at, this.#intSize)
    this.#at += this.#intSize
    return negative ? -value : value
  }

  #count(): number {
    const count = this.#int()
    if (count < 0 || count > this.#bytes.length) throw new RangeError('entry count')
    return count
  }

  #text(): string | undefined {
    const length = this.#int()
    if (length < 0) return undefined
    if (this.#at + length > this.#bytes.length) throw new RangeError('text')
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }
}

export interface SequenceValue {
  schema: string
  name: string
  lastValue: string
  isCalled: boolean
}

/** What SEQUENCE SET will set: the archive's own values, since sequences are in no snapshot. */
export function sequenceValues(archive: Archive): SequenceValue[] {
  return archive.entries.filter(({kind}) => kind === 'SEQUENCE SET').flatMap(({definition, schema, tag}) => {
    const match = /,\s*(-?\d+),\s*(true|false)\s*\)/.exec(definition.slice(definition.lastIndexOf("'")))
    return match === null ? [] : [{schema: schema ?? '', name: tag, lastValue: match[1] ?? '', isCalled: match[2] === 'true'}]
  })
}

/** Entries whose data lies in files of their own. */
export const dataEntries = (archive: Archive): ArchiveEntry[] => archive.entries.filter(({file}) => file !== undefined)
