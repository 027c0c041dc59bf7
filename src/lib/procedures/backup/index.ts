import {join} from 'node:path'
import {suspicions} from '../../checks/suspicion.ts'
import {verificationError} from '../../errors.ts'
import {dataEntries, readerMajor, type Archive} from '../../postgres/archive.ts'
import {dumpArguments} from '../../postgres/dump.ts'
import {globalsSql} from '../../postgres/roles.ts'
import {targetName, targetUrl} from '../../postgres/target.ts'
import {MANIFEST, serializeManifest, type ManifestMember} from '../../repository/manifest.ts'
import {recoveryKit} from '../../repository/recovery-kit.ts'
import type {ManualCommand, Procedure, Step, StepIo} from '../../runbook/procedure.ts'
import {runTool} from '../../system/tool.ts'
import type {Copied} from './attempt.ts'
import {buildManifest} from './manifest.ts'
import type {BackupOptions, BackupState} from './options.ts'
import {preflightSteps} from './preflight.ts'
import {settingsStep} from './settings.ts'
import {putAt} from './shipper.ts'
import type {BackupWork} from './work.ts'

/** Dumps the database under one snapshot, ships every member while the dump goes on, proves it, and writes the manifest last. */
export function backupProcedure(options: BackupOptions, work: BackupWork): Procedure<BackupState> {
  return {
    id: 'backup',
    title: `Back up ${options.target.database} (${options.config.environment})`,
    target: targetName(options.target),
    later: 'undo',
    once: 'its snapshot has ended with its process; dr backup makes a new one, and removes what this one has stored',
    phases: [
      {title: 'Check', steps: preflightSteps(options, work)},
      {title: 'Back up', steps: [...(options.instance ? [settingsStep(options.instance, work)] : []), copyStep(options, work), proveStep(options, work), compareStep(options, work), commitStep(options, work)]},
    ],
  }
}

/** The first state: what can be known without a connection. */
export function backupState(options: BackupOptions, first: Pick<BackupState, 'tools' | 'jobs' | 'compression'>): BackupState {
  return {
    environment: options.config.environment, database: options.target.database, destinations: options.storages.map(({location}) => location),
    ...first, findings: [], attempts: 0, failures: [], timings: [],
  }
}

function copyStep(options: BackupOptions, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.copy',
    title: 'Lock, snapshot, dump and store',
    effect: 'write',
    byHand: (state) => copyByHand(options, state),
    async run(state, io) {
      await work.copy(state, io)
      const tables = work.copied?.facts.tables ?? []
      state.tables = tables.length
      state.rows = tables.reduce((sum, {rows}) => sum + (rows ?? 0), 0)
    },
    undo: (state) => work.removeEverything(state),
  }
}

function copyByHand(options: BackupOptions, state: BackupState): ManualCommand[] {
  const {config, target} = options
  const argv = dumpArguments(state.tools, {url: () => targetUrl(target)}, {
    directory: 'LABEL', snapshot: 'SNAPSHOT', jobs: state.jobs, compression: state.compression, excludeSchemas: config.database.excludeSchemas, lockTimeoutMs: config.backup.lockTimeoutMs,
  })
  return [
    {argv: ['psql', targetUrl(target)], note: 'keep this session open: BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY … (every table) IN ACCESS SHARE MODE; SELECT pg_export_snapshot();'},
    {argv, note: 'SNAPSHOT is what the session above printed'},
    ...options.storages.map((storage) => ({argv: storage.kind === 's3' ? ['aws', 's3', 'cp', '--recursive', 'LABEL', `${storage.location}/${state.environment}/LABEL/`] : ['cp', '-r', 'LABEL', join(storage.location, state.environment)]})),
  ]
}

function proveStep(options: BackupOptions, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.prove',
    title: 'Prove the archive',
    effect: 'read',
    byHand: (state) => [{argv: [state.tools.pgRestore, '--list', 'LABEL']}],
    async run(state, io) {
      const {archive, directory} = copiedOf(work)
      const {code, stdout, stderr} = await runTool([state.tools.pgRestore, '--list', directory], {signal: io.signal})
      if (code !== 0) throw verificationError('backup.list', `pg_restore cannot read the archive: ${stderr.join(' ')}`, {hints: ['Run the backup again.']})
      const listed = assertListed(stdout, archive)
      io.progress(`${listed} entries, ${archive.entries.length} in toc.dat`)
      await putKit(options, work, state, io)
      work.assertSomewhere()
      state.proofs = work.destinations.filter(({failure}) => failure === undefined).map(({storage, proofs}) => ({destination: storage.location, proof: proofs.has('reread') ? 'reread' : 'store-sha256'}))
    },
  }
}

/** pg_restore sees as many entries as dr does, and lists every one with data. An empty database has none of these. */
export function assertListed(listing: string, archive: Archive): number {
  const total = Number(/^; +TOC Entries: (\d+)$/m.exec(listing)?.[1])
  const listed = new Set([...listing.matchAll(/^(\d+); /gm)].map(([, dumpId]) => Number(dumpId)))
  const unlisted = dataEntries(archive).filter(({dumpId}) => !listed.has(dumpId))
  if (total === archive.entries.length && unlisted.length === 0) return listed.size
  throw verificationError('backup.list', `pg_restore sees ${total} entries in the archive, dr ${archive.entries.length}; ${unlisted.length} with data are not listed.`, {hints: ['Run the backup again.']})
}

/** What lets others restore without `dr`: roles, and how-to for people and for sh. They are members like the rest. */
async function putKit(options: BackupOptions, work: BackupWork, state: BackupState, io: StepIo): Promise<void> {
  const {facts, archive, shipper} = copiedOf(work)
  const globals = globalsSql(facts.roles, facts.database)
  await putMember(work, state, 'globals.sql', globals, io)
  const kit = recoveryKit({
    label: state.label ?? '', environment: state.environment, database: state.database, pgRestoreMajor: readerMajor(archive),
    serverMajor: state.server?.major ?? 0, encoding: state.server?.encoding ?? 'UTF8', collation: state.server?.collation ?? {provider: 'libc', collate: 'C', ctype: 'C'},
    members: [...shipper.members.values()], jobs: options.jobs ?? state.jobs,
  })
  for (const {name, text} of kit) await putMember(work, state, name, text, io)
}

async function putMember(work: BackupWork, state: BackupState, name: string, text: string, io: StepIo): Promise<void> {
  const body = Buffer.from(text)
  for (const destination of work.destinations) {
    if (destination.failure) continue
    const sha256 = await putAt(destination, `${work.prefix(state)}${name}`, body, io.signal)
    if (sha256 !== undefined) copiedOf(work).shipper.members.set(name, {name, bytes: body.length, sha256})
  }
}

function compareStep(options: BackupOptions, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.compare',
    title: 'Compare with the last good backup',
    effect: 'read',
    skip: (state) => (state.attempts > 0 && state.lastGood === undefined ? 'there is none yet' : undefined),
    byHand: () => [{argv: ['dr', 'list', '--environment', options.config.environment]}],
    run(state, io) {
      const last = work.lastGood
      if (last === undefined) return Promise.resolve()
      const archiveBytes = membersOf(work).reduce((sum, {bytes}) => sum + bytes, 0)
      const source = {database: state.server?.database ?? '', systemIdentifier: state.server?.systemIdentifier}
      const fresh = {label: state.label ?? '', source, sizes: {archiveBytes}, compression: state.compression, tables: copiedOf(work).facts.tables}
      const found = suspicions(fresh, last, options.config.backup.shrinkLimit)
      for (const finding of found) {
        const {severity, subject, message} = finding
        const accepted = options.accept === true && severity === 'warning'
        state.findings.push(accepted ? {...finding, severity: 'info', message: `${message} (accepted)`} : finding)
        io.notice(`${accepted ? 'Accepted' : severity === 'info' ? 'Note' : 'Suspect'}: ${subject === '' ? '' : `${subject}: `}${message}.`)
      }
      return Promise.resolve()
    },
  }
}

function commitStep(options: BackupOptions, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.commit',
    title: 'Write the manifest',
    effect: 'write',
    byHand: (state) => options.storages.filter(({kind}) => kind === 's3').map(({location}) => ({argv: ['aws', 's3', 'cp', MANIFEST, `${location}/${state.environment}/LABEL/${MANIFEST}`]})),
    async run(state, io) {
      state.status = state.findings.some(({severity}) => severity === 'warning') ? 'suspect' : 'good'
      const members = membersOf(work)
      state.archiveBytes = members.reduce((sum, {bytes}) => sum + bytes, 0)
      await work.assertStored(state, members, io)
      const manifest = Buffer.from(serializeManifest(buildManifest(copiedOf(work), state, options, members)))
      for (const destination of work.destinations) if (!destination.failure) await putAt(destination, `${work.prefix(state)}${MANIFEST}`, manifest, io.signal)
      work.assertSomewhere()
      await work.finish(state, io)
      state.failures = work.destinations.flatMap(({storage, failure}) => (failure ? [{destination: storage.location, code: failure.code, message: failure.message}] : []))
      for (const {destination, message} of state.failures) io.notice(`Not at ${destination}: ${message}`)
    },
  }
}

const membersOf = (work: BackupWork): ManifestMember[] => [...copiedOf(work).shipper.members.values()].map((member) => ({...member})).toSorted((a, b) => (a.name < b.name ? -1 : 1))

function copiedOf({copied}: BackupWork): Copied {
  if (copied === undefined) throw new Error('Nothing was copied.')
  return copied
}

