import {expect} from 'chai'
import {join} from 'node:path'
import type {PartialResult} from '../../src/commands/partial.ts'
import type {RevertedResult} from '../../src/lib/cli/undo.ts'
import {connect, endQuietly, rowOf, rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import {runBackup} from '../support/backup.ts'
import {Killing} from '../support/killing.ts'
import {until} from '../support/until.ts'

describe('dr partial of a table that was dropped', function () {
  this.timeout(240_000)
  const dr = new Killing('partial_dropped')
  const here = <T>(...args: string[]) => dr.here<T>(...args)
  const live = <T>(work: Parameters<typeof withClient<T>>[2]) => withClient(dr.env.DATABASE_URL ?? '', {}, work)
  const schemas = () => live(async (client) => (await rowsOf<{name: string}>(client, "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'dr\\_%' ORDER BY 1")).map(({name}) => name))

  before(async () => {
    await dr.open()
    await live((client) => client.query(`
      CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE moods (id int PRIMARY KEY, mood mood); INSERT INTO moods SELECT i, 'bad' FROM generate_series(1, 100) i; CREATE INDEX moods_mood ON moods (mood); CREATE VIEW bad AS SELECT id FROM moods WHERE mood = 'bad';
      CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents SELECT generate_series(1, 100); CREATE TABLE kids (id int PRIMARY KEY, parent int CONSTRAINT kids_parent REFERENCES parents); INSERT INTO kids SELECT i, i FROM generate_series(1, 100) i`))
    const {error} = await runBackup({url: dr.env.DATABASE_URL ?? '', directory: join(dr.home, 'data'), toolsMajor: 17})
    if (error) throw error
  })
  after(() => dr.close())
  afterEach(() => dr.clear())

  it('knows the table that it had made anew when it was killed before its journal did', async () => {
    const things = () => live((client) => rowsOf<{name: string}>(client, "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname IN ('moods', 'moods_pkey', 'moods_mood', 'bad') UNION ALL SELECT typname FROM pg_type WHERE typname = 'mood' ORDER BY 1"))
    const before = await things()
    await live((client) => client.query('DROP TABLE moods CASCADE; DROP TYPE mood'))
    const one = dr.start('partial', '--table', 'moods', '--merge', 'missing', '--yes')
    await until(() => live(async (client) => (await rowsOf(client, "SELECT FROM pg_tables WHERE schemaname LIKE 'dr_stage_%' AND tablename = 'moods'")).length > 0), 60_000)
    // Behind the COMMIT the staged column gets its type again: it waits for this.
    const holder = await connect(dr.env.DATABASE_URL ?? '')
    await holder.query(`BEGIN; LOCK TABLE ${(await schemas())[0] ?? ''}.moods IN ACCESS SHARE MODE`)
    await until(async () => (await schemas()).some((name) => name.startsWith('dr_undo_')), 60_000)
    one.child.kill('SIGKILL')
    await one.ended
    await endQuietly(holder)
    await dr.noSessions()
    expect(dr.journal()).to.include('"event":"started","step":"partial.recreate"').and.not.include('"event":"done","step":"partial.recreate"')
    expect((await things()).map(({name}) => name)).to.deep.equal(['mood', 'moods', 'moods_pkey'])

    const {code, stderr, stdout} = await dr.run('resume', dr.lastRun(), '--yes', '--json')
    expect(code, stderr).to.equal(0)
    expect(await things()).to.deep.equal(before)
    expect(await live((client) => rowOf(client, 'SELECT count(*)::int AS bad FROM bad'))).to.deep.equal({bad: 100})
    const {run} = JSON.parse(stdout) as PartialResult
    const undone = await here('undo', run, '--yes', '--json')
    expect(undone.exitCode, undone.stderr).to.equal(0)
    expect(JSON.parse(undone.stdout) as RevertedResult).to.deep.include({tables: [{schema: 'public', name: 'moods', restored: 0, removed: 100}], dropped: [{schema: 'public', name: 'moods'}]})
    expect(await things()).to.deep.equal([])
    expect(await schemas()).to.deep.equal([])
  })

  it('validates the foreign key that it had added when it was killed', async () => {
    const validated = async () => (await live((client) => rowsOf<{convalidated: boolean}>(client, "SELECT convalidated FROM pg_constraint WHERE conname = 'kids_parent'"))).map(({convalidated}) => convalidated)
    const sessions = (where: string) => live((client) => rowsOf(client, `SELECT FROM pg_stat_activity WHERE ${where}`))
    await live((client) => client.query(`DROP TABLE parents CASCADE; CREATE TABLE held (); INSERT INTO held DEFAULT VALUES;
      CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN WHILE pg_catalog.current_query() LIKE '%VALIDATE%' AND EXISTS (SELECT FROM public.held) LOOP PERFORM pg_catalog.pg_sleep(0.01); END LOOP; END $$; CREATE EVENT TRIGGER hold ON ddl_command_start EXECUTE FUNCTION hold()`))
    const one = dr.start('partial', '--table', 'parents', '--merge', 'missing', '--yes')
    await until(async () => (await sessions("wait_event = 'PgSleep' AND query LIKE '%VALIDATE%'")).length > 0, 60_000)
    one.child.kill('SIGKILL')
    await one.ended
    await live((client) => client.query('DELETE FROM held'))
    await until(async () => (await sessions("application_name LIKE 'dr partial %'")).length === 0, 60_000)
    await live((client) => client.query('DROP EVENT TRIGGER hold'))
    expect(await validated()).to.deep.equal([false])

    const {exitCode, stdout, stderr} = await here('resume', dr.lastRun(), '--yes', '--json')
    expect(exitCode, stderr).to.equal(0)
    expect(await validated()).to.deep.equal([true])
    const undone = await here('undo', (JSON.parse(stdout) as PartialResult).run, '--yes', '--json')
    expect(undone.exitCode, undone.stderr).to.equal(0)
    expect(JSON.parse(undone.stdout) as RevertedResult).to.deep.include({dropped: [{schema: 'public', name: 'parents'}]})
    expect(await validated()).to.deep.equal([])
  })
})
