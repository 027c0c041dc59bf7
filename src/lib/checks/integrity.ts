import type {SchemaFacts} from '../postgres/facts.ts'
import type {SequenceState} from '../postgres/restore-facts.ts'
import type {Manifest} from '../repository/manifest.ts'
import type {Finding} from './finding.ts'
import {grantFindings, policyFindings, rowSecurityFindings} from './integrity-access.ts'
import {collationFindings, constraintFindings, extensionFindings, indexFindings, largeObjectFindings, viewFindings} from './integrity-schema.ts'
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
  /** Digests were taken. */
  digests: boolean
}

/**
 * Compares a restored database with what its backup's manifest says. One `ok` finding for each group that is as it should be,
 * with the figures, and one finding for each deviation. Pure.
 */
export function compareIntegrity(manifest: Manifest, restored: RestoredFacts): Finding[] {
  return [tableFindings, rowFindings, tenantFindings, digestFindings, sequenceFindings, indexFindings, constraintFindings, rowSecurityFindings, policyFindings, grantFindings, extensionFindings, viewFindings, largeObjectFindings, collationFindings]
    .flatMap((group) => group(manifest, restored))
}
