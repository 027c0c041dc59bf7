import {connect, endQuietly, rowsOf, type Client} from '../../src/lib/postgres/connection.ts'
import type {Catalog, MergeMode, MergeRequest, MergeResult, RevertResult, Selection} from '../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../src/lib/postgres/partial/revert.ts'
import {testCluster, type TestCluster} from './cluster.ts'
import {catalogOf, createPartial, learnColumns, requestOf, resetPartial} from './partial.ts'

export interface PartialFixture {
  readonly cluster: TestCluster
  readonly url: string
  /** The superuser's. */
  readonly client: Client
  readonly live: Catalog
  /** Into the undo schema `dr_undo_test` unless told otherwise. */
  merge(selection: Selection, mode: MergeMode, more?: Partial<MergeRequest>): Promise<MergeResult>
  undo(schema?: string): Promise<RevertResult>
}

export const running = {signal: new AbortController().signal}

/** For one suite: the small database, as at its backup before each test, and without schemas of dr's afterwards. */
export function partialFixture(database: string): PartialFixture {
  let cluster: TestCluster
  let url = ''
  let client: Client
  let live: Catalog
  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase(database)
    client = await connect(url)
    await createPartial(client)
    await learnColumns(client)
    live = await catalogOf(client)
  })
  after(async () => {
    await endQuietly(client)
    await cluster.drop(database)
  })
  beforeEach(() => resetPartial(client))
  afterEach(async () => {
    for (const {schema} of await rowsOf<{schema: string}>(client, "SELECT nspname AS schema FROM pg_namespace WHERE nspname LIKE 'dr_%'")) await client.query(`DROP SCHEMA ${schema} CASCADE`)
  })
  return {
    get cluster() { return cluster },
    get url() { return url },
    get client() { return client },
    get live() { return live },
    merge: (selection, mode, more = {}) => mergeSelection(client, requestOf(live, selection, mode, more), running),
    undo: (schema = 'dr_undo_test') => revertMerge(client, schema, {...running, lockTimeoutMs: 2000}),
  }
}

export const selecting = (...tables: Selection['tables']): Selection => ({tables})

/** Inserted, updated and deleted rows of one table. */
export function countsOf(result: MergeResult, name: string): number[] {
  const {inserted, updated, deleted} = result.tables.find((each) => each.name === name) ?? {inserted: -1, updated: -1, deleted: -1}
  return [inserted, updated, deleted]
}
