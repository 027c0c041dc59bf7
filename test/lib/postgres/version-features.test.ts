import {expect} from 'chai'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {readArchiveFile, type Archive} from '../../../src/lib/postgres/archive.ts'
import {withClient} from '../../../src/lib/postgres/connection.ts'
import {listText, restoreLists} from '../../../src/lib/postgres/restore-lists.ts'
import {restoreArguments, tryRestore} from '../../../src/lib/postgres/restore.ts'
import {featuresBeyond, FEATURES} from '../../../src/lib/postgres/version-features.ts'
import {runTool} from '../../../src/lib/system/tool.ts'
import {serverMajors, testCluster, type ServerMajor} from '../../support/cluster.ts'
import {allTools} from '../../support/restore.ts'

/** What makes an archive need each feature; from is the server that it is made on. */
const SAMPLES: Record<string, {from: ServerMajor; sql: string; also?: string[]}> = {
  'virtual-columns': {from: 18, sql: 'CREATE TABLE t (a int, b int GENERATED ALWAYS AS ((a + (2 * a))) VIRTUAL, c int GENERATED ALWAYS AS (a * 3) STORED)'},
  'without-overlaps': {from: 18, sql: 'CREATE EXTENSION btree_gist; CREATE TABLE t (a int, v tsrange, PRIMARY KEY (a, v WITHOUT OVERLAPS))'},
  period: {from: 18, sql: 'CREATE EXTENSION btree_gist; CREATE TABLE t (a int, v tsrange, PRIMARY KEY (a, v WITHOUT OVERLAPS)); CREATE TABLE u (a int, v tsrange, FOREIGN KEY (a, PERIOD v) REFERENCES t (a, PERIOD v))', also: ['without-overlaps']},
  'not-null-constraints': {from: 18, sql: 'CREATE TABLE t (a int, b int); ALTER TABLE t ADD CONSTRAINT b_there NOT NULL b NO INHERIT'},
  'not-enforced': {from: 18, sql: 'CREATE TABLE t (a int CHECK (a > 0) NOT ENFORCED)'},
  uuidv7: {from: 18, sql: 'CREATE TABLE t (id uuid DEFAULT uuidv7())'},
  maintain: {from: 17, sql: 'CREATE TABLE t (a int); GRANT SELECT, MAINTAIN ON t TO pg_monitor'},
  'builtin-collations': {from: 17, sql: "CREATE COLLATION c (provider = builtin, locale = 'C.UTF-8')"},
  'json-table': {from: 17, sql: "CREATE VIEW v AS SELECT JSON_VALUE('{\"a\": 1}'::jsonb, '$.a') AS a"},
  'json-constructors': {from: 16, sql: "CREATE VIEW v AS SELECT '1' IS JSON AS yes"},
  'collation-rules': {from: 16, sql: "CREATE COLLATION c (provider = icu, locale = 'und', rules = '&a < g')"},
  'subscription-options': {from: 15, sql: "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 password=x dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE)"},
  'nulls-not-distinct': {from: 15, sql: 'CREATE TABLE t (a int UNIQUE NULLS NOT DISTINCT, b int); CREATE UNIQUE INDEX ON t (b) NULLS NOT DISTINCT'},
  'security-invoker': {from: 15, sql: 'CREATE VIEW v WITH (security_invoker) AS SELECT 1 AS one'},
  'set-null-columns': {from: 15, sql: 'CREATE TABLE t (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE u (a int, b int, FOREIGN KEY (a, b) REFERENCES t ON DELETE SET NULL (b))'},
  'publication-filters': {from: 15, sql: 'CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE t WHERE (a > 1)'},
  multiranges: {from: 15, sql: 'CREATE TYPE r AS RANGE (subtype = numeric)'},
  'column-compression': {from: 15, sql: 'CREATE TABLE t (a text COMPRESSION pglz)'},
  'sql-bodies': {from: 15, sql: 'CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1; CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 2; END'},
}
/** Nothing in it is new, though its words are. */
const INNOCENT = `CREATE TABLE "NULLS NOT DISTINCT" (a text DEFAULT 'NULLS NOT DISTINCT WITHOUT OVERLAPS' CHECK (a <> 'NOT ENFORCED'), b int NOT NULL, c int GENERATED ALWAYS AS (b * 2) STORED, d int GENERATED ALWAYS AS IDENTITY);
  CREATE INDEX ON "NULLS NOT DISTINCT" ((a || 'NULLS NOT DISTINCT')); CREATE FUNCTION uuidv7() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid() -- MAINTAIN'; CREATE TABLE own (id uuid DEFAULT public.uuidv7());
  COMMENT ON TABLE own IS 'JSON_VALUE( GENERATED ALWAYS AS (1)'; CREATE VIEW v AS SELECT a AS "JSON_TABLE(" FROM "NULLS NOT DISTINCT"`

describe('what older servers do not know', function () {
  this.timeout(120_000)
  let directory = ''
  before(async () => { directory = await mkdtemp(join(tmpdir(), 'dr-features-')) })
  after(() => rm(directory, {recursive: true, force: true}))

  /** An archive of a database with these objects and no other. */
  async function archiveOf(name: string, major: ServerMajor, sql: string): Promise<{archive: Archive; path: string}> {
    const cluster = await testCluster({major})
    const url = await cluster.createDatabase('featured')
    const path = join(directory, name)
    try {
      await withClient(url, {}, (client) => client.query(sql))
      const [tools] = await allTools()
      const {code, stderr} = await runTool([tools?.pgDump ?? '', '--format=directory', `--file=${path}`, url])
      expect(code, stderr.join('\n')).to.equal(0)
    } finally {
      if (sql.startsWith('CREATE SUBSCRIPTION')) await withClient(url, {}, (client) => client.query('DROP SUBSCRIPTION s'))
      await cluster.drop('featured')
    }
    return {archive: await readArchiveFile(join(path, 'toc.dat')), path}
  }

  /** The entries that this server refuses. */
  async function refusals({archive, path}: {archive: Archive; path: string}, serverMajor: ServerMajor): Promise<string[]> {
    const cluster = await testCluster({major: serverMajor})
    const url = await cluster.createDatabase('featured_older')
    const [tools] = await allTools()
    if (tools === undefined) throw new Error('no tools')
    try {
      const {dropped} = restoreLists(archive, {serverMajor})
      await writeFile(join(directory, 'all.list'), listText(archive.entries.filter((entry) => !dropped.includes(entry))))
      const argv = restoreArguments(tools, {url: () => url}, {directory: path, list: join(directory, 'all.list'), database: 'featured_older'})
      const {problems, complete, error} = await tryRestore(argv, {archive, tools, serverMajor, env: {}, signal: new AbortController().signal})
      expect(error === undefined).to.equal(problems.length === 0)
      expect(complete).to.equal(true)
      return problems.map(({entry}) => entry ?? '?')
    } finally {
      await cluster.drop('featured_older')
    }
  }

  it('is known for every feature of the table', () => {
    expect(Object.keys(SAMPLES).toSorted()).to.deep.equal(FEATURES.map(({id}) => id).toSorted())
  })

  for (const {id, since} of FEATURES) {
    const {from, sql, also = []} = SAMPLES[id] ?? {from: 18, sql: ''}
    const older = serverMajors.filter((major) => major < since).at(-1)
    it(`finds ${id} before ${since}${older === undefined ? '' : `, and PostgreSQL ${older} refuses it`}`, async () => {
      const made = await archiveOf(id, from, sql)
      const found = featuresBeyond(made.archive, since - 1)
      expect(found.map(({feature}) => feature.id).toSorted()).to.deep.equal([id, ...also].toSorted())
      expect(featuresBeyond(made.archive, since).map(({feature}) => feature.id)).to.deep.equal([])
      if (older === undefined) return
      const refused = await refusals(made, older)
      const named = found.flatMap(({entries}) => entries)
      expect(named.filter((entry) => refused.includes(entry)), `refused: ${refused.join(', ')}`).to.deep.equal(named)
    })
  }

  it('is not found in names, strings, bodies and comments', async () => {
    for (const major of [15, 18] as const) {
      const made = await archiveOf(`innocent-${major}`, major, INNOCENT)
      expect(featuresBeyond(made.archive, 13)).to.deep.equal([])
      expect(await refusals(made, 15)).to.deep.equal([])
    }
  })
})
