import {expect} from 'chai'
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {newLabel} from '../../src/lib/repository/label.ts'
import type {ListResult} from '../../src/commands/list.ts'
import {serializeManifest, type Manifest} from '../../src/lib/repository/manifest.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {dr} from '../support/dr.ts'
import {sampleManifest} from '../support/manifest.ts'
import {surroundings} from './surroundings.ts'

describe('the command dr list', () => {
  const here = surroundings()
  const local = () => new LocalStorage(join(here.path, 'data/backups'))

  async function put(storage: Storage, minutesAgo: number, environment: string, changes: Partial<Manifest> = {}): Promise<string> {
    const at = new Date(Date.now() - minutesAgo * 60_000)
    const label = newLabel(at, 'abcd')
    await storage.put(`${environment}/${label}/manifest.json`, serializeManifest(sampleManifest({label, environment, createdAt: at.toISOString(), ...changes})))
    return label
  }

  it('says in words that there is nothing, with the next command', async () => {
    const {stdout, stderr, exitCode, result} = await dr<ListResult>('list')
    expect(exitCode).to.equal(0)
    expect(stdout).to.equal('There are no backups of development yet.\n  Hint: dr backup --environment development\n')
    expect(stderr).to.equal('')
    expect(result).to.deep.include({backups: [], breached: true, newestGoodAgeSeconds: null})
  })

  it('fails with 5 when a configured folder is not there', async () => {
    process.env.DR_LOCAL_DIRECTORY = join(here.path, 'not mounted')
    try {
      const {stdout, stderr, exitCode} = await dr('list')
      expect(exitCode).to.equal(5)
      expect(stdout).to.equal('')
      expect(stderr).to.include('not mounted does not exist')
    } finally {
      delete process.env.DR_LOCAL_DIRECTORY
    }
  })

  it('shows a row for each backup, under both of its old names too', async () => {
    here.withBucket(true)
    const older = await put(local(), 200, 'production')
    const newer = await put(local(), 130, 'production')
    await put(here.s3.storage({prefix: 'dr'}), 130, 'production')
    for (const name of [['list'], ['restore', 'list'], ['restore:list']]) {
      const {stdout, stderr, exitCode} = await dr(...name, '-e', 'production')
      expect(exitCode, stderr).to.equal(0)
      const [head, first, second, empty, objective, hint] = stdout.split('\n')
      expect(head).to.match(/^LABEL +AGE +SIZE +TABLES +ROWS +LEVEL +WHERE$/)
      expect(first).to.match(new RegExp(`^${newer} +2 h ! +1\\.0 MB +2 +12 +stored +local, s3$`))
      expect(second).to.match(new RegExp(`^${older} +3 h +1\\.0 MB +2 +12 +stored +local$`))
      expect(empty).to.equal('')
      expect(objective).to.match(/^Newest good backup of production: 2 h 10 min old, RPO 1 h: breached\.$/)
      expect(hint).to.equal('  Hint: dr backup --environment production')
    }
  })

  it('is one document with --json, the same as its result', async () => {
    const {stdout, result, exitCode} = await dr<ListResult>('list', '-e', 'production', '--json', '--limit', '1')
    expect(exitCode).to.equal(0)
    expect(JSON.parse(stdout)).to.deep.equal(result)
    expect(result).to.include({environment: 'production', breached: true, more: 1})
    expect(result?.objective).to.deep.equal({rpoSeconds: 3600})
    expect(result?.newestGoodAgeSeconds).to.be.within(130 * 60, 132 * 60)
    expect(result?.backups).to.have.length(1)
  })

  it('tells how many there are more, filters by level, and shows every environment', async () => {
    expect((await dr('list', '-e', 'production', '--limit', '1')).stdout).to.include('1 older one was not looked at: --limit 0 shows all.\n')
    expect((await dr<ListResult>('list', '-e', 'production', '--level', 'drilled', '--level', 'suspect')).result?.backups).to.deep.equal([])
    await put(local(), 1, 'staging')
    const {stdout} = await dr('list', '--all')
    expect(stdout).to.match(/^LABEL +ENVIRONMENT +AGE/)
    expect(stdout).to.match(/staging: 1 min( \d+ s)? old, RPO 1 d: met\./)
    expect(stdout).to.include('There are no backups of development yet.')
  })

  it('lists what it reached, names what it did not, and fails with 5', async () => {
    const endpoint = process.env.AWS_ENDPOINT_URL_S3
    process.env.AWS_ENDPOINT_URL_S3 = 'http://127.0.0.1:9'
    try {
      const {stdout, stderr, exitCode} = await dr('list', '-e', 'production')
      expect(exitCode).to.equal(5)
      expect(stdout.match(/^\d{8}T/gm)).to.have.length(2)
      expect(stderr).to.match(/^Error: s3:\/\/backups\/dr is not in this list: .*refused the connection.*\n {2}Hint: /m)
      const json = await dr<ListResult>('list', '-e', 'production', '--json')
      expect(json.exitCode).to.equal(5)
      expect(JSON.parse(json.stdout)).to.deep.equal(json.result)
      expect(json.result?.unreachable.map(({location, code}) => [location, code])).to.deep.equal([['s3://backups/dr', 'storage.unreachable']])
      const alone = await dr('list', '--s3', '-e', 'production', '--json')
      expect(alone.exitCode).to.equal(5)
      expect(JSON.parse(alone.stdout)).to.have.nested.property('error.code', 'storage.unreachable')
    } finally {
      process.env.AWS_ENDPOINT_URL_S3 = endpoint
    }
  })

  it('shows the old scripts’ dumps with their kind, and the reason of what cannot be read', async () => {
    await here.s3.storage({prefix: ''}).put('backups/production_20250101_020000.sql.gz', Buffer.concat([Buffer.from('PGDMP'), Buffer.from([1, 14, 0, 4, 8, 1]), Buffer.alloc(100)]))
    const broken = newLabel(new Date(Date.now() - 60_000), 'ffff')
    await mkdir(join(here.path, 'data/backups/production', broken), {recursive: true})
    await writeFile(join(here.path, 'data/backups/production', broken, 'manifest.json'), '{')
    const {stdout} = await dr('list', '-e', 'production')
    expect(stdout).to.match(/^Dumps that dr did not make, in s3:\/\/backups\nNAME +AGE +SIZE +KIND\nbackups\/production_20250101_020000\.sql\.gz +\d s +111 B +custom$/m)
    expect(stdout).to.match(new RegExp(`^${broken} +\\d min +unreadable +local$`, 'm'))
    expect(stdout).to.match(new RegExp(`^${broken} \\(local\\): .*manifest\\.json is not JSON\\.$`, 'm'))
  })

  it('fails with 2 for a level or a limit that there is not', async () => {
    expect((await dr('list', '--level', 'good')).exitCode).to.equal(2)
    expect((await dr('list', '--limit', '-1')).exitCode).to.equal(2)
  })
})
