import type {Finding} from '../../../checks/finding.ts'
import type {Archive, ArchiveEntry} from '../../../postgres/archive.ts'
import type {RoleNeeds} from '../../../postgres/restore-needs.ts'
import type {ServerFacts} from '../../../postgres/server.ts'
import {databaseText, statementsOf} from '../../../postgres/sql/database.ts'
import {noRoles, noteRoles, type NamedRoles} from '../../../postgres/sql/names.ts'
import type {ScriptFacts} from '../../../postgres/sql/script.ts'
import type {DumpFacts} from './options.ts'
import type {ProvenDump} from './prove.ts'
import {isCut} from './script.ts'

/** Of the database itself: pg_restore leaves these out unless it is told to make the database. */
const isOfDatabase = ({kind, tag}: ArchiveEntry): boolean => kind === 'DATABASE' || kind === 'DATABASE PROPERTIES' || (['ACL', 'COMMENT', 'SECURITY LABEL'].includes(kind) && tag.startsWith('DATABASE '))

/** What a dump says of itself. */
export function factsOf({archive, script, extent, ready}: ProvenDump): Partial<DumpFacts> {
  const {kind, layers, bytes} = ready
  return {kind, bytes, extent, ...(layers.length > 0 && {layers}), ...(archive && archiveFacts(archive)), ...(script && scriptFacts(script))}
}

function archiveFacts(archive: Archive): Partial<DumpFacts> {
  const of = (wanted: string) => archive.entries.find(({kind}) => kind === wanted)
  const database = of('DATABASE')
  const text = databaseText(statementsOf(database?.definition ?? '')[0]?.tokens ?? [])
  const encoding = text.encoding ?? /'(.*)'/.exec(of('ENCODING')?.definition ?? '')?.[1]
  return {
    source: archive.database, serverVersion: archive.serverVersion, toolVersion: archive.pgDumpVersion, tables: archive.entries.filter(({kind}) => kind === 'TABLE').length,
    ...(encoding !== undefined && {encoding}), ...(text.collation && {collation: text.collation}), ...(database?.owner !== undefined && database.owner !== '' && {owner: database.owner}),
  }
}

function scriptFacts({database, encoding, serverVersion, toolVersion, tables}: ScriptFacts): Partial<DumpFacts> {
  const text = databaseText(database?.tokens ?? [])
  // A client's encoding of «SQL_ASCII» is none.
  const own = text.encoding ?? (encoding !== undefined && /^utf-?8$/i.test(encoding) ? 'UTF8' : undefined)
  return {
    tables, ...(database && {source: database.name}), ...(serverVersion !== undefined && {serverVersion}), ...(toolVersion !== undefined && {toolVersion}),
    ...(own !== undefined && {encoding: own}), ...(text.collation && {collation: text.collation}),
  }
}

export interface DumpNeeds {
  roles: RoleNeeds
  extensions: string[]
  findings: Finding[]
}

/** What must be there on the server before a dump can be restored. */
export function needsOf({archive, script}: ProvenDump, server: Pick<ServerFacts, 'major' | 'superuser'>): DumpNeeds {
  if (archive) return archiveNeeds(archive)
  const {roles, extensions = [], cuts = []} = script ?? {}
  const ofDatabase = cuts.filter((cut) => cut.rule === 'own-database' && isCut(cut, server) && !cut.text.startsWith('\\'))
  return {roles: roleNeedsOf(roles ?? noRoles(), [...(roles?.owners ?? [])]), extensions: [...extensions], findings: databaseFinding(ofDatabase.map(({text}) => text).filter((text) => !/^(create|drop) database/i.test(text)))}
}

function archiveNeeds(archive: Archive): DumpNeeds {
  const entries = archive.entries.filter((entry) => !isOfDatabase(entry))
  const roles = noRoles()
  for (const {kind, definition} of entries) if (['ACL', 'DEFAULT ACL', 'POLICY'].includes(kind)) for (const {tokens} of statementsOf(definition)) noteRoles(tokens, roles)
  const ownersOf = (some: readonly ArchiveEntry[]) => some.flatMap(({owner}) => (owner === undefined || owner === '' || owner.startsWith('pg_') ? [] : [owner]))
  const owning = entries.filter(({section}) => section === 'pre-data' || section === 'data')
  for (const owner of ownersOf(owning)) for (const set of [roles.owners, roles.named]) set.add(owner)
  const properties = archive.entries.filter(({kind}) => kind === 'DATABASE PROPERTIES').flatMap(({definition}) => definition.trim().split('\n'))
  return {
    roles: roleNeedsOf(roles, ownersOf(entries.filter(({kind}) => kind === 'TABLE DATA'))), extensions: entries.filter(({kind}) => kind === 'EXTENSION').map(({tag}) => tag),
    findings: databaseFinding(properties),
  }
}

const roleNeedsOf = ({owners, named}: NamedRoles, dataOwners: readonly string[]): RoleNeeds =>
  ({owners: [...owners].toSorted(), named: [...named].toSorted(), dataOwners: [...new Set(dataOwners)], memberships: []})

function databaseFinding(statements: readonly string[]): Finding[] {
  if (statements.length === 0) return []
  return [{code: 'restore.database-settings', severity: 'info', subject: '', message: `of the source's database, not set on the new one: ${statements.join(' ')}`}]
}
