import type {Finding} from '../../checks/finding.ts'
import {DrError} from '../../errors.ts'
import {dataEntries, parseArchive} from '../../postgres/archive.ts'
import {CopyText} from './copy-text.ts'
import {isInserted} from './foreign.ts'
import {kindOfMember} from './member.ts'
import {TarReader, type TarEntry} from './tar.ts'

/**
 * Looks at a tar archive of pg_dump as it goes by. pg_restore is not asked: on a tar that is cut off it never ends.
 */
export class TarArchive {
  readonly #names = new Set<string>()
  readonly #open = new Set<string>()
  readonly #inserted = new Set<string>()
  readonly #toc: Buffer[] = []
  readonly #lists: Buffer[] = []
  readonly #reader = new TarReader((entry, piece) => { this.#take(entry, piece) })
  #current: {name: string; text: CopyText} | undefined

  add(chunk: Buffer): void {
    this.#reader.add(chunk)
  }

  /** Whether a table's data is written as INSERT; known at the end. */
  get hasInserts(): boolean {
    return this.#inserted.size > 0
  }

  /** The table of contents; known at the end. */
  get toc(): Buffer {
    return Buffer.concat(this.#toc)
  }

  /** What is wrong with it; throws `StreamTrouble` when its end is missing. */
  end(): Finding[] {
    this.#reader.end()
    this.#close()
    const wrong = (code: string, subject: string, message: string): Finding => ({code, severity: 'error', subject, message})
    try {
      const named = [...this.#tables(), ...this.#largeObjects()]
      return [
        ...named.filter((name) => !this.#names.has(name)).map((name) => wrong('verify.missing', name, 'is missing: toc.dat names it')),
        ...[...this.#open].filter((name) => !this.#inserted.has(name)).map((name) => wrong('verify.copy-end', name, 'has no end: rows are missing')),
      ]
    } catch (error) {
      if (error instanceof DrError) return [wrong('verify.toc', 'toc.dat', `cannot be read: ${error.message}`)]
      throw error
    }
  }

  #tables(): string[] {
    return dataEntries(parseArchive(Buffer.concat(this.#toc))).flatMap((entry) => {
      const {kind, file = '', dumpId} = entry
      if (isInserted(entry)) this.#inserted.add(file)
      if (kind !== 'BLOBS') return [file]
      // Up to PostgreSQL 16 there is one list for all large objects.
      return this.#names.has('blobs.toc') ? [] : [`blobs_${dumpId}.toc`]
    })
  }

  /** A line is `OID FILE`. */
  #largeObjects(): string[] {
    return Buffer.concat(this.#lists).toString('utf8').split('\n').filter((line) => line !== '').map((line) => line.slice(line.indexOf(' ') + 1))
  }

  #take({name}: TarEntry, piece: Buffer): void {
    if (this.#current?.name !== name) {
      this.#close()
      this.#names.add(name)
      this.#current = {name, text: new CopyText()}
    }
    if (name === 'toc.dat') this.#toc.push(Buffer.from(piece))
    else if (kindOfMember(name) === 'table') this.#current.text.add(piece)
    else if (kindOfMember(name) === 'large-objects-toc') this.#lists.push(Buffer.from(piece))
  }

  #close(): void {
    if (this.#current === undefined) return
    const {name, text} = this.#current
    if (kindOfMember(name) === 'table' && text.rows() === undefined) this.#open.add(name)
  }
}
