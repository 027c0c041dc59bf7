import {expect} from 'chai'
import {existsSync, readdirSync} from 'node:fs'
import {chmod} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {requireServerBinaries} from '../../../../src/lib/sandbox/cluster/binaries.ts'
import {ArchivedCluster} from '../../../../src/lib/sandbox/rds/archived-cluster.ts'
import {removeFolder, temporaryFolder} from '../../../support/backup.ts'
import {guard} from '../../../support/guard.ts'
import {END_ALL} from '../../../support/rds-server.ts'
import {until} from '../../../support/until.ts'

const MAJOR = 17
const root = fileURLToPath(new URL('../../../..', import.meta.url))

/** What the table holds, in one value. */
const digestOf = (one: ArchivedCluster): Promise<string> => withClient(one.cluster.url(), {}, async (client) => (await rowOf<{digest: string}>(client, "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY id)), '') AS digest FROM calls t")).digest)

/** An instant after everything that was done, and before everything that will be. */
async function instant(): Promise<Date> {
  const next = async () => {
    const now = Date.now()
    await until(() => Date.now() > now, 1000)
  }
  await next()
  const found = new Date()
  await next()
  return found
}

describe('an archived cluster', function () {
  this.timeout(120_000)
  const running: ArchivedCluster[] = []
  let home = ''
  let source: ArchivedCluster
  let release = () => {}

  const write = (sql: string) => withClient(source.cluster.url(), {}, (client) => client.query(sql))

  before(async () => {
    home = await temporaryFolder('archived')
    release = guard(END_ALL, home)
    await chmod(home, 0o755)
    const binaries = await requireServerBinaries({directory: `${root}/node_modules/postgres-${MAJOR}/native/bin`, major: MAJOR})
    source = await ArchivedCluster.start({directory: join(home, 'a source'), binaries: {...binaries, source: 'package'}, settings: {shared_buffers: '16MB'}})
    running.push(source)
    await write('CREATE TABLE calls (id int PRIMARY KEY, note text); INSERT INTO calls SELECT i, md5(i::text) FROM generate_series(1, 1000) i')
  })
  after(async () => {
    for (const one of running) await one.stop()
    await removeFolder(home)
    release()
  })

  async function recovered(from: ArchivedCluster, to: Date | undefined): Promise<string> {
    const one = await from.recover({directory: join(home, `copy ${running.length}`), ...(to && {to})})
    running.push(one)
    return digestOf(one)
  }

  it('is recovered as it was at any instant, from the base backup before it', async () => {
    const instants: [Date, string][] = []
    const note = async () => { instants.push([await instant(), await digestOf(source)]) }
    const first = await source.takeBase()
    await note()
    await write("INSERT INTO calls SELECT i, 'rightful' FROM generate_series(1001, 1500) i")
    await note()
    await write("UPDATE calls SET note = 'lost'; DELETE FROM calls WHERE id % 3 = 0")
    await note()
    const second = await source.takeBase()
    await write('TRUNCATE calls')
    await note()
    expect((await source.bases()).map(({at}) => at)).to.deep.equal([first.at, second.at])
    const restorable = await source.flush()
    expect(instants.every(([at]) => at < restorable)).to.equal(true)
    for (const [at, digest] of instants) expect(await recovered(source, at), at.toISOString()).to.equal(digest)
    expect(new Set(instants.map(([, digest]) => digest))).to.have.property('size', 4)
  })

  it('is recovered to the end of what is archived, and a recovered one is archived itself', async () => {
    await write("TRUNCATE calls; INSERT INTO calls VALUES (1, 'latest')")
    const digest = await digestOf(source)
    await source.flush()
    expect(await recovered(source, undefined)).to.equal(digest)
    const copy = running.at(-1)
    if (!copy) throw new Error('There is no copy.')
    await copy.takeBase()
    await withClient(copy.cluster.url(), {}, (client) => client.query("INSERT INTO calls VALUES (2, 'in the copy')"))
    const at = await instant()
    const later = await digestOf(copy)
    await withClient(copy.cluster.url(), {}, (client) => client.query('DROP TABLE calls'))
    await copy.flush()
    expect(await recovered(copy, at)).to.equal(later)
    expect(await digestOf(source), 'the source').to.equal(digest)
  })

  it('is recovered from a copy to its latest, whatever instant the copy itself was recovered to', async () => {
    const at = await instant()
    const copy = await source.recover({directory: join(home, 'a copy'), to: at})
    running.push(copy)
    await copy.takeBase()
    await withClient(copy.cluster.url(), {}, (client) => client.query("CREATE TABLE IF NOT EXISTS calls (id int PRIMARY KEY, note text); INSERT INTO calls VALUES (7000, 'after the copy was made')"))
    await copy.flush()
    expect(await recovered(copy, undefined)).to.equal(await digestOf(copy))
  })

  it('archives nothing while nothing is written, and can be recovered to each instant of that time', async () => {
    await source.flush()
    const before = readdirSync(join(source.directory, 'archive'))
    await instant()
    const restorable = await source.flush()
    expect(restorable.getTime()).to.be.closeTo(Date.now(), 1000)
    expect(readdirSync(join(source.directory, 'archive'))).to.deep.equal(before)
    expect(await recovered(source, restorable)).to.equal(await digestOf(source))
  })

  it('keeps three base backups and the WAL that they need', async () => {
    while ((await source.bases()).length < 3) await source.takeBase()
    const [first, second] = await source.bases()
    const digest = await digestOf(source)
    const files = readdirSync(join(source.directory, 'archive')).toSorted()
    await source.takeBase()
    const bases = await source.bases()
    expect(bases).to.have.length(3)
    expect(bases[0]?.at).to.deep.equal(second?.at)
    expect(existsSync(first?.directory ?? '')).to.equal(false)
    const kept = readdirSync(join(source.directory, 'archive')).toSorted()
    expect(kept).not.to.include(files[0])
    expect(await recovered(source, bases[0]?.at), 'to the oldest instant').to.be.a('string')
    expect(await recovered(source, bases[2]?.at)).to.equal(digest)
    expect(await source.baseIsDue()).to.equal(false)
  })

  it('is not recovered to an instant before its first base backup', async () => {
    const [first] = await source.bases()
    const directory = join(home, 'too early')
    const error = await source.recover({directory, to: new Date((first?.at.getTime() ?? 0) - 1)}).catch((one: unknown) => one)
    expect(error).to.have.property('message').that.contains('no base backup')
    expect(existsSync(directory)).to.equal(false)
  })
})
