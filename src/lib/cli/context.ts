import {join, resolve} from 'node:path'
import type {Config} from '../config/config.ts'
import type {LoadedConfig, SettingFlags} from '../config/load.ts'
import type {Interrupt} from '../system/interrupt.ts'

export interface ContextOptions {
  /** From --config. */
  configFile?: string | undefined
  /** Settings that flags gave, by their path in the file. */
  settings?: SettingFlags
  env: NodeJS.ProcessEnv
  cwd: string
  configDir: string
  dataDir: string
  /** A question may be asked. */
  interactive: boolean
  json: boolean
  /** One line of the result, on stdout; nothing with --json. */
  print: (line: string) => void
}

/** The composition root: what a command needs, each built when it is first asked for, and once. */
export class Context {
  readonly dataDir: string
  readonly interactive: boolean
  readonly json: boolean
  readonly journalDirectory: string
  readonly print: (line: string) => void
  readonly #options: ContextOptions
  #interrupt: Promise<Interrupt> | undefined
  #loaded: Promise<LoadedConfig> | undefined

  constructor(options: ContextOptions) {
    this.dataDir = resolve(options.cwd, options.dataDir)
    this.#options = {...options, dataDir: this.dataDir}
    this.interactive = options.interactive
    this.json = options.json
    this.journalDirectory = join(this.dataDir, 'journal')
    this.print = options.print
  }

  async config(): Promise<Config> {
    return (await this.loadedConfig()).config
  }

  /** The configuration with the source of each value. */
  loadedConfig(): Promise<LoadedConfig> {
    this.#loaded ??= this.#load()
    return this.#loaded
  }

  /** Aborted by Ctrl-C, SIGTERM or SIGHUP. From the first call on, a second signal is what ends the process. */
  async signal(): Promise<AbortSignal> {
    this.#interrupt ??= import('../system/interrupt.ts').then(({interrupt}) => interrupt())
    return (await this.#interrupt).signal
  }

  /** Gives up what was built. */
  async close(): Promise<void> {
    if (this.#interrupt) (await this.#interrupt).release()
    this.#interrupt = undefined
  }

  async #load(): Promise<LoadedConfig> {
    const [{loadConfig}, {registerSecret, registerSecretUrl}] = await Promise.all([import('../config/load.ts'), import('../system/redact.ts')])
    const {settings, ...places} = this.#options
    const loaded = await loadConfig({...places, ...(settings && {flags: settings})})
    registerSecretUrl(loaded.config.database.url)
    registerSecret(this.#options.env[loaded.config.application.encryptionKeyEnv])
    return loaded
  }
}
