import type {SchemaFacts} from '../postgres/facts.ts'
import type {SequenceState} from '../postgres/restore-facts.ts'
import type {Manifest} from '../repository/manifest.ts'
import type {Finding} from './finding.ts'
import {grantFindings, policyFindings, rowSecurityFindings} from './integrity-access.ts'
import {collationFindings, constraintFindings, extensionFindings, indexFindings, largeObjectFindings, objectFindings, viewFindings} from './integrity-schema.ts'
import type {Expected} from './integrity-group.ts'
import {digestFindings, rowFindings, sequenceFindings, tableFindings, tenantFindings} from './integrity-tables.ts'

/** A table of the restored database; `trouble` when it could not be read. */
export interface RestoredTable {
  schema: string
  name: string
  rows: number | null
  columns: readonly string[]
  tenants?: Record<string, number>
  digest?: string
  trouble?: string
}

/** What a restored database turned out to be. */
export interface RestoredFacts extends SchemaFacts {
  serverMajor: number
  encoding: string
  collation: Manifest['collation']
  tables: readonly RestoredTable[]
  sequences: readonly SequenceState[]
  /** Facts that the server refused to tell, and why: they are empty here. */
  unread?: Partial<Record<keyof SchemaFacts, string>>
  /** Digests were taken. */
  digests: boolean
}

/**
 * Compares a restored database with what its backup's manifest says. One `ok` finding for each group that is as it should be,
 * with the figures, and one finding for each deviation. Pure.
 */
export function compareIntegrity(manifest: Expected, restored: RestoredFacts): Finding[] {
  const compared = GROUPS.flatMap(([fact, group]) => (fact !== undefined && restored.unread?.[fact] !== undefined ? [] : group(manifest, restored)))
  const unread = Object.entries(restored.unread ?? {}).map(([fact, why]): Finding => ({code: 'integrity.unread', severity: 'error', subject: fact, message: `could not be compared: ${why}`}))
  return [...compared, ...unread]
}

/** With the fact that the comparison is of. */
const GROUPS: readonly [keyof SchemaFacts | undefined, (manifest: Expected, restored: RestoredFacts) => Finding[]][] = [
  [undefined, tableFindings], [undefined, rowFindings], [undefined, tenantFindings], [undefined, digestFindings], [undefined, sequenceFindings],
  ['indexes', indexFindings], ['constraints', constraintFindings], ['objects', objectFindings], ['rowSecurity', rowSecurityFindings], ['policies', policyFindings],
  ['grants', grantFindings], ['extensions', extensionFindings], ['materializedViews', viewFindings], ['largeObjects', largeObjectFindings], [undefined, collationFindings],
]
