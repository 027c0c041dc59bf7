import {targetName, targetUrl} from '../../postgres/target.ts'
import type {Phase, Procedure, Step} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import type {InvestigateOptions, InvestigateState} from './options.ts'
import {preserveGate, preserveStep} from './preserve.ts'
import {Work} from './work.ts'

/** Finds what happened to the data. Changes nothing, save autovacuum of the tables with `preserve`. */
export function investigateProcedure(options: InvestigateOptions): Procedure<InvestigateState> {
  const {target} = options
  const work = new Work(options)
  const preserve: Phase<InvestigateState> = {title: 'Preserve', gate: preserveGate(options), steps: [preserveStep(options)]}
  return {
    id: 'investigate',
    title: `Find out what happened to the data of ${target.database}`,
    target: targetName(target),
    once: 'dr investigate begins anew; dr investigate --release gives tables their autovacuum back',
    phases: [{title: 'Look around', steps: [serverStep(options, work), backupsStep(options, work)]}, ...(options.preserve ? [preserve] : []), {title: 'Look', steps: lookSteps(options, work)}],
  }
}

export function investigateState({config, target}: Pick<InvestigateOptions, 'config' | 'target'>): InvestigateState {
  return {environment: config.environment, database: target.database, timings: []}
}

const byHandSql = (options: InvestigateOptions, sql: string, note?: string) => [{argv: ['psql', targetUrl(options.target), '-c', sql], ...(note !== undefined && {note})}]

function step(id: string, title: string, byHand: Step<InvestigateState>['byHand'], run: Step<InvestigateState>['run']): Step<InvestigateState> {
  return {id: `investigate.${id}`, title, effect: 'read', byHand, run: (state, io) => stopwatch(state.timings).time(id, () => run(state, io))}
}

function serverStep(options: InvestigateOptions, work: Work): Step<InvestigateState> {
  return step('server', `See what ${options.target.database} can tell`, () => byHandSql(options, "SELECT pg_current_snapshot(), current_setting('track_commit_timestamp')"), (state, io) => work.lookAround(state, io))
}

function backupsStep({storages, config: {environment}}: InvestigateOptions, work: Work): Step<InvestigateState> {
  return step('backups', `Read the manifests of the newest backups of ${environment}`, () => storages.map(({location}) => ({argv: ['dr', 'list', '--environment', environment], note: `manifest.json of each backup at ${location}`})), (_, io) => work.readBackups(io))
}

function lookSteps(options: InvestigateOptions, work: Work): Step<InvestigateState>[] {
  const {target: {database}, config: {investigate: {auditLog}}} = options
  return [
    step('count', `Count the rows of ${database}`, () => byHandSql(options, 'SELECT count(*) FROM ONLY …', 'for each table; compare with "tables" in the manifests'), (_, io) => work.count(io)),
    step('writers', 'Group the rows by the transaction that wrote them', () => byHandSql(options, 'SELECT xmin, count(*) FROM ONLY … GROUP BY xmin ORDER BY 2 DESC LIMIT 10', 'for each table'), (_, io) => work.group(io)),
    step('audit', `Read ${auditLog.table}`, () => byHandSql(options, `SELECT date_trunc('hour', "${auditLog.time}"), "${auditLog.actor}", "${auditLog.action}", count(*) FROM ${auditLog.table} GROUP BY 1, 2, 3 ORDER BY 4 DESC`), (_, io) => work.readAudit(io)),
    step('weigh', 'Count what a repair would take back', () => byHandSql(options, 'SELECT count(*) FROM ONLY … WHERE xmin = … AND "updatedAt" > …', "of the suspected transaction, since the backup's snapshot"), async (state, io) => { state.investigation = await work.weigh(io) }),
  ]
}
