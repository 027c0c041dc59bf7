import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {readdirSync} from 'node:fs'
import {appendFile, copyFile, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {InterruptedError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {createStage, stageSchemas} from '../../../../src/lib/postgres/partial/stage-schema.ts'
import type {StageWish} from '../../../../src/lib/procedures/partial/options.ts'
import type {Storage} from '../../../../src/lib/repository/storage/storage.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {openS3, type S3Fixture} from '../../../support/s3-storage.ts'
import {ALL, ODD, STAGED_SCHEMA} from '../../../support/staged-schema.ts'
import {whole, withStaging, type StagingOutcome, type StagingSetting} from '../../../support/staging.ts'
import {clientTools} from '../../../support/tools.ts'


describe('staging the rows of a backup', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let copy = ''
  let client: Client

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase('staging')
    copy = cluster.url('staging copy')
    await withClient(url, {}, (admin) => admin.query(STAGED_SCHEMA))
    directory = await temporaryFolder('staging')
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
    await cluster.drop('staging copy')
    await withClient(cluster.adminUrl, {}, (admin) => admin.query('CREATE DATABASE "staging copy" TEMPLATE staging'))
    client = await connect(url)
    await client.query("SET row_security = off; DELETE FROM leads WHERE id % 2 = 0 AND NOT EXISTS (SELECT FROM \"Odd \"\"Name\"\" (x)\" WHERE lead = leads.id); DELETE FROM events; UPDATE tenants SET name = 'changed'")
  })
  after(async () => {
    await endQuietly(client)
    await cluster.drop('staging', 'staging copy')
    await removeFolder(directory)
  })
  afterEach('nothing is left', async () => {
    expect(await stageSchemas(client)).to.deep.equal([])
    expect(await rowsOf(client, "SELECT datname FROM pg_database WHERE starts_with(datname, 'dr_unfinished')")).to.deep.equal([])
  })

  const stage = (wish: StageWish, look: (outcome: StagingOutcome) => Promise<void>, more: Partial<StagingSetting> = {}) => withStaging({url, directory, wish, ...more}, look)
  const succeeded = ({error, state}: StagingOutcome) => {
    if (error) throw error
    return state
  }
  /** Whether the staged rows are those of the copy, as which the backup was taken. */
  async function expectRows(outcome: StagingOutcome, names: readonly string[]): Promise<void> {
    const staged = succeeded(outcome).staged ?? []
    expect(staged.map(({table: {name}}) => name)).to.have.members([...names])
    for (const {table, stage: {schema, name}, columns, rows} of staged) {
      const list = columns.map((column) => client.escapeIdentifier(column)).join(', ')
      const digest = (from: string) => `SELECT count(*)::int AS rows, coalesce(sum(hashtextextended(ROW(${list})::text, 0)::numeric), 0)::text AS digest FROM ${from}`
      const then = await withClient(copy, {}, (one) => rowOf<{rows: number; digest: string}>(one, digest(client.escapeIdentifier(table.name))))
      const now = await rowOf<{rows: number; digest: string}>(client, digest(`${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`))
      expect(now, table.name).to.deep.equal(then)
      expect(rows, table.name).to.equal(then.rows)
    }
  }

  it('takes tables of every kind as they were: identity, generated columns, partitions, odd names, no key, no column', async () => {
    await stage(whole(...ALL), async (outcome) => {
      await expectRows(outcome, ALL)
      const {staged = [], stageSchema, source} = outcome.state
      expect(source).to.include({kind: 'backup'}).and.to.have.property('snapshot')
      expect(Object.fromEntries(staged.map(({table: {name}, key}) => [name, key]))).to.deep.equal({tenants: ['id'], leads: ['id'], [ODD]: ['Tenant Id', 'a,b'], events: ['id', 'day'], bare: undefined, nothing: undefined})
      expect(staged.find(({table: {name}}) => name === 'leads')?.columns).to.deep.equal(['id', 'tenantId', 'title', 'status', 'payload', 'raw'])
      const kinds = await rowsOf<{name: string; persistence: string; indexes: number}>(client, `
        SELECT c.relname AS name, c.relpersistence AS persistence, (SELECT count(*)::int FROM pg_index WHERE indrelid = c.oid) AS indexes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1`, [stageSchema])
      expect(new Set(kinds.map(({persistence}) => persistence))).to.deep.equal(new Set(['u']))
      expect(kinds.find(({name}) => name === 'leads')).to.include({indexes: 1})
    })
  })

  it('takes one partition alone', async () => {
    await stage(whole('events_2'), (outcome) => expectRows(outcome, ['events_2']))
  })

  it('takes one tenant, and what refers to its rows', async () => {
    const tenant = {kind: 'equals' as const, column: 'tenantId', value: 't2'}
    const wish: StageWish = {selection: {tables: [
      {table: {schema: 'public', name: 'events'}, where: tenant},
      {table: {schema: 'public', name: ODD}, where: {kind: 'refers', columns: ['lead'], table: {schema: 'public', name: 'leads'}, targets: ['id'], where: tenant}},
    ]}}
    await stage(wish, async ({state: {staged = []}, error}) => {
      if (error) throw error
      expect(Object.fromEntries(staged.map(({table: {name}, rows}) => [name, rows]))).to.deep.equal({events: 75, leads: 100, [ODD]: 13})
    })
  })

  it('takes all rows of a table whose live rows decide', async () => {
    const wish: StageWish = {selection: {tables: [
      {table: {schema: 'public', name: 'leads'}, where: {kind: 'sql', text: "status = 'lost'"}}, {table: {schema: 'public', name: 'events'}, where: {kind: 'written-by', transaction: '1'}},
      {table: {schema: 'public', name: 'tenants'}, where: {kind: 'equals', column: 'id', value: "it's \\ not"}}, {table: {schema: 'public', name: 'tenants'}, where: {kind: 'equals', column: 'id', value: 't1'}},
    ]}}
    await stage(wish, async (outcome) => {
      expect(succeeded(outcome).staged?.map(({table: {name}, rows}) => [name, rows])).to.deep.equal([['leads', 400], ['events', 300], ['tenants', 1]])
    })
  })

  it('says that a type is gone, and takes its values as text where that is safe', async () => {
    await client.query('BEGIN; ALTER TABLE leads ALTER status TYPE text; DROP TYPE status; COMMIT')
    try {
      await stage(whole('leads'), async (outcome) => {
        expect(succeeded(outcome).staged?.[0]?.rows).to.equal(400)
        expect(outcome.seen.join('\n')).to.include('public.leads, column status: its type public.status is not live any more; its values are taken as text.')
      })
      await client.query("ALTER TABLE leads ALTER status TYPE int USING 1")
      await stage(whole('leads'), async ({error}) => { expect(error).to.include({code: 'partial.type-missing', exitCode: 3}) })
    } finally {
      await client.query("CREATE TYPE status AS ENUM ('new', 'lost'); ALTER TABLE leads ALTER status TYPE status USING 'new'")
    }
  })

  it('says that a value does not fit its type any more', async () => {
    await client.query("ALTER TABLE leads ALTER status DROP DEFAULT, ALTER status TYPE text; DROP TYPE status; CREATE TYPE status AS ENUM ('lost', 'won')")
    try {
      await stage(whole('leads'), async ({error}) => {
        expect(error).to.include({code: 'partial.value', exitCode: 3})
        expect(error?.message).to.include('public.leads').and.to.include('invalid input value for enum')
      })
    } finally {
      await client.query("DROP TYPE status; CREATE TYPE status AS ENUM ('new', 'lost'); ALTER TABLE leads ALTER status TYPE status USING 'new'")
    }
  })

  it('leaves nothing when it fails, and proves each member before it is loaded', async () => {
    const broken = await temporaryFolder('staging-broken')
    try {
      const folder = readdirSync(join(directory, 'backups', 'development')).find((name) => /^\d{8}T/.test(name)) ?? ''
      const from = join(directory, 'backups', 'development', folder)
      for (const name of readdirSync(from)) if (name !== 'evidence') await copyFile(join(from, name), join(broken, name))
      const manifest = JSON.parse(await readFile(join(broken, 'manifest.json'), 'utf8')) as {tables: {name: string; dumpId: number}[]}
      const id = manifest.tables.find(({name}) => name === 'other')?.dumpId ?? 0
      await appendFile(join(broken, `${id}.dat.zst`), 'x')
      await stage(whole('tenants', 'other'), async ({error, state}) => {
        expect(error).to.include({code: 'restore.member-damaged', exitCode: 4})
        expect(state).not.to.have.any.keys('stageSchema', 'staged', 'scratch')
      }, {from: broken})
      await stage(whole('tenants'), (outcome) => expectRows(outcome, ['tenants']), {from: broken})
    } finally {
      await removeFolder(broken)
    }
  })

  it('ends with its schema and its database at an abort, in the middle of the rows', async () => {
    const controller = new AbortController()
    await stage(whole('other'), async ({error}) => { expect(error).to.include({code: 'interrupted'}) }, {signal: controller.signal, onProgress: (id) => { if (id === 'partial.stage') controller.abort(new InterruptedError()) }})
  })

  it('sweeps what a killed run has left, and nothing else', async () => {
    await client.query("CREATE SCHEMA dr_stage_mine; COMMENT ON SCHEMA dr_stage_mine IS 'by hand'")
    await createStage(client, '20200101T000000Z-dead01', [])
    await stage(whole('tenants'), async ({seen}) => { expect(seen.join('\n')).to.include('Dropped schema dr_stage_20200101t000000z_dead01') })
    expect(await rowsOf(client, "SELECT nspname FROM pg_namespace WHERE nspname = 'dr_stage_mine'")).to.have.lengthOf(1)
    await client.query('DROP SCHEMA dr_stage_mine')
  })

  it('keeps the rows for hand work when that is wanted', async () => {
    let schema = ''
    await stage(whole('tenants'), async (outcome) => { schema = succeeded(outcome).stageSchema ?? '' }, {keep: true})
    expect(await stageSchemas(client)).to.containSubset([{schema, kept: true}])
    await stage(whole('tenants'), async ({seen}) => { expect(seen.join('\n')).to.include(schema) })
    await client.query(`DROP SCHEMA ${schema} CASCADE`)
  })

  it('is not in a backup', async () => {
    await createStage(client, '20200101T000000Z-back01', [{schema: '', name: 'rows', columns: [{name: 'id', type: 'integer'}]}])
    const {state, error} = await runBackup({url, directory: join(directory, 'second'), toolsMajor: 17})
    if (error) throw error
    const [{schema} = {schema: ''}] = await stageSchemas(client)
    const manifest = await readFile(join(directory, 'second', 'backups', 'development', state.label ?? '', 'manifest.json'), 'utf8')
    expect(manifest).to.include('"leads"').and.not.to.include(schema)
    await client.query(`DROP SCHEMA ${schema} CASCADE`)
  })

  describe('from elsewhere', () => {
    const dump = async (file: string, ...args: string[]) => {
      execFileSync(join(await clientTools(17), 'pg_dump'), [...args, `--file=${file}`, copy])
      return file
    }
    const dumps: Record<string, (file: string) => Promise<string>> = {
      'an archive of the old scripts, custom and gzipped under the name .sql.gz': async (file) => {
        await dump(file, '--format=custom')
        await writeFile(`${file}.sql.gz`, gzipSync(await readFile(file)))
        return `${file}.sql.gz`
      },
      'a tar archive': async (file) => dump(file, '--format=tar'),
      'a directory archive': async (file) => dump(file, '--format=directory'),
      'plain SQL': async (file) => dump(`${file}.sql`, '--format=plain'),
      'a custom archive of INSERT statements': async (file) => dump(file, '--format=custom', '--inserts'),
    }
    for (const [at, [name, make]] of Object.entries(dumps).entries()) {
      it(`takes the same rows from ${name}`, async () => {
        const from = await make(join(directory, `dump-${at}`))
        await stage(whole(...ALL), async (outcome) => {
          await expectRows(outcome, ALL)
          expect(outcome.state.source).to.include({kind: 'dump'}).and.not.to.have.property('at')
          if (name === 'plain SQL') expect(outcome.seen.join('\n')).to.include('all of it is restored into the scratch database')
        }, {from})
      })
    }

    it('takes the same rows from a database that answers, in one instant and without changing it', async () => {
      await stage(whole(...ALL), async (outcome) => {
        await expectRows(outcome, ALL)
        expect(outcome.state.source.label).to.equal(`127.0.0.1:${cluster.port}/staging copy`)
        expect(JSON.stringify(outcome.state)).not.to.include(new URL(url).password)
      }, {from: copy})
    })

    it('refuses the live database as its own source', async () => {
      await stage(whole('tenants'), async ({error}) => { expect(error).to.include({code: 'partial.source-live', exitCode: 2}) }, {from: url})
      await stage(whole('tenants'), async ({error}) => { expect(error).to.include({code: 'partial.source-live', exitCode: 2}) }, {from: url.replace('127.0.0.1', 'localhost')})
    })
  })

  describe('from S3', () => {
    let s3: S3Fixture & {close(): Promise<void>}
    const keys: string[] = []
    /** Notes what is read. */
    const watched = (storage: Storage): Storage => {
      const read = storage.read.bind(storage)
      storage.read = (key, options) => {
        keys.push(key.replace(/^.*\//, ''))
        return read(key, options)
      }
      return storage
    }

    before(async () => { s3 = await openS3() })
    after(async () => { await s3.close() })

    it('fetches the table of contents and the members of the wanted tables, and nothing else', async () => {
      const {state} = await runBackup({url: copy, directory: join(directory, 's3'), storages: [s3.storage()], toolsMajor: 17})
      await stage(whole('events', 'tenants'), async (outcome) => {
        await expectRows(outcome, ['events', 'tenants'])
        const {fetched} = outcome.state
        const read = keys.filter((key) => key !== 'manifest.json')
        expect(read.filter((key) => key === 'toc.dat')).to.have.lengthOf(1)
        expect(read.filter((key) => /^\d+\.dat/.test(key))).to.have.lengthOf(3)
        expect(read).to.have.lengthOf(4)
        expect(fetched).to.include({members: 4})
        expect(fetched?.bytes).to.be.lessThan((fetched?.archiveBytes ?? 0) / 2)
        expect(readdirSync(join(directory, 'staging'))).to.have.lengthOf(1)
      }, {from: state.label ?? '', s3: {bucket: 'backups', storage: (prefix) => watched(s3.storage(prefix === undefined ? {} : {prefix}))}})
      expect(readdirSync(join(directory, 'staging'))).to.deep.equal([])
    })
  })
})
