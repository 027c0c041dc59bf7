import {join, resolve} from 'node:path'
import {preflightError, usageError} from '../errors.ts'
import {absolute} from '../system/paths.ts'
import {environments, type Config, type Environment} from './config.ts'
import {findFile, type ConfigFile, type Found} from './file.ts'
import {badValue} from './problem.ts'
import {profiles} from './profiles.ts'
import {resolveConfig, type Resolved} from './resolve.ts'
import {settingOf, settingPaths, variablesOf, type SettingPath} from './schema.ts'

export interface Origin {
  source: 'flag' | 'environment' | 'file' | 'default' | 'profile'
  /** `DR_BACKUP_JOBS`, `dr.config.yaml:12`, `production`. */
  from?: string
}

/** Values that flags gave, by setting; undefined means that the flag was not given. */
export type SettingFlags = {environment?: string | undefined} & Partial<Record<SettingPath, unknown>>

export interface LoadOptions {
  flags?: SettingFlags
  env: NodeJS.ProcessEnv
  cwd: string
  /** The user's own folder for configuration. */
  configDir: string
  /** The user's own folder for data. */
  dataDir: string
  /** From --config; it must exist. */
  configFile?: string | undefined
}

export interface LoadedConfig {
  config: Config
  /** Where each value came from, by its path in the file. */
  sources: Record<string, Origin>
  /** Each value as an operator writes it, by the same paths; undefined when nothing set it. Secrets included. */
  values: Record<string, unknown>
  /** The file that was read. */
  file?: string
}

type Chosen = Origin & {value: unknown}

/** Resolves every setting: flags over environment over file over the environment's profile over defaults. */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const configFile = options.configFile ?? (options.env.DR_CONFIG === '' ? undefined : options.env.DR_CONFIG)
  const file = await findFile({...options, configFile})
  const environment = chooseEnvironment(options, file)
  const dataDirectory = resolve(options.cwd, options.dataDir)
  const chosen = new Map<string, Chosen>([['environment', environment]])
  for (const path of settingPaths) {
    const choice = choose(path, environment.value, options, file)
    if (choice) chosen.set(path, choice)
  }
  addComputedDefaults(chosen, dataDirectory)
  chosen.set('dataDirectory', {value: dataDirectory, ...(options.env.DR_DATA_DIR ? {source: 'environment', from: 'DR_DATA_DIR'} : {source: 'default'})})
  const values = Object.fromEntries([...chosen].map(([path, {value}]) => [path, value]))
  return {
    config: resolveConfig({...(values as Partial<Resolved>), environment: environment.value, dataDirectory}),
    sources: Object.fromEntries([...chosen].map(([path, {source, from}]) => [path, from === undefined ? {source} : {source, from}])),
    values,
    ...(file && {file: file.path}),
  }
}

function chooseEnvironment({flags, env}: LoadOptions, file: ConfigFile | undefined): Origin & {value: Environment} {
  const candidates: Chosen[] = [
    {value: flags?.environment, source: 'flag', from: '--environment'},
    {value: env.DR_ENVIRONMENT === '' ? undefined : env.DR_ENVIRONMENT, source: 'environment', from: 'DR_ENVIRONMENT'},
    {value: file?.environment?.value, source: 'file', from: file?.environment?.from ?? ''},
    {value: 'development', source: 'default'},
  ]
  const first = candidates.find(({value}) => value !== undefined)
  const value = environments.find((name) => name === first?.value)
  if (first && value) return {...first, value}
  const error = first?.source === 'flag' ? usageError : preflightError
  throw error('config.value', `environment is ${JSON.stringify(first?.value)} (${first?.from ?? ''}), but must be one of ${environments.join(', ')}.`)
}

function choose(path: SettingPath, environment: Environment, options: LoadOptions, file: ConfigFile | undefined): Chosen | undefined {
  const fromFile = (found: Found | undefined): Chosen | undefined =>
    found && file && {value: located(path, found.value, file.directory), source: 'file', from: found.from}
  return flagValue(path, options)
    ?? variableValue(path, options)
    ?? fromFile(file?.special.get(environment)?.get(path))
    ?? fromFile(file?.common.get(path))
    ?? (path in profiles[environment] ? {value: profiles[environment][path], source: 'profile', from: environment} : undefined)
    ?? (settingOf(path).default === undefined ? undefined : {value: settingOf(path).default, source: 'default'})
}

function flagValue(path: SettingPath, {flags, cwd}: LoadOptions): Chosen | undefined {
  const value = flags?.[path]
  if (value === undefined) return undefined
  if (!settingOf(path).schema.safeParse(value).success) throw badValue(path, value, 'from a flag', 'flag')
  return {value: located(path, value, cwd), source: 'flag'}
}

/** An empty variable counts as not set. */
function variableValue(path: SettingPath, {env, cwd}: LoadOptions): Chosen | undefined {
  const name = variablesOf(path).find((variable) => env[variable])
  if (name === undefined) return undefined
  const text = env[name] ?? ''
  const value = parseText(path, text)
  if (!settingOf(path).schema.safeParse(value).success) throw badValue(path, text, name, 'environment')
  return {value: located(path, value, cwd), source: 'environment', from: name}
}

function parseText(path: SettingPath, text: string): unknown {
  const {kind, nullable} = settingOf(path)
  if (nullable && text === 'none') return null
  if (kind === 'number') return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  if (kind === 'boolean') return {true: true, 1: true, false: false, 0: false}[text] ?? text
  if (kind === 'list') return text.split(',').map((part) => part.trim()).filter(Boolean)
  return text
}

const located = (path: SettingPath, value: unknown, base: string) => (settingOf(path).kind === 'path' ? absolute(String(value), base) : value)

function addComputedDefaults(chosen: Map<string, Chosen>, dataDirectory: string): void {
  if (!chosen.has('local.directory')) chosen.set('local.directory', {value: join(dataDirectory, 'backups'), source: 'default'})
  if (!chosen.has('backup.destinations')) chosen.set('backup.destinations', {value: [chosen.has('s3.bucket') ? 's3' : 'local'], source: 'default'})
}
