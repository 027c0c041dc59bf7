import {lossTable} from '../../checks/loss.ts'
import type {RowLoss} from '../../checks/row-loss.ts'
import {closest} from '../../config/problem.ts'
import {preflightError, usageError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {readLiveCounts} from '../../postgres/live-counts.ts'
import {databaseExists} from '../../postgres/restore-needs.ts'
import {targetName, targetUrl} from '../../postgres/target.ts'
import type {Phase, Procedure, Step} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {instantOf} from '../backup-instant.ts'
import {compareRows} from './compare.ts'
import type {DiffOptions, DiffState} from './options.ts'
import {noteNewest, sideChecks, sideEnd, sideRestore} from './side.ts'
import {givingWay} from './yield.ts'

/** Says what a restore of this backup would lose and regain. Changes nothing but what it makes for itself: with `deep`, a copy that is dropped again. */
export function diffProcedure(options: DiffOptions): Procedure<DiffState> {
  const {backup: {manifest}, target, deep} = options
  const side = deep && 'side' in deep ? deep.side : undefined
  return {
    id: 'diff',
    title: `Compare ${manifest.label} of ${manifest.source.database} (${manifest.environment}) with ${target.database}`,
    target: targetName(target),
    once: 'it changes nothing; dr diff begins anew, and dr restore or dr diff --deep removes a copy that was left',
    phases: [
      {title: 'Look', steps: [countStep(options), ...(deep && 'against' in deep ? [againstStep(options, deep.against)] : [])]},
      ...(side ? [{title: 'Check', steps: sideChecks(side)}, {title: 'Restore a copy', steps: sideRestore(side)}] : []),
      ...(deep ? [comparePhase(options, side === undefined ? [] : sideEnd(side))] : []),
    ],
  }
}

export function diffState({config, backup: {manifest, location}, target, tenant, deep}: DiffOptions): DiffState {
  return {
    environment: config.environment, label: manifest.label, location, database: target.database, ...(tenant !== undefined && {tenant}),
    ...(deep && 'side' in deep && {restore: deep.side.state}), timings: [],
  }
}

const applicationName = ({runId}: DiffOptions) => `dr diff ${runId}`
const yielding = (options: DiffOptions, signal: AbortSignal) => ({target: options.target, applicationName: applicationName(options), blockedLimitMs: options.config.backup.blockedLimitMs, signal})

function countStep(options: DiffOptions): Step<DiffState> {
  const {target, config: {database}, backup, tenant} = options
  const {manifest} = backup
  return {
    id: 'diff.count',
    title: `Count the rows of ${target.database}`,
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', 'SELECT count(*) FROM ONLY …'], note: 'for each table, in one REPEATABLE READ transaction; compare with "tables" in manifest.json'}],
    run: (state, io) => stopwatch(state.timings).time('count', async () => {
      for (const notice of backup.notices) io.notice(notice)
      const known: {schema: string; name: string}[] = [...manifest.tables]
      const live = await givingWay(yielding(options, io.signal), (signal) => readLiveCounts(target, {
        ...database, applicationName: applicationName(options), connections: options.jobs, since: instantOf(manifest), signal,
        wanted: (table) => {
          known.push(table, ...(table.root ? [table.root] : []))
          return isNamed(options.tables, table) || (table.root !== undefined && isNamed(options.tables, table.root))
        },
        onCounted: (done, total) => { io.progress({unit: 'items', done, total, note: `${done} of ${total} tables`}) },
      }))
      assertTables(options.tables, known)
      // A partition of a table that is named: the manifest does not say whose it is.
      const counted = new Set(live.tables.map(({schema, name}) => JSON.stringify([schema, name])))
      state.loss = lossTable(manifest, live, {tenant, wanted: (table) => isNamed(options.tables, table) || counted.has(JSON.stringify([table.schema, table.name]))})
      if (options.deep === undefined) assertTenant(state, options)
    }),
  }
}

const isNamed = (names: readonly string[], {schema, name}: {schema: string; name: string}): boolean => names.length === 0 || names.includes(name) || names.includes(`${schema}.${name}`)

/** Whoever misspells a table or a tenant must not read that nothing is lost. */
export function assertTables(names: readonly string[], known: readonly {schema: string; name: string}[]): void {
  const unknown = names.filter((name) => !known.some((table) => isNamed([name], table)))
  if (unknown.length === 0) return
  const near = unknown.flatMap((name) => closest(name, known.flatMap((table) => [table.name, `${table.schema}.${table.name}`])) ?? [])
  throw usageError('diff.table-unknown', `There is no table ${unknown.join(', ')}, live or in the backup.`, {hints: near.length > 0 ? [`Did you mean ${near.join(', ')}?`] : ['Write --table NAME or --table SCHEMA.NAME, as dr diff --all shows them.']})
}

function assertTenant({loss, rows}: DiffState, {tenant}: DiffOptions): void {
  if (tenant === undefined || [...loss?.tables ?? [], ...rows?.tables ?? []].some(({live, backup}) => live + backup > 0)) return
  throw usageError('diff.tenant-unknown', `No row of tenant ${tenant} is live or in the backup.`, {hints: ['dr diff --all lists the tenants.', 'database.tenantColumn names the column that says whose a row is.']})
}

/** A copy that was restored before. */
function againstStep({target, config, jobs, tables}: DiffOptions, against: string): Step<DiffState> {
  return {
    id: 'diff.against',
    title: `Look for ${against}`,
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-l']}],
    async run(state, {signal}) {
      await assertCopy({target, config}, against, signal)
      const copy = await readLiveCounts(target, {...config.database, database: against, applicationName: 'dr diff', connections: jobs, signal, wanted: (table) => isNamed(tables, table) || (table.root !== undefined && isNamed(tables, table.root))})
      noteNewest(state, copy.tables)
    },
  }
}

async function assertCopy({target, config}: Pick<DiffOptions, 'target' | 'config'>, against: string, signal: AbortSignal): Promise<void> {
  await withClient(target, {applicationName: 'dr diff'}, async (client) => {
    signal.throwIfAborted()
    if (against === target.database) throw preflightError('diff.same', `${against} is the live database itself.`, {hints: ['--against names a database that dr restore has made.']})
    if (!(await databaseExists(client, against))) throw preflightError('diff.no-copy', `There is no database ${against} on ${target.host}.`, {hints: [`Leave out --against: dr diff --deep restores a copy, and drops it again.`, `dr restore --into ${against}`, `dr config show: environment ${config.environment}`]})
  })
}

function comparePhase(options: DiffOptions, after: Step<DiffState>[]): Phase<DiffState> {
  return {title: 'Compare', steps: [rowsStep(options), ...after]}
}

function rowsStep(options: DiffOptions): Step<DiffState> {
  const {target, config: {database}, deep, tenant, tables} = options
  return {
    id: 'diff.rows',
    title: 'Compare every row',
    effect: 'read',
    byHand: () => [{argv: ['psql', targetUrl(target), '-c', 'COPY (SELECT id, hashtextextended(ROW(…)::text, 0) FROM ONLY … ORDER BY 1) TO STDOUT'], note: 'for each table, on both sides; then compare the two outputs'}],
    run: (state, io) => stopwatch(state.timings).time('rows', async () => {
      const against = deep === undefined ? '' : 'against' in deep ? deep.against : deep.side.state.database
      const rows = await givingWay(yielding(options, io.signal), (signal) => compareRows({
        ...database, target, against, applicationName: applicationName(options), lanes: Math.max(1, Math.ceil(options.jobs / 2)), sample: options.sample, tenant, signal,
        ...(tables.length > 0 && {wanted: (table) => isNamed(tables, table)}),
        onProgress: (progress) => { io.progress(progress) },
      }))
      state.rows = {...rows, restored: deep !== undefined && 'side' in deep, cautions: cautionsOf(options, rows)}
      assertTenant(state, options)
    }),
  }
}

/** A database that was restored before may have been changed since, or hold another backup. */
function cautionsOf({backup: {manifest}, tenant}: DiffOptions, {tables, against}: Pick<RowLoss, 'tables' | 'against'>): string[] {
  if (tenant !== undefined) return []
  const wrong = manifest.tables.flatMap(({schema, name, rows}) => {
    const found = tables.find((table) => table.schema === schema && table.name === name)
    return found === undefined || rows === null || found.backup === rows ? [] : [`${schema}.${name} has ${found.backup.toLocaleString('en-US')} rows there and ${rows.toLocaleString('en-US')} in the backup`]
  })
  return wrong.length === 0 ? [] : [`${against} is not this backup as it was restored: ${wrong[0] ?? ''}${wrong.length === 1 ? '' : `; ${wrong.length - 1} more tables differ`}.`]
}
