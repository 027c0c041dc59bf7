import {availableParallelism} from 'node:os'
import {resolve} from 'node:path'
import type {InvestigateState} from '../procedures/investigate/options.ts'
import type {Investigation} from '../report/investigation.ts'
import type {Procedure} from '../runbook/procedure.ts'
import type {Context} from './context.ts'
import {chosenStorages, openToRead} from './list.ts'
import {targetOf} from './target.ts'

export interface InvestigateWish {
  tables: readonly string[]
  tenant?: string | undefined
  since?: string | undefined
  actor?: string | undefined
  preserve: boolean
  release: boolean
  backups?: number | undefined
  output?: string | undefined
}

export interface ComposedInvestigation {
  procedure: Procedure<InvestigateState>
  state: InvestigateState
  /** Closes what the run held, however it ended. */
  close: () => Promise<void>
}

const MOST_CONNECTIONS = 4
const BACKUPS = 30

/** Joins configuration and repositories into the procedure of one investigation, or of giving back what one has preserved. */
export async function composeInvestigation(context: Context, wish: InvestigateWish): Promise<ComposedInvestigation> {
  const since = await assertUsage(wish, new Date())
  const [config, {investigateProcedure, investigateState}, {createRun}] = await Promise.all([context.config(), import('../procedures/investigate/index.ts'), import('../procedures/runs.ts')])
  const target = await targetOf(config)
  const run = await createRun(config.dataDirectory)
  const state = investigateState({config, target})
  if (wish.release) {
    const {releaseProcedure} = await import('../procedures/investigate/preserve.ts')
    return {procedure: releaseProcedure({target, runId: run.id, folder: context.journalDirectory, tables: wish.tables}), state, close: () => run.remove()}
  }
  const storages = await openToRead(context, chosenStorages({}, config))
  const {tables, tenant, actor, preserve, backups = BACKUPS} = wish
  return {
    procedure: investigateProcedure({config, target, storages, runId: run.id, journals: context.journalDirectory, tables, tenant, since, actor, preserve, backups, jobs: Math.min(MOST_CONNECTIONS, config.restore.jobs ?? availableParallelism())}),
    state,
    close: async () => {
      for (const storage of storages) await storage.close()
      await run.remove()
    },
  }
}

async function assertUsage({tables, tenant, since, actor, preserve, release, output}: InvestigateWish, now: Date): Promise<string | undefined> {
  const [{usageError}, {instantOf}] = await Promise.all([import('../errors.ts'), import('../procedures/investigate/since.ts')])
  if (tenant === '') throw usageError('usage', '--tenant names no tenant.', {hints: ['dr diff --all lists the tenants.']})
  if (actor === '') throw usageError('usage', '--actor names nobody.', {hints: ['It is compared with investigate.auditActor of the audit log.']})
  if (preserve && tables.length === 0 && tenant === undefined) throw usageError('usage', '--preserve needs to know the tables.', {hints: ['Add --table NAME, or --tenant ID for all tables of tenants.']})
  if (release && (preserve || tenant !== undefined || since !== undefined || actor !== undefined || output !== undefined)) throw usageError('usage', '--release only gives tables their autovacuum back: it goes with --table alone.', {hints: ['dr investigate --release']})
  return since === undefined ? undefined : instantOf(since, now)
}

/** The whole investigation as lines of at most the terminal's width. */
export async function investigationReport(found: Investigation): Promise<string[]> {
  const [{investigationLines}, {columnsOf}, {redact}] = await Promise.all([import('../ui/investigation.ts'), import('../ui/text.ts'), import('../system/redact.ts')])
  return [...investigationLines(found, {width: process.stdout.isTTY ? columnsOf(process.stdout) : undefined})].map(redact)
}

/** Writes the incident file; what is there already is not overwritten. Resolves to its absolute path. */
export async function writeIncidentFile(found: Investigation, file: string, run: string): Promise<string> {
  const [{writeFile}, {investigationMarkdown}, {redact}, {messageOf, preflightError}] = await Promise.all([import('node:fs/promises'), import('../report/investigation-markdown.ts'), import('../system/redact.ts'), import('../errors.ts')])
  const path = resolve(file)
  try {
    await writeFile(path, redact(investigationMarkdown(found, {run})), {flag: 'wx', mode: 0o600})
    return path
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw preflightError('investigate.file-exists', `${path} is there already and was not overwritten.`, {cause: error, hints: ['Name another file with --output.']})
    throw preflightError('investigate.file', `${path} cannot be written: ${messageOf(error)}`, {cause: error, hints: ['Name another file with --output.']})
  }
}

/** Before the work: a file that could not be written would be told only at its end. */
export async function assertOutput(file: string | undefined): Promise<void> {
  if (file === undefined) return
  const [fs, paths, {preflightError}] = await Promise.all([import('node:fs'), import('node:path'), import('../errors.ts')])
  const path = resolve(file)
  if (fs.existsSync(path)) throw preflightError('investigate.file-exists', `${path} is there already and is not overwritten.`, {hints: ['Name another file with --output.']})
  if (!fs.existsSync(paths.dirname(path))) throw preflightError('investigate.file', `There is no folder ${paths.dirname(path)}.`, {hints: ['Name another file with --output.']})
}
