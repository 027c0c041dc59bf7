import {expect} from 'chai'
import {connect, endQuietly, rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {readCatalog} from '../../../../src/lib/postgres/partial/catalog.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {Catalog, MergeRequest, SelectedTable, StagedTable} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {drErrorOf} from '../../../support/rejection.ts'

const DATABASE = 'partial_key_changes'

describe('a value that others name, and a merge would change', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let client: Client
  let live: Catalog

  before(async () => {
    cluster = await testCluster({major: 17})
    client = await connect(await cluster.createDatabase(DATABASE))
  })
  after(async () => {
    await endQuietly(client)
    await cluster.drop(DATABASE)
  })

  const make = async (rule: string): Promise<void> => {
    await client.query(`
      DROP SCHEMA IF EXISTS base, dr_undo_test CASCADE; DROP TABLE IF EXISTS products, orders, boxes;
      CREATE TABLE products (id int PRIMARY KEY, sku text UNIQUE, name text);
      CREATE TABLE orders (id int PRIMARY KEY, sku text DEFAULT 's0' REFERENCES products (sku) ON UPDATE ${rule});
      CREATE TABLE boxes (id int PRIMARY KEY, product int REFERENCES products ON UPDATE CASCADE);
      INSERT INTO products SELECT i, 's' || i, 'p' || i FROM generate_series(0, 9) i; INSERT INTO orders SELECT i, 's' || i % 3 FROM generate_series(1, 12) i; INSERT INTO boxes SELECT i, i FROM generate_series(1, 9) i;
      CREATE SCHEMA base; CREATE TABLE base.products AS SELECT * FROM products; CREATE TABLE base.orders AS SELECT * FROM orders; CREATE TABLE base.boxes AS SELECT * FROM boxes;
      DELETE FROM orders; UPDATE products SET sku = 'x' || id, name = name || '!' WHERE id < 3; INSERT INTO orders SELECT i, 'x' || i % 3 FROM generate_series(1, 12) i`)
    live = await readCatalog(client, {excludeSchemas: ['base', 'dr_*']})
  }
  const request = (names: string[], more: Partial<SelectedTable> = {}, mode: MergeRequest['mode'] = 'changed'): MergeRequest => {
    const staged = names.map((name): StagedTable => ({table: {schema: 'public', name}, stage: {schema: 'base', name}, columns: {products: ['id', 'sku', 'name'], orders: ['id', 'sku']}[name] ?? [], key: ['id'], rows: {products: 10, orders: 12}[name] ?? 0}))
    const tables = names.map((name, group) => ({table: {schema: 'public', name}, where: {kind: 'all' as const}, role: 'rows' as const, group, ...(name === 'products' ? more : {})}))
    return {live, backup: live, staged, selection: {tables}, mode, undoSchema: 'dr_undo_test', lockTimeoutMs: 2000, sample: 1, timestampColumns: []}
  }
  const options = {signal: new AbortController().signal}
  const rows = async () => JSON.stringify(await rowsOf(client, `SELECT 'p', id, sku, name FROM products UNION ALL SELECT 'o', id, sku, NULL FROM orders UNION ALL SELECT 'b', id, product::text, NULL FROM boxes ORDER BY 1, 2`))

  for (const rule of ['CASCADE', 'SET NULL', 'SET DEFAULT']) {
    it(`is refused beforehand, with the rows that would go along: ON UPDATE ${rule}`, async () => {
      await make(rule)
      const before = await rows()
      expect((await compareSelection(client, request(['products']))).keyChanges).to.deep.equal([{foreignKey: 'orders_sku_fkey', rule: rule.toLowerCase(), table: {schema: 'public', name: 'orders'}, references: {schema: 'public', name: 'products'}, columns: ['sku'], rows: 12}])
      const error = await drErrorOf(mergeSelection(client, request(['products']), options))
      expect(error).to.include({code: 'partial.key-change', exitCode: 3})
      expect(error.message).to.equal(`12 rows of public.orders name rows of public.products by sku, which would change: the server would change them, too (orders_sku_fkey, ON UPDATE ${rule}).`)
      expect(error.hints.join('\n')).to.include('--table public.orders').and.include('--columns')
      expect(await rows()).to.equal(before)
    })
  }

  it('comes back where those are put back with it, and is taken back with them', async () => {
    await make('CASCADE')
    const before = await rows()
    expect((await compareSelection(client, request(['products', 'orders']))).keyChanges).to.equal(undefined)
    const {tables} = await mergeSelection(client, request(['products', 'orders']), options)
    expect(tables.map(({name, updated}) => [name, updated])).to.deep.equal([['products', 3], ['orders', 12]])
    expect(await rowsOf(client, '(TABLE products EXCEPT TABLE base.products) UNION ALL (SELECT id, sku, NULL FROM (TABLE orders EXCEPT TABLE base.orders) o)')).to.deep.equal([])
    await client.query(`INSERT INTO orders VALUES (100, 's1')`)
    expect(await drErrorOf(revertMerge(client, 'dr_undo_test', {...options, lockTimeoutMs: 1000}))).to.include({code: 'partial.changed-since', exitCode: 3})
    await client.query('DELETE FROM orders WHERE id = 100')
    await revertMerge(client, 'dr_undo_test', {...options, lockTimeoutMs: 1000})
    expect(await rows()).to.equal(before)
  })

  it('stands in nobody’s way where it stays as it is, or nobody names it', async () => {
    await make('CASCADE')
    await mergeSelection(client, request(['products'], {columns: ['name']}), options)
    expect(await rowsOf(client, `SELECT FROM products JOIN base.products b USING (id, name)`)).to.have.lengthOf(10)
    await client.query('DROP SCHEMA dr_undo_test CASCADE; DELETE FROM orders')
    expect((await mergeSelection(client, request(['products'], {}, 'exact'), options)).tables[0]).to.include({updated: 3})
  })
})
