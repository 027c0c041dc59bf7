import {expect} from 'chai'
import {globSync} from 'node:fs'
import {readFile} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {readArchiveFile} from '../../../../src/lib/postgres/archive.ts'
import {restoreLists} from '../../../../src/lib/postgres/restore-lists.ts'
import {loadUnits} from '../../../../src/lib/procedures/restore/units.ts'
import {parseManifest} from '../../../../src/lib/repository/manifest.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {expectEqual} from '../../../support/equal.ts'
import {runRestore, wrongFindings} from '../../../support/restore.ts'

/** Large enough, compressed, for portions; with what locks the whole table, and what cannot be built before something else is there. */
const SCHEMA = `
  CREATE TABLE leads (id int PRIMARY KEY, code text NOT NULL, "group" int, note text, UNIQUE (code), EXCLUDE USING btree (note WITH =));
  CREATE INDEX leads_group ON leads ("group");
  CREATE INDEX leads_both ON leads ("group", code);
  CREATE INDEX leads_part ON leads (code) WHERE "group" < 10;
  CREATE INDEX leads_lower ON leads (lower(code));
  ALTER INDEX leads_lower ALTER COLUMN 1 SET STATISTICS 400;
  CREATE INDEX leads_order ON leads (code, id);
  CLUSTER leads USING leads_order;
  CREATE UNIQUE INDEX leads_identity ON leads (id, code);
  ALTER TABLE leads REPLICA IDENTITY USING INDEX leads_identity;
  COMMENT ON INDEX leads_group IS 'by group';
  CREATE TABLE calls (id int PRIMARY KEY, lead int REFERENCES leads ON DELETE SET NULL, body text);
  CREATE INDEX calls_lead ON calls (lead);
  CREATE TABLE log (id int, at date NOT NULL, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE log_2 PARTITION OF log DEFAULT;
  CREATE INDEX log_body ON log (body);
  CREATE INDEX log_1_alone ON log_1 (at);
  INSERT INTO leads SELECT i, md5(i::text) || md5((-i)::text), i % 50, i FROM generate_series(1, 40000) i;
  INSERT INTO calls SELECT i, i, md5(i::text) FROM generate_series(1, 20) i;
  INSERT INTO log SELECT i, date '2026-01-01' + i % 60, md5(i::text) || md5((-i)::text) FROM generate_series(1, 80000) i`

describe('indexes that are built while other tables load', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase('builds')
    await withClient(url, {}, (client) => client.query(SCHEMA))
    directory = await temporaryFolder('restore')
    const {error} = await runBackup({url, directory, toolsMajor: 17, digest: true})
    if (error) throw error
  })
  after(async () => {
    await cluster.drop('builds')
    await removeFolder(directory)
  })

  for (const jobs of [1, 2, 4]) {
    it(`make the same database, with ${jobs} at once`, async () => {
      const {state, error} = await runRestore({url, directory, jobs})
      if (error) throw error
      try {
        expect(wrongFindings(state.findings)).to.deep.equal([])
        await expectEqual(cluster, url, cluster.url(state.database))
      } finally {
        await cluster.drop(state.database)
      }
    })
  }

  it('are those of large tables, save what locks the table; partitions wait for their parents', async () => {
    const [manifest = ''] = globSync(join(directory, 'backups/*/*/manifest.json'))
    const folder = dirname(manifest)
    const lists = restoreLists(await readArchiveFile(join(folder, 'toc.dat')), {serverMajor: 17})
    const units = loadUnits(lists, parseManifest(await readFile(manifest, 'utf8')), 2)
    const leads = units.find(({entries}) => entries[0]?.tag === 'leads')
    const tags = (entries: readonly {tag: string}[] = []) => entries.map(({tag}) => tag).toSorted()
    expect(tags(leads?.keys)).to.deep.equal(['leads leads_code_key', 'leads leads_note_excl', 'leads leads_pkey', 'leads_identity', 'leads_order'])
    expect(tags(leads?.indexes.flat())).to.deep.equal(['leads_both', 'leads_group', 'leads_lower', 'leads_part'])
    expect(leads?.indexes.length).to.be.greaterThan(1)
    expect(tags(lists.rest.filter(({kind}) => ['INDEX', 'CONSTRAINT'].includes(kind)))).to.deep.equal(['log log_pkey', 'log_1 log_1_pkey', 'log_1_body_idx', 'log_2 log_2_pkey', 'log_2_body_idx', 'log_body'])
    expect(tags(units.flatMap(({keys, indexes}) => [...keys, ...indexes.flat()]))).to.include.members(['log_1_alone', 'calls calls_pkey', 'calls_lead'])
  })
})
