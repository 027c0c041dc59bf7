import {preflightError} from '../../../errors.ts'
import {restoreName} from '../../../postgres/create-database.ts'
import {carriesStatistics} from '../../../postgres/restore-lists.ts'
import {targetName} from '../../../postgres/target.ts'
import {chooseForRestore} from '../../../postgres/tools.ts'
import {layersOf} from '../../../repository/foreign.ts'
import type {Procedure} from '../../../runbook/procedure.ts'
import {analyzing} from '../analyze.ts'
import {createDatabaseStep, sweepStep} from '../create.ts'
import {assertName} from '../preflight.ts'
import {finishStep} from '../prove.ts'
import {assertRestorable, foundWords} from './dump.ts'
import {describeStep} from './describe.ts'
import {loadStep} from './load.ts'
import type {ForeignOptions, ForeignState} from './options.ts'
import {dumpRoles, preflightSteps} from './preflight.ts'
import {rightsStep} from '../rights.ts'
import {createRolesStep} from '../roles.ts'
import {swapPhases, swapState} from '../../swap/index.ts'
import {markLabel, type ForeignWork} from './work.ts'

/** What a plan shows of a database whose dump has not been read yet. */
const OF_THE_DUMP = 'AS IN THE DUMP'

/** Restores a dump that dr did not make into a new database beside the live one. It is read to its end and proven before anything is made. */
export function foreignProcedure(options: ForeignOptions, work: ForeignWork): Procedure<ForeignState> {
  const {dump, swap} = options
  const around = swap && swapPhases(swap)
  const what = dump.found === undefined ? 'a dump' : foundWords(dump.found)
  const create = createDatabaseStep<ForeignState>(options, work, {
    database: ({database: name, owner, dump: {encoding = OF_THE_DUMP, collation = {provider: 'libc', collate: OF_THE_DUMP, ctype: OF_THE_DUMP}}}) => ({name, owner, encoding, collation}),
    majorOf: ({server}) => server?.major ?? 0,
  })
  return {
    id: 'restore',
    title: `Restore ${dump.location} (${what}) ${swap ? `and swap it in for ${options.target.database}` : 'into a new database'}`,
    target: targetName(options.target),
    once: 'a dump that dr did not make is read from its beginning; run the command again',
    phases: [
      {title: 'Check', steps: preflightSteps(options, work)},
      ...(around?.before ?? []),
      {title: 'Restore', steps: [sweepStep(options, work), createRolesStep<ForeignState>(options, work, dumpRoles(options, work)), create, rightsStep<ForeignState>(options, work, () => (work.hasArchive ? work.archive : undefined)), loadStep(options, work), analyzing(options, work, () => work.hasArchive && carriesStatistics(work.lists))]},
      {title: 'Look', steps: [describeStep(options, work), finishStep(options, work, undefined)]},
      ...(around?.after ?? []),
    ],
  }
}

/** The first state: what can be known without a connection. Refuses what is no dump at all. */
export function foreignState(options: ForeignOptions, now: Date): ForeignState {
  const {target, dump, config, jobs} = options
  if (dump.found) assertRestorable(dump, dump.found)
  const database = options.into ?? restoreName(target.database, now)
  assertName(database, target.database)
  const [newest] = options.tools
  if (newest === undefined) throw preflightError('tools.missing', 'pg_restore and psql were not found.', {hints: ['Install the PostgreSQL client tools (apt-get install postgresql-client), or set tools.directory (DR_PG_BIN).']})
  return {
    environment: config.environment, label: markLabel(dump.name), location: dump.location, live: target.database, database, jobs, runId: options.runId,
    tools: chooseForRestore(options.tools, 0, newest.major),
    maintenanceWorkMemBytes: 64 * 1024 * 1024, archiveBytes: dump.bytes ?? 0, findings: [], timings: [],
    dump: {...(dump.found && {kind: dump.found.kind}), layers: dump.found ? layersOf(dump.found) : [], bytes: dump.bytes ?? 0, extent: '', tables: 0},
    ...(options.swap && {swap: swapState(options.swap)}),
  }
}
