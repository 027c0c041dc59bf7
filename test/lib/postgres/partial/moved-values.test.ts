import {expect} from 'chai'
import {rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {Catalog, Comparison, MergeMode, MergeRequest, MergeResult} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {partialFixture, running} from '../../../support/partial-fixture.ts'
import {catalogOf, requestOf, table, tableSelection} from '../../../support/partial.ts'
import {drErrorOf} from '../../../support/rejection.ts'

/** Each has its rows of the backup in `base`. */
const TABLES: Record<string, string> = {
  places: 'CREATE TABLE places (id int PRIMARY KEY, pos int NOT NULL UNIQUE CHECK (pos > 0)); INSERT INTO places SELECT g, g FROM generate_series(1, 10) g',
  queue: 'CREATE TABLE queue (id int PRIMARY KEY, list text, pos smallint, UNIQUE (list, pos)); INSERT INTO queue SELECT g, (ARRAY[\'a\', \'b\'])[1 + g % 2], g / 2 FROM generate_series(1, 10) g',
  codes: 'CREATE TABLE codes (id int PRIMARY KEY, code varchar(40) NOT NULL UNIQUE, ref uuid NOT NULL UNIQUE); INSERT INTO codes SELECT g, \'c\' || g, md5(g::text)::uuid FROM generate_series(1, 5) g',
  shown: 'CREATE TABLE shown (id int PRIMARY KEY, pos int NOT NULL, gone boolean NOT NULL DEFAULT false); CREATE UNIQUE INDEX shown_pos ON shown (pos) WHERE NOT gone; INSERT INTO shown SELECT g, g FROM generate_series(1, 5) g',
  mails: 'CREATE TABLE mails (id int PRIMARY KEY, email text); CREATE UNIQUE INDEX mails_lower ON mails (lower(email)); INSERT INTO mails SELECT g, \'user\' || g || \'@secret.example\' FROM generate_series(1, 5) g',
  days: 'CREATE TABLE days (id int PRIMARY KEY, day date NOT NULL UNIQUE); INSERT INTO days SELECT g, date \'2026-01-01\' + g FROM generate_series(1, 5) g',
  few: 'CREATE TABLE few (id int PRIMARY KEY, pos int NOT NULL UNIQUE CHECK (pos <= 5)); INSERT INTO few SELECT g, g FROM generate_series(1, 5) g',
  late: 'CREATE TABLE late (id int PRIMARY KEY, day date NOT NULL UNIQUE DEFERRABLE); INSERT INTO late SELECT g, date \'2026-01-01\' + g FROM generate_series(1, 5) g',
  spans: 'CREATE TABLE spans (id int PRIMARY KEY, span int4range, EXCLUDE USING gist (span WITH &&)); INSERT INTO spans SELECT g, int4range(g * 10, g * 10 + 10) FROM generate_series(1, 5) g',
  checked: 'CREATE TABLE checked (id int PRIMARY KEY, amount int); INSERT INTO checked VALUES (1, 5)',
  owners: 'CREATE TABLE owners (id int PRIMARY KEY, name text); INSERT INTO owners SELECT g, \'o\' FROM generate_series(1, 5) g',
  owned: 'CREATE TABLE owned (id int PRIMARY KEY, owner int); INSERT INTO owned SELECT g, g FROM generate_series(1, 5) g',
}

describe('unique values that moved between rows', function () {
  this.timeout(300_000)
  const fixture = partialFixture('partial_moved')
  let live: Catalog

  beforeEach(async () => {
    for (const [name, sql] of Object.entries(TABLES)) await fixture.client.query(`DROP TABLE IF EXISTS ${name}, base.${name} CASCADE; ${sql}; CREATE TABLE base.${name} AS SELECT * FROM ${name}`)
  })

  async function requestFor(name: string, mode: MergeMode, more: Partial<MergeRequest> = {}): Promise<MergeRequest> {
    live = await catalogOf(fixture.client)
    const columns = live.tables.find((one) => one.name === name)?.columns.map((column) => column.name) ?? []
    return requestOf(live, {tables: [tableSelection(name)]}, mode, {staged: [{table: table(name), stage: {schema: 'base', name}, columns, key: ['id'], rows: (await rows(name, 'base')).length}], ...more})
  }
  const rows = (name: string, schema = 'public') => rowsOf(fixture.client, `SELECT * FROM ${schema}.${name} ORDER BY id`)
  const merge = async (name: string, mode: MergeMode, more: Partial<MergeRequest> = {}): Promise<MergeResult> => {
    const request = await requestFor(name, mode, more)
    return mergeSelection(fixture.client, request, {...running, expected: await compareSelection(fixture.client, request)})
  }
  const conflictsOf = async (name: string, mode: MergeMode): Promise<Comparison['tables'][number]['conflicts'] | undefined> => (await compareSelection(fixture.client, await requestFor(name, mode))).tables[0]?.conflicts

  for (const [what, name, harm] of [
    ['all up by one', 'places', 'UPDATE places SET pos = pos + 100; UPDATE places SET pos = pos - 99'],
    ['all down by one', 'places', 'DELETE FROM places WHERE id = 1; UPDATE places SET pos = pos + 100; UPDATE places SET pos = pos - 101'],
    ['to and fro', 'places', 'UPDATE places SET pos = 100 WHERE id = 1; UPDATE places SET pos = 1 WHERE id = 2; UPDATE places SET pos = 2 WHERE id = 1'],
    ['to a row that is new', 'places', 'UPDATE places SET pos = 100 WHERE id = 1; INSERT INTO places VALUES (11, 1)'],
    ['in a circle, with rows lost and new', 'places', 'DELETE FROM places WHERE id = 5; UPDATE places SET pos = pos + 100; UPDATE places SET pos = 1 + (pos - 100) % 10; INSERT INTO places VALUES (11, 11)'],
    ['within their list, where it can be none', 'queue', 'UPDATE queue SET pos = -pos; UPDATE queue SET pos = (2 - pos) % 6'],
    ['of texts and UUIDs', 'codes', `UPDATE codes SET code = 'x' || id, ref = md5('x' || id)::uuid; UPDATE codes SET code = 'c' || (6 - id), ref = md5((1 + id % 5)::text)::uuid`],
    ['of a part of the rows', 'shown', 'UPDATE shown SET gone = true WHERE id = 5; UPDATE shown SET pos = -pos WHERE NOT gone; UPDATE shown SET pos = 5 + pos WHERE NOT gone'],
    ['of a deferrable key', 'late', `UPDATE late SET day = date '2026-01-01' + 6 - id`],
  ] as const) {
    for (const mode of ['changed', 'exact'] as const) {
      it(`are put back, and can be taken back: ${what}, ${mode}`, async () => {
        // The first statement sets the rows aside.
        for (const statement of harm.split('; ')) await fixture.client.query(statement)
        const damaged = await rows(name)
        expect(damaged).to.not.deep.equal(await rows(name, 'base'))
        if (what === 'to a row that is new' && mode === 'changed') {
          expect(await conflictsOf(name, mode)).to.deep.equal([{key: {id: '1'}, index: 'places_pos_key', holder: {id: '11'}}])
          return
        }
        await merge(name, mode)
        if (mode === 'exact') expect(await rows(name)).to.deep.equal(await rows(name, 'base'))
        else expect(await rows(name)).to.deep.include.members(await rows(name, 'base'))
        await fixture.undo()
        expect(await rows(name)).to.deep.equal(damaged)
      })
    }
  }

  for (const [what, name, harm] of [
    ['no type that has a free value', 'days', `UPDATE days SET day = day + 100; UPDATE days SET day = date '2026-01-01' + 6 - id`],
    ['a check that lets no free value in', 'few', 'DELETE FROM few WHERE id = 3; UPDATE few SET pos = 3 WHERE id = 1; UPDATE few SET pos = 1 WHERE id = 2; UPDATE few SET pos = 2 WHERE id = 1'],
  ] as const) {
    it(`are conflicts, row by row, before anything is written, where there is ${what}`, async () => {
      for (const statement of harm.split('; ')) await fixture.client.query(statement)
      const damaged = await rows(name)
      const conflicts = await conflictsOf(name, 'changed')
      expect(conflicts).to.deep.include({key: {id: '1'}, index: `${name}_${name === 'days' ? 'day' : 'pos'}_key`, holder: {id: name === 'days' ? '5' : '2'}})
      const error = await drErrorOf(merge(name, 'changed'))
      expect(error).to.include({code: 'partial.conflict', exitCode: 3})
      expect(error.message).to.include('id 1')
      expect(await rows(name)).to.deep.equal(damaged)
    })
  }

  it('are found where an index of an expression, or of a part of the rows, holds them, with their holder', async () => {
    await fixture.client.query("DELETE FROM mails WHERE id = 3; INSERT INTO mails VALUES (33, 'USER3@secret.example'); DELETE FROM shown WHERE id = 2; INSERT INTO shown VALUES (22, 2, false), (23, 3, true)")
    expect(await conflictsOf('mails', 'missing')).to.deep.equal([{key: {id: '3'}, index: 'mails_lower', holder: {id: '33'}}])
    expect(await conflictsOf('shown', 'missing')).to.deep.equal([{key: {id: '2'}, index: 'shown_pos', holder: {id: '22'}}])
    expect(await conflictsOf('mails', 'exact'), 'the holder goes').to.deep.equal([])
    await merge('mails', 'exact')
    await fixture.undo()
    expect((await drErrorOf(merge('mails', 'missing'))).message).to.include('id 3').and.not.include('secret.example')
  })

  it('of two rows to come are a conflict when an index of an expression lets only one in', async () => {
    await fixture.client.query("UPDATE base.mails SET email = 'USER1@secret.example' WHERE id = 2; DELETE FROM mails WHERE id IN (1, 2)")
    expect(await conflictsOf('mails', 'missing')).to.deep.equal([{key: {id: '1'}, index: 'mails_lower', holder: {id: '2'}}])
  })

  describe('a merge that could not be taken back', () => {
    const refused = async (name: string, mode: MergeMode): Promise<Awaited<ReturnType<typeof drErrorOf>>> => {
      const damaged = await rows(name)
      const error = await drErrorOf(merge(name, mode))
      expect(error).to.include({exitCode: 3})
      expect(await rows(name)).to.deep.equal(damaged)
      expect(await rowsOf(fixture.client, "SELECT FROM pg_namespace WHERE nspname LIKE 'dr_undo%'")).to.deep.equal([])
      return error
    }

    for (const [mode, harm] of [['exact', 'INSERT INTO checked VALUES (2, -5)'], ['changed', 'UPDATE checked SET amount = -5']] as const) {
      it(`is refused: a row bears what a check that is NOT VALID forbids, ${mode}`, async () => {
        await fixture.client.query(`${harm}; ALTER TABLE checked ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID`)
        const error = await refused('checked', mode)
        expect(error).to.include({code: 'partial.irreversible'})
        expect(error.message).to.include('positive')
        await fixture.client.query('ALTER TABLE checked DROP CONSTRAINT positive')
        await merge('checked', mode)
        await fixture.undo()
      })
    }

    it('is refused: rows have lost a parent that a key that is NOT VALID names', async () => {
      await fixture.client.query('DELETE FROM owners WHERE id = 5; UPDATE owned SET owner = 99 WHERE id = 1; ALTER TABLE owned ADD CONSTRAINT owned_owner FOREIGN KEY (owner) REFERENCES owners NOT VALID')
      const child = await refused('owned', 'changed')
      expect(child).to.include({code: 'partial.irreversible'})
      expect(child.message).to.include('owned_owner')
      const parent = await refused('owners', 'missing')
      expect(parent).to.include({code: 'partial.irreversible'})
      expect(parent.message).to.include('1 of public.owned')
    })

    it('is refused: spans that exclude each other were moved', async () => {
      await fixture.client.query("UPDATE spans SET span = int4range(lower(span) + 100, upper(span) + 100); UPDATE spans SET span = int4range(lower(span) - 95, upper(span) - 95)")
      const error = await refused('spans', 'changed')
      expect(error.code).to.be.oneOf(['partial.conflict', 'partial.irreversible'])
      expect([error.message, ...error.hints].join(' ')).to.include('spans_span_excl').and.not.include('[')
    })
  })
})
