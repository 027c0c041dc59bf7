import {expect} from 'chai'
import {rowOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'
import {sampleFixture} from './sample.ts'

const MORE = `
  CREATE TABLE owners (id int PRIMARY KEY, name text); INSERT INTO owners SELECT g, 'o' || g FROM generate_series(0, 3) g;
  CREATE TABLE chores (id int PRIMARY KEY, "ownerId" int NOT NULL DEFAULT 0 REFERENCES owners ON DELETE SET DEFAULT, "helperId" int REFERENCES owners ON DELETE SET DEFAULT);
  INSERT INTO chores SELECT g, g % 4, 2 FROM generate_series(1, 12) g;
  CREATE TYPE shade AS ENUM ('none', 'it''s red'); CREATE TABLE shades (shade shade PRIMARY KEY); INSERT INTO shades VALUES ('none'), ('it''s red');
  CREATE TABLE tints (id int PRIMARY KEY, shade shade DEFAULT 'none' REFERENCES shades ON DELETE SET DEFAULT); INSERT INTO tints VALUES (1, 'none'), (2, 'it''s red'), (3, 'it''s red')`

describe('links that ON DELETE SET DEFAULT took away', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_set_default', {rows: 300, tenants: 2, more: MORE})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const links = async () => sample.live((client) => rowOf<{owners: string; helpers: string}>(client, `SELECT string_agg("ownerId"::text, '' ORDER BY id) AS owners, string_agg(coalesce("helperId"::text, '-'), '' ORDER BY id) AS helpers FROM public.chores`))

  beforeEach(async () => {
    await sample.anew()
    await sample.live((client) => client.query('DELETE FROM public.owners WHERE id = 2'))
    expect(await links()).to.deep.equal({owners: '103010301030', helpers: '------------'})
  })

  for (const [what, stage] of [['beside the live tables', 'schema'], ['in a database beside', 'database']] as const) {
    it(`are counted, compared ${what}`, async () => {
      const {error, state} = await run({wish: {tables: ['owners']}, way: 'missing', stage})
      if (error) throw error
      expect(state.comparison?.closure.filter(({kind}) => kind === 'detached').map(({table, columns, rows}) => [table.name, ...columns, rows])).to.deep.equal([['chores', 'helperId', 12], ['chores', 'ownerId', 3]])
      expect(await links()).to.deep.equal({owners: '103010301030', helpers: '------------'})
    })

    it(`are counted by a default of a type of its own, too, compared ${what}`, async () => {
      await sample.live((client) => client.query("DELETE FROM public.shades WHERE shade <> 'none'"))
      const {error, state} = await run({wish: {tables: ['shades']}, way: 'missing', stage})
      if (error) throw error
      expect(state.comparison?.closure.map(({kind, table, columns, rows}) => [kind, table.name, ...columns, rows])).to.deep.equal([['detached', 'tints', 'shade', 2]])
    })

    it(`are put back by --relink, and no other, compared ${what}`, async () => {
      const {error} = await run({wish: {tables: ['owners'], relink: true}, way: 'missing', stage})
      if (error) throw error
      expect(await links()).to.deep.equal({owners: '123012301230', helpers: '222222222222'})
    })
  }
})
