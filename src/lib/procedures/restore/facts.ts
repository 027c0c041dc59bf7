import type {RestoredFacts, RestoredTable} from '../../checks/integrity.ts'
import {messageOf} from '../../errors.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import {countTable, digestTable} from '../../postgres/counts.ts'
import {codeOf} from '../../postgres/errors.ts'
import {readSchemaFacts} from '../../postgres/facts.ts'
import {readSequences} from '../../postgres/restore-facts.ts'
import {inParallel} from '../../postgres/restore-parallel.ts'
import {readServer} from '../../postgres/server.ts'
import {CANONICAL_SETTINGS} from '../../postgres/snapshot.ts'
import {listTables, type TableRef} from '../../postgres/tables.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {Manifest} from '../../repository/manifest.ts'
import type {RestoreOptions, RestoreState} from './options.ts'

const SETTINGS = ['SET statement_timeout = 0', 'SET lock_timeout = 0', 'SET row_security = off', ...CANONICAL_SETTINGS]

/** Where it is read, and what is expected there: of a dump without a manifest nothing is. */
export interface ReadOptions extends Pick<RestoreOptions, 'target' | 'config'> {
  manifest?: Pick<Manifest, 'tables' | 'sequences'>
}

/** Reads all that a manifest tells of, from the restored database. */
export async function readRestored(options: ReadOptions, state: RestoreState, applicationName: string, digests: boolean, io: StepIo): Promise<RestoredFacts> {
  const {target, config, manifest} = options
  const unread: NonNullable<RestoredFacts['unread']> = {}
  const {tables, ...facts} = await withClient(target, {database: state.database, applicationName}, async (client) => {
    for (const setting of SETTINGS) await client.query(setting)
    const {major, encoding, collation} = await readServer(client)
    return {
      ...await readSchemaFacts(client, config.database, (fact, error) => { unread[fact] = messageOf(error) }), tables: await listTables(client, config.database, {sizes: true}), sequences: await readSequences(client, manifest?.sequences),
      serverMajor: major, encoding, collation,
    }
  })
  const counted: RestoredTable[] = []
  const largestFirst = tables.toSorted((a, b) => b.bytes - a.bytes)
  const parallel = {target, database: state.database, applicationName, connections: state.jobs, settings: SETTINGS, doing: 'Counting the rows', signal: io.signal}
  await inParallel(largestFirst, parallel, async (client, table) => {
    counted.push(await readTable(client, table, options, digests))
    io.progress({unit: 'items', done: counted.length, total: tables.length, note: `${counted.length} of ${tables.length} tables`})
  })
  return {...facts, unread, tables: counted.toSorted((a, b) => (JSON.stringify([a.schema, a.name]) < JSON.stringify([b.schema, b.name]) ? -1 : 1)), digests}
}

async function readTable(client: Client, table: TableRef, {config, manifest}: ReadOptions, digests: boolean): Promise<RestoredTable> {
  const {schema, name, columns} = table
  const expected = manifest?.tables.find((one) => one.schema === schema && one.name === name)
  try {
    const counts = await countTable(client, table, config.database.tenantColumn)
    // Over the manifest's columns: a table that inherits may have got them in another order.
    const digest = digests && expected?.digest !== undefined ? await digestTable(client, {...table, columns: expected.columns}) : undefined
    return {schema, name, columns, rows: counts?.rows ?? null, ...(counts?.tenants && {tenants: counts.tenants}), ...(digest !== undefined && {digest})}
  } catch (error) {
    if (!/^(22|42|54)/.test(codeOf(error) ?? '')) throw error
    return {schema, name, columns, rows: null, trouble: messageOf(error)}
  }
}
