import {cp, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {VerifyState} from '../../../../src/lib/procedures/verify/options.ts'
import type {Manifest} from '../../../../src/lib/repository/manifest.ts'
import {sealed} from '../../../../src/lib/repository/seal.ts'
import {localRepository, removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {smallDatabase, verify, type VerifySetting} from './verifying.ts'

/** A copy of a real backup that a test may damage. */
export class BackupFixture {
  directory = ''
  label = ''
  folder = ''
  readonly #database: string
  readonly #made = new Map<string, {root: string; label: string}>()
  #home = ''
  #url = ''

  constructor(database: string) {
    this.#database = database
  }

  async open(): Promise<void> {
    this.#home = await temporaryFolder('verify')
    this.#url = await smallDatabase(this.#database)
  }

  async close(): Promise<void> {
    await removeFolder(this.#home)
  }

  /** A fresh copy; the backup itself is made once for each compression. */
  async take(compress: string): Promise<void> {
    const known = this.#made.get(compress) ?? (await this.#make(compress))
    this.#made.set(compress, known)
    this.directory = join(this.#home, 'work')
    await rm(this.directory, {recursive: true, force: true})
    await cp(known.root, this.directory, {recursive: true})
    this.label = known.label
    this.folder = join(this.directory, 'backups', 'development', known.label)
  }

  async #make(compress: string): Promise<{root: string; label: string}> {
    const root = join(this.#home, compress)
    const {state, error} = await runBackup({url: this.#url, directory: root, compress, toolsMajor: 18})
    if (error) throw error
    return {root, label: state.label ?? ''}
  }

  storage() {
    return localRepository(this.directory)
  }

  /** With the client tools of 18, or those given. */
  check(level: 'quick' | 'full' = 'full', ...tools: [VerifySetting['tools']?]): Promise<VerifyState & {notices: string[]}> {
    return verify({wanted: {kind: 'label', label: this.label}, storages: [this.storage()], directory: this.directory, level, ...(tools.length > 0 && {tools: tools[0]})})
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** The names of the files, in order. */
  async members(): Promise<string[]> {
    return (await readdir(this.folder)).filter((name) => name !== 'evidence').toSorted()
  }

  async manifest(): Promise<Manifest> {
    return JSON.parse(await readFile(this.path('manifest.json'), 'utf8')) as Manifest
  }

  /** The member with the data of a table. */
  async dataOf(name: string): Promise<string> {
    const {dumpId} = (await this.manifest()).tables.find((table) => table.name === name) ?? {}
    return (await this.members()).find((member) => member.startsWith(`${dumpId}.dat`)) ?? ''
  }

  /** Rewrites the manifest, as if the backup had been made so. */
  async pretend(change: (manifest: Manifest) => void): Promise<void> {
    const manifest = await this.manifest()
    delete manifest.seal
    change(manifest)
    await writeFile(this.path('manifest.json'), sealed(`${JSON.stringify(manifest, undefined, 2)}\n`))
  }
}

/** One for a suite. Call it inside `describe`. */
export function backupFixture(database: string): BackupFixture {
  const fixture = new BackupFixture(database)
  before(() => fixture.open())
  after(() => fixture.close())
  return fixture
}
