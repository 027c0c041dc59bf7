import {readFile} from 'node:fs/promises'
import {dirname, join, resolve} from 'node:path'
import {isAlias, isMap, isScalar, LineCounter, parseDocument, type Document, type Node, type YAMLMap} from 'yaml'
import {messageOf, preflightError} from '../errors.ts'
import {environments, type Environment} from './config.ts'
import {badValue, unknownKey} from './problem.ts'
import {settingOf, settingPaths, type SettingPath} from './schema.ts'

export const FILE_NAME = 'dr.config.yaml'

export interface Found {
  value: unknown
  /** `dr.config.yaml:12` */
  from: string
}

type Values = ReadonlyMap<SettingPath, Found>

/** What one file says, by setting. */
export interface ConfigFile {
  path: string
  /** Relative paths in the file start here. */
  directory: string
  environment?: Found
  common: Values
  special: ReadonlyMap<Environment, Values>
}

interface Places {
  cwd: string
  configDir: string
  /** Must exist. */
  configFile?: string | undefined
}

/** The file that counts: the one that was named, else the one in the working directory, else the user's own. */
export async function findFile({cwd, configDir, configFile}: Places): Promise<ConfigFile | undefined> {
  if (configFile !== undefined) return readConfigFile(resolve(cwd, configFile), configFile)
  for (const path of [join(cwd, FILE_NAME), join(configDir, FILE_NAME)]) {
    const file = await readConfigFile(path, path === join(cwd, FILE_NAME) ? FILE_NAME : path).catch(unlessMissing)
    if (file) return file
  }
  return undefined
}

const unlessMissing = (error: unknown): undefined => {
  if (causeCode(error) !== 'ENOENT') throw error
}
const causeCode = (error: unknown) => (error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined)

async function readConfigFile(path: string, shown: string): Promise<ConfigFile> {
  let text
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw preflightError('config.unreadable', `The configuration ${shown} cannot be read: ${messageOf(error)}`, {cause: error, hints: ['Write one: dr config init']})
  }
  return new Reader(text, path, shown).file()
}

class Reader {
  readonly #document: Document.Parsed
  readonly #lines = new LineCounter()
  readonly #path: string
  readonly #shown: string

  constructor(text: string, path: string, shown: string) {
    this.#path = path
    this.#shown = shown
    this.#document = parseDocument(text, {lineCounter: this.#lines})
  }

  file(): ConfigFile {
    const [error] = this.#document.errors
    // Its message quotes the line, and the line may hold a password.
    if (error) throw preflightError('config.syntax', `${this.#shown}:${this.#lines.linePos(error.pos[0]).line} is not valid YAML (${error.code}).`)
    const root = this.#map(this.#document.contents, 'The whole file')
    const special = new Map<Environment, Values>()
    const common = new Map<SettingPath, Found>()
    const file: ConfigFile = {path: this.#path, directory: dirname(this.#path), common, special}
    for (const [key, node] of this.#entries(root)) {
      if (key === 'environment') file.environment = {value: this.#value(node), from: this.#place(node ?? root)}
      else if (key === 'environments') this.#environments(node, special)
      else this.#entry('', key, node, common, ['environment', 'environments'], this.#place(node ?? root))
    }
    return file
  }

  #environments(node: Node | null, into: Map<Environment, Values>): void {
    for (const [key, inner] of this.#entries(this.#map(node, 'environments'))) {
      const name = environments.find((known) => known === key)
      if (!name) throw unknownKey(key, 'environments', this.#place(inner), environments)
      const values = new Map<SettingPath, Found>()
      into.set(name, values)
      for (const [head, part] of this.#entries(this.#map(inner, `environments.${name}`))) this.#entry('', head, part, values, [], this.#place(part))
    }
  }

  #entry(section: string, key: string, node: Node | null, into: Map<SettingPath, Found>, alsoKnown: readonly string[], place: string): void {
    const path = section === '' ? key : `${section}.${key}`
    const setting = settingPaths.find((known) => known === path)
    if (setting) {
      const found = {value: this.#value(node), from: place}
      if (!settingOf(setting).schema.safeParse(found.value).success) throw badValue(setting, found.value, place, 'file')
      into.set(setting, found)
    } else if (section === '' && settingPaths.some((known) => known.startsWith(`${key}.`))) {
      for (const [inner, part] of this.#entries(this.#map(node, key))) this.#entry(key, inner, part, into, [], this.#place(part))
    } else {
      throw unknownKey(key, section, place, [...new Set([...keysOf(section), ...alsoKnown])])
    }
  }

  /** A section whose every line is a comment is empty, not wrong. */
  #map(node: Node | null, name: string): YAMLMap | undefined {
    const real = isAlias(node) ? node.resolve(this.#document) : node
    if (isMap(real)) return real
    if (real === null || real === undefined || (isScalar(real) && real.value === null)) return undefined
    throw preflightError('config.shape', `${name} (${this.#place(node)}) must hold settings.`)
  }

  #entries(map: YAMLMap | undefined): [string, Node | null][] {
    return (map?.items ?? []).map(({key, value}) => [String(isScalar(key) ? key.value : key), value as Node | null])
  }

  #value(node: Node | null): unknown {
    return node === null ? null : (node.toJS(this.#document) as unknown)
  }

  #place(node: Node | null | undefined): string {
    const offset = node?.range?.[0]
    return offset === undefined ? this.#shown : `${this.#shown}:${this.#lines.linePos(offset).line}`
  }
}

const keysOf = (section: string) => settingPaths.flatMap((path) => {
  const [head = path, key] = path.split('.')
  if (section === '') return [head]
  return head === section && key !== undefined ? [key] : []
})
