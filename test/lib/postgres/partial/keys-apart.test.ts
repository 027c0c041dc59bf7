import {expect} from 'chai'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {readCatalog} from '../../../../src/lib/postgres/partial/catalog.ts'
import {inOneStep, validateKey} from '../../../../src/lib/postgres/partial/keys-apart.ts'
import {testCluster} from '../../../support/cluster.ts'
import {table} from '../../../support/partial.ts'

describe('a foreign key that is added NOT VALID and then validated', function () {
  this.timeout(120_000)

  for (const [major, inOne] of [[17, ['pages', 'parts']], [18, []]] as const) {
    it(`is ${major < 18 ? 'not of a partitioned table' : 'of any table, and no part of it for a partition is left behind'} (${major})`, async () => {
      const cluster = await testCluster({major})
      const url = await cluster.createDatabase('keys_apart')
      await withClient(url, {}, async (client) => {
        await client.query(`CREATE TABLE whole (id int PRIMARY KEY); CREATE TABLE pages (id int PRIMARY KEY, whole int) PARTITION BY RANGE (id); CREATE TABLE pages_1 PARTITION OF pages FOR VALUES FROM (0) TO (10); CREATE TABLE parts (id int, page int) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
          CREATE TABLE words (page int, whole int); INSERT INTO whole VALUES (1); INSERT INTO pages VALUES (1, 1); INSERT INTO parts VALUES (1, 1); INSERT INTO words VALUES (1, 1)`)
        const partitioned = (await inOneStep(client, ['whole', 'pages', 'pages_1', 'parts', 'words'].map((name) => table(name)))).map(({name}) => name)
        expect(partitioned).to.have.members(inOne)
        for (const [name, child, column, parent] of [['a', 'words', 'whole', 'whole'], ['b', 'pages_1', 'whole', 'whole'], ['c', 'words', 'page', 'pages'], ['d', 'parts', 'page', 'pages'], ['e', 'parts', 'id', 'whole']] as const) {
          if ([child, parent].some((one) => partitioned.includes(one))) continue
          await client.query(`ALTER TABLE ${child} ADD CONSTRAINT ${name} FOREIGN KEY (${column}) REFERENCES ${parent} NOT VALID`)
        }
        const {foreignKeys} = await readCatalog(client, {excludeSchemas: []})
        expect(foreignKeys).to.have.length(major < 18 ? 2 : 5)
        for (const key of foreignKeys) expect(await validateKey(client, key)).to.equal(undefined)
        expect(await rowsOf(client, "SELECT conname, conrelid::regclass FROM pg_constraint WHERE contype = 'f' AND NOT convalidated")).to.deep.equal([])
      })
      await cluster.drop('keys_apart')
    })
  }
})
