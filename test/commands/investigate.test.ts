import {expect} from 'chai'
import {readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'
import type {InvestigateResult} from '../../src/commands/investigate.ts'
import {withClient} from '../../src/lib/postgres/connection.ts'
import {testCluster, type TestCluster} from '../support/cluster.ts'
import {dr} from '../support/dr.ts'
import {surroundings} from './surroundings.ts'

describe('dr investigate', function () {
  this.timeout(120_000)
  const place = surroundings()
  let cluster: TestCluster
  let url = ''
  const sql = (text: string) => withClient(url, {}, (client) => client.query(text))
  const investigate = (...args: string[]) => dr<InvestigateResult>('investigate', ...args)

  before(async () => {
    cluster = await testCluster()
    url = await cluster.createDatabase('looked')
    process.env.DATABASE_URL = url
    await sql(`CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text, status text, "updatedAt" timestamp(3));
      INSERT INTO leads SELECT i, 't' || i % 2, 's' || i % 3, timestamp '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 2000) i; UPDATE leads SET status = 'lost'`)
  })
  after(() => cluster.drop('looked'))

  it('prints what it found on stdout, and writes it for the incident', async () => {
    const {stdout, stderr, exitCode, result} = await investigate('--output', 'incident.md')
    expect(exitCode, stderr).to.equal(0)
    expect(stdout).to.match(/^1\. leads: 2,000 rows overwritten by transaction \d+ \(possible\)\n/).and.include('Timeline (UTC)').and.include('The audit log is not read: there is no table audit_logs')
    expect(stderr).to.match(/Reads 1 of 1 tables whole, about .*--preserve switches that off first\./)
    const file = join(place.path, 'incident.md')
    expect(result?.output).to.equal(file)
    expect(await readFile(file, 'utf8')).to.include('# What happened to looked').and.include(result?.run ?? '')
    expect((await stat(file)).mode & 0o777).to.equal(0o600)
    expect((await investigate('--output', 'incident.md')).error).to.include({code: 'investigate.file-exists', exitCode: 3})
  })

  it('gives it as one JSON document', async () => {
    const {stdout, exitCode} = await investigate('--table', 'leads', '--json')
    const document = JSON.parse(stdout) as InvestigateResult
    expect([exitCode, document.investigation?.damages[0]?.kind, document.investigation?.tables[0]?.writers?.[0]?.rows, document.preserved]).to.deep.equal([0, 'overwritten', 2000, []])
  })

  it('preserves and releases', async () => {
    expect((await investigate('--table', 'leads', '--preserve')).result?.preserved).to.deep.equal([{schema: 'public', name: 'leads'}])
    const {result, stderr} = await investigate('--release')
    expect(result?.released.map(({name, outcome}) => [name, outcome])).to.deep.equal([['leads', 'released']])
    expect(stderr).to.include('leads: as it was')
  })

  it('ends with 7 when a place of backups could not be looked at', async () => {
    place.withBucket(true)
    process.env.AWS_ENDPOINT_URL_S3 = 'http://127.0.0.1:1'
    try {
      const {exitCode, stdout} = await investigate('--table', 'leads')
      expect([exitCode, stdout.includes('The backups at s3://backups/dr could not be looked at')]).to.deep.equal([7, true])
    } finally {
      place.withBucket(false)
    }
  })

  const wrong: [string[], string][] = [
    [['--preserve'], '--preserve needs to know the tables.'],
    [['--release', '--tenant', 't1'], '--release only gives tables their autovacuum back'],
    [['--tenant', ''], '--tenant names no tenant.'],
    [['--since', 'yesterday'], '--since is "yesterday"'],
    [['--table', 'laeds'], 'There is no table laeds'],
  ]
  for (const [args, message] of wrong) {
    it(`refuses ${args.join(' ')}`, async () => {
      const {exitCode, stderr} = await investigate(...args)
      expect(exitCode).to.equal(2)
      expect(stderr).to.include(message)
    })
  }
})
