import {stat} from 'node:fs/promises'
import {hostname, userInfo} from 'node:os'
import {basename, dirname, join, resolve} from 'node:path'
import {isLabel} from '../repository/label.ts'
import type {Storage} from '../repository/storage/storage.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {VerifyLevel, VerifyOptions, VerifyState, Wanted} from '../procedures/verify/options.ts'
import type {Context} from './context.ts'
import {chosenStorages, openToRead} from './list.ts'
import {openStorages} from './storages.ts'

export interface VerifyFlags {
  local?: boolean
  s3?: boolean
  all?: boolean
  plan?: boolean
}

export interface ComposedVerify {
  procedure: Procedure<VerifyState>
  state: VerifyState
  close(): Promise<void>
}

/** Joins what is wanted, the storages and the tools into the procedure. */
export async function composeVerify(context: Context, what: string, level: VerifyLevel, drVersion: string, flags: VerifyFlags): Promise<ComposedVerify> {
  const [config, {verifyProcedure, verifyState}, {createRun, unstartedRun}] = await Promise.all([context.config(), import('../procedures/verify/index.ts'), import('../procedures/runs.ts')])
  const wanted = await wantedOf(context, what, flags)
  const storages = wanted.kind === 'place' ? [] : await openToRead(context, chosenStorages(flags, config))
  const tools = await foundTools(config.tools.directory)
  const run = flags.plan ? unstartedRun() : await createRun(config.dataDirectory)
  const spoolDirectory = config.backup.stagingDirectory === undefined ? join(run.directory, 'spool') : join(config.backup.stagingDirectory, `verify-${run.id}`)
  if (!flags.plan) await run.owns(spoolDirectory)
  const options: VerifyOptions = {wanted, what: flags.all ? 'all backups' : what, level, environment: config.environment, storages, ...tools, run, spoolDirectory, by: `${userName()}@${hostname()}, dr ${drVersion}`}
  return {
    procedure: verifyProcedure(options),
    state: verifyState(options),
    async close() {
      await run.remove()
      for (const storage of wanted.kind === 'place' ? [wanted.storage] : storages) await storage.close()
    },
  }
}

/** Without tools most of a backup can be verified all the same. */
async function foundTools(directory: string | undefined): Promise<Pick<VerifyOptions, 'tools' | 'toolsMissing'>> {
  const [{findTools}, {DrError}] = await Promise.all([import('../postgres/tools.ts'), import('../errors.ts')])
  try {
    return {tools: await findTools(directory)}
  } catch (error) {
    if (error instanceof DrError) return {tools: undefined, toolsMissing: error.message}
    throw error
  }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'somebody')
  }
}

async function wantedOf(context: Context, what: string, flags: VerifyFlags): Promise<Wanted> {
  if (flags.all) return {kind: 'all'}
  if (what === 'latest') return {kind: 'latest'}
  if (isLabel(what)) return {kind: 'label', label: what}
  const place = what.startsWith('s3://') ? await s3Place(context, what) : await localPlace(what)
  if (!flags.local && !flags.s3) return place
  const {usageError} = await import('../errors.ts')
  throw usageError('usage', '--local and --s3 choose between the copies of a backup: a path or a URL names its place already.', {hints: ['Leave out either the flag or the path; with the label alone the flags choose.']})
}

/** Of any bucket that the configured credentials and endpoint reach. */
async function s3Place(context: Context, url: string): Promise<Wanted> {
  const {usageError} = await import('../errors.ts')
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+?)\/*$/.exec(url) ?? []
  if (bucket === undefined || key === undefined) throw usageError('usage.s3-url', `"${url}" names no object.`, {hints: ['Write s3://BUCKET/KEY, as dr list shows it.']})
  const config = await context.config()
  const [storage] = await openStorages({...config, s3: {...config.s3, bucket, prefix: ''}}, ['s3'])
  if (storage === undefined) throw new Error('openStorages opened nothing.')
  return {kind: 'place', storage, key: folderOfMember(key)}
}

async function localPlace(what: string): Promise<Wanted> {
  const [{usageError}, {LocalStorage}] = await Promise.all([import('../errors.ts'), import('../repository/storage/local.ts')])
  const path = folderOfMember(resolve(what))
  if ((await stat(path).catch(() => undefined)) === undefined) {
    throw usageError('verify.what', `"${what}" is neither a label nor a file or folder that is here.`, {hints: ['A label looks like 20261122T020000Z-7f3a; dr list shows them.', 'latest is the newest backup; s3://BUCKET/KEY is an object of a bucket.']})
  }
  const storage: Storage = new LocalStorage(dirname(path))
  return {kind: 'place', storage, key: basename(path)}
}

/** Whoever names the manifest means the backup. */
const folderOfMember = (path: string) => (/^(manifest\.json|toc\.dat)$/.test(basename(path)) && path.includes('/') ? dirname(path) : path)
