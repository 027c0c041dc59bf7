import {expect} from 'chai'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {PartialResult} from '../../src/commands/partial.ts'
import type {RevertedResult} from '../../src/lib/cli/undo.ts'
import {connect, endQuietly, rowOf, rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {Killing} from '../support/killing.ts'
import {until} from '../support/until.ts'

describe('dr partial', function () {
  this.timeout(240_000)
  const dr = new Killing('partial_command')
  const live = <T>(work: Parameters<typeof withClient<T>>[2]) => withClient(dr.env.DATABASE_URL ?? '', {}, work)
  const count = () => live((client) => rowOf<{leads: number; calls: number}>(client, 'SELECT (SELECT count(*) FROM leads)::int AS leads, (SELECT count(*) FROM calls)::int AS calls'))
  const schemas = () => live(async (client) => (await rowsOf<{name: string}>(client, "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'dr\\_%' ORDER BY 1")).map(({name}) => name))

  before(() => dr.open())
  after(() => dr.close())
  afterEach(() => dr.clear())
  beforeEach(() => live((client) => client.query('DELETE FROM leads WHERE id % 10 = 0')))
  afterEach(() => live(async (client) => {
    for (const name of await schemas()) await client.query(`DROP SCHEMA ${client.escapeIdentifier(name)} CASCADE`)
    await client.query('INSERT INTO leads SELECT i, md5(i::text) FROM generate_series(1, 30000) i ON CONFLICT DO NOTHING')
  }))

  const here = <T>(...args: string[]) => dr.here<T>(...args)

  it('puts rows back, and dr undo takes them away again', async () => {
    const {exitCode, stdout, stderr} = await here('partial', '--table', 'leads', '--merge', 'missing', '--yes', '--json')
    expect(exitCode, stderr).to.equal(0)
    const result = JSON.parse(stdout) as PartialResult
    expect(result).to.deep.include({database: 'partial_command', merge: 'missing', nothing: null, staged: []}).and.have.nested.property('source.label', dr.label)
    expect(result.merged?.tables).to.deep.equal([{schema: 'public', name: 'leads', inserted: 3000, updated: 0, deleted: 0}])
    expect(await count()).to.deep.equal({leads: 30_000, calls: 30_000})
    expect(result.since).to.deep.equal({limit: 1000, tables: [{schema: 'public', name: 'leads', timeColumn: null, total: 0, listed: 0, rows: []}]})

    const undone = await here('undo', result.run, '--yes', '--json')
    expect(undone.exitCode, undone.stderr).to.equal(0)
    expect(JSON.parse(undone.stdout) as RevertedResult).to.deep.include({database: 'partial_command', undone: result.run, tables: [{schema: 'public', name: 'leads', restored: 0, removed: 3000}]})
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
    expect((await here('undo', result.run, '--yes')).exitCode).to.equal(3)
  })

  it('is taken back by dr undo alone, but not when a row was changed since: then it is named, and nothing is done', async () => {
    expect((await here('partial', '--table', 'leads', '--merge', 'missing', '--yes')).exitCode).to.equal(0)
    await live((client) => client.query("UPDATE leads SET note = 'mine' WHERE id = 20"))
    const refused = await here('undo', '--yes')
    expect(refused.exitCode).to.equal(3)
    expect(refused.stderr).to.match(/leads.*20/)
    expect(await count()).to.deep.equal({leads: 30_000, calls: 30_000})
    await live((client) => client.query("UPDATE leads SET note = md5('20') WHERE id = 20"))
    expect((await here('undo', '--yes')).exitCode).to.equal(0)
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
  })

  it('is not gone back behind by a second dr undo without a name; one of an unknown name lists what there is', async () => {
    const runs: string[] = []
    for (const id of [10, 20]) {
      const {exitCode, stdout, stderr} = await here('partial', '--table', 'leads', '--where', `id = ${id}`, '--merge', 'missing', '--yes', '--json')
      expect(exitCode, stderr).to.equal(0)
      runs.push((JSON.parse(stdout) as PartialResult).run)
      // The age of a merge is told in seconds.
      const began = Math.floor(Date.now() / 1000)
      await until(() => Promise.resolve(Math.floor(Date.now() / 1000) > began), 10_000)
    }
    const unknown = await here('undo', '20261122T101942Z-partial-2827', '--yes')
    expect(unknown.exitCode, unknown.stderr).to.equal(3)
    for (const run of runs) expect(unknown.stderr).to.contain(`dr undo ${run} takes back --merge missing`)
    expect((await here('undo', '--yes')).exitCode).to.equal(0)
    const again = await here('undo', '--yes')
    expect(again.exitCode, again.stderr).to.equal(2)
    expect(again.stderr).to.contain(`dr undo ${runs[0] ?? ''}`)
    expect(await count()).to.deep.equal({leads: 27_001, calls: 30_000})
    expect((await here('undo', runs[0] ?? '', '--yes')).exitCode).to.equal(0)
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
  })

  it('leaves tables beside, which dr restore clean-up drops', async () => {
    const {exitCode, stdout, stderr} = await here('partial', '--table', 'public.leads', '--merge', 'side')
    expect(exitCode, stderr).to.equal(0)
    const [schema = ''] = await schemas()
    expect(stdout.split('\n')).to.include(`${schema}.leads`)
    expect(stderr).to.contain('dr restore clean-up')
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
    expect((await here('restore', 'clean-up', '--yes')).stderr).to.contain('younger than the limit')
    expect(await schemas()).to.deep.equal([schema])
    const cleaned = await here('restore', 'clean-up', '--older-than', '0s', '--yes')
    expect(cleaned.exitCode, cleaned.stderr).to.equal(0)
    expect(cleaned.stdout.trim()).to.equal(schema)
    expect(await schemas()).to.deep.equal([])
  })

  it('refuses a confirmation for another database, a password in --from and what is nothing, before it connects', async () => {
    for (const [args, word] of [
      [['--table', 'leads', '--merge', 'missing', '--confirm', 'other'], '--confirm names other'], [['--table', 'leads', '--merge', 'exact', '--yes'], '--yes is not enough'],
      [['--table', 'leads', '--merge', 'missing', '--yes', '--from', 'postgres://u:hush@h/d'], '--from holds a password'], [['--merge', 'missing', '--yes'], 'Nothing is selected'],
      [['--table', 'leads', '--merge', 'missing', '--columns', 'note', '--yes'], '--merge missing does not go with --columns'], [['--table', 'leads', '--watch', '1m', '--merge', 'missing', '--yes'], 'no check of a feature'],
      [['--table', 'leads', '--merge', 'missing', '--yes', '--from', 'env:DR_TEST_NOTHING'], 'is not set'], [['--table', 'leads'], 'has to be said where it cannot be asked'],
      [['--table', 'leads', '--merge', 'missing'], 'This needs a confirmation.'], [['--table', 'leads', '--merge', 'missing', '--yes', '--environment', 'production', '--from', dr.label], 'There is no backup'],
    ] as const) {
      const {exitCode, stderr} = await here('partial', ...args)
      expect(exitCode, stderr).to.be.oneOf([2, 3])
      expect(stderr.replaceAll(/\s+/g, ' ')).to.contain(word).and.not.to.contain('hush')
    }
    const {env} = dr
    dr.env = {...env, DATABASE_URL: env.DATABASE_URL?.replace('partial_command', 'other')}
    const other = await here('partial', '--table', 'leads', '--merge', 'missing', '--yes').finally(() => { dr.env = env })
    expect([other.exitCode, other.stderr.replaceAll(/\s+/g, ' ')]).to.satisfy(([exitCode, stderr]: [number, string]) => exitCode === 3 && stderr.includes('There is no backup of the database other') && stderr.includes(`--from ${dr.label}`))
    expect(dr.journal()).not.to.contain('hush')
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
  })

  it('looks at the features, and watches them: what is wrong ends with 4, what cannot be looked at with 7', async () => {
    const config = join(dr.home, 'features.yaml')
    const withCheck = async (sql: string, ...args: string[]) => {
      writeFileSync(config, `checks:\n  features: [{name: leads, sql: "${sql}", tables: [leads]}]\n`)
      return here<PartialResult>('partial', '--config', config, '--table', 'leads', '--merge', 'missing', '--yes', '--json', ...args)
    }
    const bad = await withCheck("SELECT id FROM leads WHERE id = 10")
    expect({exitCode: bad.exitCode, found: (JSON.parse(bad.stdout) as PartialResult).features[0]?.found}).to.deep.equal({exitCode: 4, found: '1 row is wrong, the first: id=10'})
    await live((client) => client.query('DELETE FROM leads WHERE id % 10 = 0'))
    expect((await withCheck('SELECT nonsense')).exitCode).to.equal(7)
    await live((client) => client.query('DELETE FROM leads WHERE id % 10 = 0'))
    const watched = await withCheck('SELECT id FROM leads WHERE id < 0', '--watch', '500ms')
    expect(watched.exitCode, watched.stderr).to.equal(0)
    expect((JSON.parse(watched.stdout) as PartialResult).watched.map(({features}) => features.map(({outcome}) => outcome))).to.deep.equal([['good']])
  })

  /** Kills the process when its journal says that the step has begun; `held` keeps the step from its end. */
  async function killed(step: string, hold: () => Promise<string>, ...args: string[]): Promise<string> {
    const one = dr.start('partial', '--table', 'leads', '--merge', 'missing', '--yes', ...args)
    const holder = await connect(dr.env.DATABASE_URL ?? '')
    await holder.query(`BEGIN; ${await hold()}`)
    await dr.hasBegun(step)
    one.child.kill('SIGKILL')
    await one.ended
    await endQuietly(holder)
    await dr.noSessions()
    await until(() => live(async (client) => (await rowsOf(client, "SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr partial %'")).length === 0), 60_000)
    return dr.lastRun()
  }

  const staged = async (): Promise<string> => {
    await dr.hasBegun('partial.compare')
    return `LOCK TABLE ${(await schemas())[0] ?? ''}.leads IN ACCESS SHARE MODE`
  }

  for (const knows of [true, false]) {
    it(`never merges twice: a killed run goes on behind its merge, ${knows ? 'which its journal knows' : 'which its journal does not know'}`, async () => {
      const run = await killed('partial.stage-drop', staged)
      const path = join(dr.home, 'data', 'journal', `${run}.jsonl`)
      if (!knows) {
        const text = readFileSync(path, 'utf8')
        writeFileSync(path, text.slice(0, text.indexOf('\n', text.indexOf('"event":"started","step":"partial.merge"')) + 1))
      }
      // Rightful work of others since: a second merge would bring the row back.
      await live((client) => client.query('DELETE FROM leads WHERE id = 20'))
      expect((await dr.listed()).map(({run: name, continues, undoes}) => ({name, continues, undoes}))).to.deep.equal([{name: run, continues: 'goes on from what it finds: puts the rows back, or proves a merge that has happened', undoes: true}])
      const {code, stderr, stdout} = await dr.run('resume', run, '--yes', '--json')
      expect(code, stderr).to.equal(0)
      expect((JSON.parse(stdout) as PartialResult).merge).to.equal('missing')
      expect(await count()).to.deep.equal({leads: 29_999, calls: 30_000})
      expect((await schemas()).map((name) => name.slice(0, 8))).to.deep.equal(['dr_undo_'])
      expect(await dr.listed()).to.deep.equal([])
    })
  }

  it('takes the rows away again when a killed run is undone', async () => {
    const run = await killed('partial.stage-drop', staged)
    expect(await count()).to.deep.equal({leads: 30_000, calls: 30_000})
    const unasked = await dr.run('resume', run, '--undo')
    expect(unasked.code, unasked.stderr).to.equal(2)
    expect(await count()).to.deep.equal({leads: 30_000, calls: 30_000})
    const {code, stderr} = await dr.run('resume', run, '--undo', '--yes')
    expect(code, stderr).to.equal(0)
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
    expect(await schemas()).to.deep.equal([])
    expect(await dr.others()).to.deep.equal([])
  })

  it('is listed with the databases that it had made beside, and leaves none when it is undone', async () => {
    const run = await killed('partial.mirror', () => Promise.resolve('LOCK TABLE leads IN ACCESS EXCLUSIVE MODE'), '--stage', 'database')
    const [listed] = await dr.listed()
    expect(listed?.left).to.have.length(2)
    expect(listed?.left.join('\n')).to.match(/^database dr_unfinished_\d+_scratch, with the schema of the backup\ndatabase partial_command_stage_\S+, with rows of the backup and of partial_command$/)
    expect(await dr.others()).to.have.length(2)
    const {exitCode, stderr} = await here('resume', run, '--undo', '--yes')
    expect(exitCode, stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal([])
  })

  it('leaves the rows in a database beside, and names it', async () => {
    const {exitCode, stderr, stdout} = await here('partial', '--table', 'leads', '--merge', 'side', '--stage', 'database', '--json')
    expect(exitCode, stderr).to.equal(0)
    const {stageDatabase, staged: tables} = JSON.parse(stdout) as PartialResult
    expect(await dr.others()).to.deep.equal([stageDatabase])
    expect(tables.map(({table, rows}) => [table.name, rows])).to.deep.include(['leads', 30_000])
    const cleaned = await here('restore', 'clean-up', '--older-than', '0s', '--yes', '--json')
    expect(cleaned.exitCode, cleaned.stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal([])
  })

  it('begins anew when it was killed before, or in, the transaction', async () => {
    const run = await killed('partial.merge', () => Promise.resolve('SELECT FROM leads WHERE id = 1 FOR UPDATE'))
    expect(await count()).to.deep.equal({leads: 27_000, calls: 30_000})
    const {code, stderr, stdout} = await dr.run('resume', run, '--yes', '--json')
    expect(code, stderr).to.equal(0)
    expect((JSON.parse(stdout) as PartialResult).merged?.tables).to.deep.equal([{schema: 'public', name: 'leads', inserted: 3000, updated: 0, deleted: 0}])
    expect(await count()).to.deep.equal({leads: 30_000, calls: 30_000})
    expect((await schemas()).map((name) => name.slice(0, 8))).to.deep.equal(['dr_undo_'])
  })
})
