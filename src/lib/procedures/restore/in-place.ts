import {preflightError} from '../../errors.ts'
import {connect} from '../../postgres/connection.ts'
import {assertInPlaceTools, inPlaceArguments, inPlaceEntries, restoreInPlace} from '../../postgres/restore-in-place.ts'
import {startupOptions} from '../../postgres/restore-settings.ts'
import {readServer} from '../../postgres/server.ts'
import {occupants} from '../../postgres/swap-sessions.ts'
import {targetName, targetUrl} from '../../postgres/target.ts'
import {archiveMajor, chooseForRestore} from '../../postgres/tools.ts'
import type {Gate, Procedure, Step} from '../../runbook/procedure.ts'
import {replaceGate} from '../swap/gates.ts'
import {swapOf, type SwapOptions, type SwapSubject} from '../swap/options.ts'
import {assertSource, byApplication, lossStep} from '../swap/preflight.ts'
import {safetySteps} from '../swap/safety.ts'
import {analyzeStep} from './analyze.ts'
import {settingsOf} from './load.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {preflightSteps} from './preflight.ts'
import {integrityStep} from './prove.ts'
import {backupRoles, createRolesStep} from './roles.ts'
import type {RestoreWork} from './work.ts'

/**
 * Restores into the live database itself, for servers where none can be renamed. One transaction that drops and makes anew:
 * everybody is kept out while it runs, and there is no undo but the safety backup.
 */
export function inPlaceProcedure(options: RestoreOptions, work: RestoreWork, swap: SwapOptions): Procedure<RestoreState> {
  const {backup: {manifest}, target} = options
  return {
    id: 'restore-in-place',
    title: `Restore ${manifest.label} of ${manifest.source.database} (${manifest.environment}) into the live database ${target.database} itself`,
    target: targetName(target),
    once: 'it is one transaction, which its process has taken along; run the command again',
    phases: [
      {title: 'Check', steps: preflightSteps(options, work).filter(({id}) => id !== 'restore.server').toSpliced(1, 0, liveStep(options, work))},
      {title: 'Check the live database', steps: [lossStep(swap), membersStep(options, work)]},
      {title: 'Safety backup', gate: strictGate(swap), steps: safetySteps(swap)},
      {title: 'Restore', steps: [createRolesStep(options, work, backupRoles(options, work)), replaceStep(options, work), analyzeStep(options, work)]},
      {title: 'Prove', steps: [integrityStep(options, work)]},
    ],
  }
}

/** The first state. Refuses to go without a safety backup, and a source of another environment that was not named. */
export function inPlaceState(options: RestoreOptions, swap: SwapOptions): RestoreState {
  const {target, backup: {manifest, location}, config, jobs} = options
  if (swap.safety === 'none') throw preflightError('restore.in-place-safety', 'In place there is no undo but the safety backup: it cannot be left out.', {hints: ['Leave out --safety none.', 'dr restore --swap keeps the old database.']})
  assertSource(swap)
  return {
    environment: config.environment, label: manifest.label, location, live: target.database, database: target.database, jobs, runId: options.runId,
    tools: chooseForRestore(options.tools, archiveMajor(manifest.tool), manifest.server.major),
    maintenanceWorkMemBytes: 64 * 1024 * 1024, archiveBytes: manifest.sizes.archiveBytes, findings: [], timings: [],
    swap: {safety: 'backup', ...(swap.backup && {safetyBackup: swap.backup.state})},
  }
}

function strictGate(swap: SwapOptions): Gate<SwapSubject> {
  const gate = replaceGate(swap, ['LIVE NOW', 'COMING IN'])
  return {
    ...gate,
    strict: true,
    question: ({live, environment}) => `Overwrite the live database ${live} (${environment}) at ${swap.target.host}:${swap.target.port} in place with ${swap.source.title}? Nobody can work in it meanwhile, and no old database is kept.`,
    details: (state) => (gate.details?.(state) ?? []).map((line) => line
      .replace('the old database is kept, and dr undo brings it back', 'it is the only way back')
      .replace('What is written until the swap stays in the old database only.', 'What is written after the safety backup has begun is lost: stop the application first.')),
  }
}

function liveStep({target, config}: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  return {
    id: 'in-place.live',
    title: `Look at the live database ${target.database}`,
    effect: 'read',
    byHand: ({live}) => [{argv: ['psql', targetUrl(target, live), '-c', 'SELECT version(), current_user, pg_is_in_recovery()']}],
    async run(state) {
      const client = await connect(target, {applicationName: work.applicationName})
      try {
        const server = await readServer(client)
        state.server = server
        if (server.inRecovery) throw preflightError('restore.standby', 'The server is a standby: nothing can be restored into it.', {hints: ['Set DATABASE_URL to the primary.']})
        const sessions = byApplication(await occupants(client, [state.live]))
        swapOf(state).target = {host: target.host, port: target.port, serverVersion: server.version, systemIdentifier: server.systemIdentifier, database: state.live, owner: config.environment, sessions}
      } finally {
        await client.end()
      }
    },
  }
}

/** One pg_restore reads them all: they must all be here, and proven, before it begins. */
function membersStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {backup: {manifest, location, directory}} = options
  return {
    id: 'in-place.members',
    title: directory === undefined ? 'Download and prove every member' : 'Prove every member',
    effect: 'read',
    byHand: () => (directory === undefined ? [{argv: ['aws', 's3', 'cp', '--recursive', `${location}/`, 'BACKUP/']}] : [{argv: ['dr', 'verify', directory]}]),
    async run(state, io) {
      assertInPlaceTools(state.tools, state.server?.major ?? 0)
      const members = manifest.members.filter(({name}) => name !== 'toc.dat')
      for (const [index, member] of members.entries()) {
        await work.members.prove(member, io.signal)
        io.progress({unit: 'items', done: index + 1, total: members.length})
      }
    },
  }
}

function replaceStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const {target, backup: {directory}} = options
  return {
    id: 'in-place.restore',
    title: 'Drop and restore, in one transaction',
    effect: 'destroy',
    byHand: (state) => [{argv: inPlaceArguments(state.tools, {url: (database) => targetUrl(target, database)}, {directory: directory ?? 'BACKUP', list: 'in-place.list', database: state.live}), note: 'in-place.list: all but schemas and extensions that are there, and COMMENT ON EXTENSION'}],
    run: (state, io) => work.time(state.timings, 'in-place', async () => {
      const reader = await connect(target, {applicationName: `${work.applicationName} reader`})
      const entries = await inPlaceEntries(reader, work.archive, state.server?.major ?? 0).finally(() => reader.end())
      const list = await work.list('in-place', entries)
      const access = await work.access(settingsOf(state))
      const argv = inPlaceArguments(state.tools, access, {directory: work.archiveDirectory, list, database: state.live})
      let begun = 0
      await restoreInPlace(argv, {
        // Its one commit is what counts: it must be on disk.
        archive: work.archive, env: {...access.env, PGOPTIONS: `${startupOptions(settingsOf(state))} -c synchronous_commit=on`}, applicationName: work.applicationName, signal: io.signal,
        connect: () => connect(target, {applicationName: `${work.applicationName} guard`}),
        onBegun: () => { io.progress({unit: 'items', done: ++begun, total: entries.length * 2}) },
      })
      swapOf(state).inPlaceDone = true
    }),
  }
}
