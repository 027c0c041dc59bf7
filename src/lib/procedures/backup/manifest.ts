import {encryptionKeyFingerprint} from '../../application/encryption-key.ts'
import {OTHER_SOURCE} from '../../checks/suspicion.ts'
import {readerMajor, sequenceValues} from '../../postgres/archive.ts'
import type {DatabaseFacts} from '../../postgres/roles.ts'
import {MANIFEST_VERSION, type Manifest, type ManifestMember} from '../../repository/manifest.ts'
import type {Copied} from './attempt.ts'
import type {BackupOptions, BackupState} from './options.ts'

/** Says everything about a backup; written last, it is what makes the folder one. */
export function buildManifest(copied: Copied, state: BackupState, options: BackupOptions, members: ManifestMember[]): Manifest {
  const {archive, facts, snapshot} = copied
  const {server} = state
  if (server === undefined) throw new Error('The source was not looked at.')
  return {
    schemaVersion: MANIFEST_VERSION,
    label: state.label ?? '',
    environment: state.environment,
    createdAt: snapshot.at,
    finishedAt: new Date().toISOString(),
    status: state.status ?? 'good',
    ...(options.purpose && {purpose: options.purpose}),
    suspicions: state.findings.filter(({code}) => code !== OTHER_SOURCE).map(({subject, message}) => (subject === '' ? message : `${subject}: ${message}`)),
    tool: {dr: options.drVersion, pgDump: state.tools.version, archiveVersion: archive.formatVersion, pgRestoreMajor: readerMajor(archive)},
    server: {version: server.version, versionNum: server.versionNum, major: server.major},
    source: {database: server.database, databaseOid: server.databaseOid, host: options.target.host, ...(server.systemIdentifier !== undefined && {systemIdentifier: server.systemIdentifier})},
    snapshot: snapshotOf(copied),
    encoding: server.encoding,
    collation: server.collation,
    sizes: {databaseBytes: server.databaseBytes, archiveBytes: members.reduce((sum, {bytes}) => sum + bytes, 0)},
    compression: state.compression,
    jobs: state.jobs,
    members,
    tables: tablesOf(copied),
    sequences: sequenceValues(archive).map((sequence) => ({...sequence})),
    ...facts.schema,
    roles: facts.roles.map((role) => ({...role})),
    databaseSettings: facts.database.settings.map(settingText),
    database: databaseOf(facts.database),
    ...(facts.migrations && {migrations: facts.migrations}),
    application: applicationOf(options),
    encryption: null,
    timings: state.timings,
    proofs: state.proofs?.map(({destination, proof}) => ({destination, proof: proof === 'reread' ? 'reread' as const : 'store-sha256' as const})) ?? [],
    digests: options.digest,
  }
}

function tablesOf({archive, facts}: Copied): Manifest['tables'] {
  const dumpIds = new Map(archive.entries.filter(({kind}) => kind === 'TABLE DATA').map(({schema, tag, dumpId}) => [JSON.stringify([schema, tag]), dumpId]))
  return facts.tables.map(({schema, name, kind, rows, tenants, digest, columns, bytes}) => {
    const dumpId = dumpIds.get(JSON.stringify([schema, name]))
    return {schema, name, kind, rows, columns, bytes, ...(tenants && {tenants}), ...(digest !== undefined && {digest}), ...(dumpId !== undefined && {dumpId})}
  })
}

/** `xmin:xmax:running`, as pg_current_snapshot() writes it. */
function snapshotOf({snapshot}: Copied): Manifest['snapshot'] {
  const [xmin = '', xmax = ''] = snapshot.current.split(':')
  return {id: snapshot.id, at: snapshot.at, lsn: snapshot.lsn, ...(snapshot.timeline !== undefined && {timeline: snapshot.timeline}), xmin, xmax, current: snapshot.current}
}

const databaseOf = ({comment, settings, ...rest}: DatabaseFacts): Manifest['database'] => ({
  ...rest,
  ...(comment !== undefined && {comment}),
  settings: settings.map(({role, ...setting}) => ({...setting, ...(role !== undefined && {role})})),
})

const settingText = ({role, name, value}: DatabaseFacts['settings'][number]) => `${role === undefined ? '' : `[${role}] `}${name} = ${value}`

function applicationOf({config, env}: BackupOptions): Manifest['application'] {
  const key = env[config.application.encryptionKeyEnv]
  const {release} = config.application
  return {...(release !== undefined && {release}), ...(key !== undefined && key !== '' && {encryptionKeyFingerprint: encryptionKeyFingerprint(key)})}
}
