import {preflightError} from '../../errors.ts'
import {restoreName} from '../../postgres/create-database.ts'
import {targetName} from '../../postgres/target.ts'
import {archiveMajor, chooseForRestore} from '../../postgres/tools.ts'
import type {Procedure} from '../../runbook/procedure.ts'
import {analyzeStep} from './analyze.ts'
import {createStep, sweepStep} from './create.ts'
import {loadStep, restStep, schemaStep} from './load.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {assertName, preflightSteps} from './preflight.ts'
import {finishStep, integrityStep} from './prove.ts'
import {rightsStep} from './rights.ts'
import {backupRoles, createRolesStep} from './roles.ts'
import {databaseOf} from './source.ts'
import {undoGate} from './resume.ts'
import {swapPhases, swapState} from '../swap/index.ts'
import type {RestoreWork} from './work.ts'

/** Restores a backup into a new database beside the live one, and compares it with the manifest. */
export function restoreProcedure(options: RestoreOptions, work: RestoreWork): Procedure<RestoreState> {
  const {backup: {manifest}, swap} = options
  const around = swap && swapPhases(swap)
  return {
    id: 'restore',
    title: `Restore ${manifest.label} of ${manifest.source.database} (${manifest.environment}) ${swap ? `and swap it in for ${options.target.database}` : 'into a new database'}`,
    target: targetName(options.target),
    later: 'go-on',
    undoGate: (state, done) => undoGate(state, done),
    phases: [
      {title: 'Check', again: true, steps: preflightSteps(options, work)},
      ...(around?.before ?? []),
      {title: 'Restore', steps: [sweepStep(options, work), createRolesStep(options, work, backupRoles(options, work)), createStep(options, work), rightsStep(options, work, () => work.archive), schemaStep(options, work), loadStep(options, work), restStep(options, work), analyzeStep(options, work)]},
      {title: 'Prove', steps: [integrityStep(options, work), finishStep(options, work, databaseOf(manifest))]},
      ...(around?.after ?? []),
    ],
  }
}

/** The first state: what can be known without a connection. Refuses a name that cannot be, and tools that cannot read the archive. */
export function restoreState(options: RestoreOptions, now: Date): RestoreState {
  const {target, backup: {manifest, location}, config, jobs, digest} = options
  const database = options.into ?? restoreName(target.database, now)
  assertName(database, target.database)
  if (digest === true && !manifest.digests) throw preflightError('restore.no-digests', `Backup ${manifest.label} has no digests to compare.`, {hints: ['Leave out --digest: rows and tenants are counted in any case.', 'dr backup --digest takes them.']})
  return {
    environment: config.environment, label: manifest.label, location, live: target.database, database, jobs, runId: options.runId,
    tools: chooseForRestore(options.tools, archiveMajor(manifest.tool), manifest.server.major),
    maintenanceWorkMemBytes: 64 * 1024 * 1024, archiveBytes: manifest.sizes.archiveBytes, findings: [], timings: [], ...(options.swap && {swap: swapState(options.swap)}),
  }
}
