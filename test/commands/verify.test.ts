import {expect} from 'chai'
import {cp, readFile, readdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import type {VerifyResult} from '../../src/commands/verify.ts'
import type {Plan} from '../../src/lib/runbook/plan.ts'
import {LocalStorage} from '../../src/lib/repository/storage/local.ts'
import {runBackup} from '../support/backup.ts'
import {dr} from '../support/dr.ts'
import {clientTools} from '../support/tools.ts'
import {sealed} from '../../src/lib/repository/seal.ts'
import {smallDatabase} from '../lib/procedures/verify/verifying.ts'
import {surroundings} from './surroundings.ts'

type Verified = Exclude<VerifyResult, Plan>

describe('the command dr verify', () => {
  const here = surroundings()
  let label = ''
  const folder = () => join(here.path, 'data/backups/development', label)

  before(async () => {
    process.env.DR_PG_BIN = await clientTools(18)
    const url = await smallDatabase('verify_command')
    const {state, error} = await runBackup({url, directory: join(here.path, 'data'), storages: [new LocalStorage(join(here.path, 'data/backups')), here.s3.storage({prefix: 'dr'})], toolsMajor: 18})
    if (error) throw error
    label = state.label ?? ''
    here.withBucket(true)
  })

  it('verifies the newest backup wherever it lies, and prints a verdict for each copy', async () => {
    const {stdout, stderr, exitCode, result} = await dr<Verified>('verify')
    expect(exitCode, stderr).to.equal(0)
    expect(stdout).to.match(new RegExp(`^${label} \\(local\\) verified: full, \\d+ members, [\\d.]+ kB, \\d+\\.\\d s\\n${label} \\(s3\\) verified: full, \\d+ members, [\\d.]+ kB, \\d+\\.\\d s\\n$`))
    expect(stderr).to.include('Read and compare every byte')
    expect(result?.verified.map(({ok, location}) => [ok, location])).to.deep.equal([[true, folder()], [true, `s3://backups/dr/development/${label}`]])
    expect((await dr('list')).stdout).to.match(new RegExp(`^${label} .* verified +local, s3$`, 'm'))
  })

  it('says no more than one line when there is one copy, and says which level', async () => {
    const {stdout} = await dr('verify', label, '--local', '--level', 'quick')
    expect(stdout).to.match(new RegExp(`^${label} checked: quick, \\d+ members, [\\d.]+ kB, \\d+\\.\\d s\\n$`))
    const store = await dr<Verified>('verify', label, '--s3', '--level', 'quick')
    expect(store.result?.verified[0]?.findings.find(({code}) => code === 'verify.stored-sha256')?.message).to.match(/^The store keeps SHA-256 of (\d+) of \1 members/)
  })

  it('is one document with --json, the same as its result', async () => {
    const {stdout, stderr, exitCode, result} = await dr<Verified>('verify', '--json', '--local')
    expect(exitCode).to.equal(0)
    expect(stderr).to.equal('')
    expect(JSON.parse(stdout)).to.deep.equal(result)
    expect(result).to.include({ok: true, level: 'full'})
    expect(result?.verified[0]).to.include.all.keys('label', 'location', 'level', 'ok', 'findings', 'members', 'bytes', 'timings', 'evidence')
  })

  it('takes a path, a file in it, and the address of an object', async () => {
    await cp(folder(), join(here.path, 'copied'), {recursive: true})
    for (const what of ['copied', join(here.path, 'copied'), 'copied/', 'copied/manifest.json', `s3://backups/dr/development/${label}`, `s3://backups/dr/development/${label}/`]) {
      const {exitCode, stderr, result} = await dr<Verified>('verify', what, '--level', 'quick')
      expect(exitCode, `${what}: ${stderr}`).to.equal(0)
      expect(result?.verified[0]?.kind, what).to.equal('backup')
    }
  })

  it('says how far it went with a dump that dr did not make', async () => {
    await writeFile(join(here.path, 'dump.sql.gz'), gzipSync('SET a = 1;\n--\n-- PostgreSQL database dump complete\n--\n\n'))
    const {stdout, exitCode} = await dr('verify', 'dump.sql.gz')
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/^dump\.sql\.gz verified: \d+ B, 0\.\d s; plain SQL dump of one database: gzip decompressed to its end, and it ends as pg_dump ends one; nothing was executed, and there is no manifest to compare with\n$/)
  })

  it('prints the commands to do it by hand, and touches nothing', async () => {
    const before = await readdir(join(folder(), 'evidence'))
    const {stdout, exitCode} = await dr('verify', '--plan')
    expect(exitCode).to.equal(0)
    expect(stdout).to.include('sh recover.sh --check').and.include('pg_restore --list').and.include('aws s3 cp --recursive s3://backups/dr/development/LABEL LABEL')
    expect(await readdir(join(folder(), 'evidence'))).to.deep.equal(before)
    expect((await dr('verify', label, '--plan', '--local', '--level', 'quick')).stdout).to.include(label).and.not.include('aws').and.not.include('gzip')
  })

  it('finds other bytes of the same size in the bucket, quick by what the store keeps, full by reading', async () => {
    const storage = here.s3.storage({prefix: 'dr'})
    const name = (await readdir(folder())).find((one) => one.endsWith('.dat.zst')) ?? ''
    const whole = await readFile(join(folder(), name))
    const key = `development/${label}/${name}`
    await storage.put(key, Buffer.concat([whole.subarray(0, -1), Buffer.from([(whole.at(-1) ?? 0) ^ 0x80])]), {overwrite: true})
    for (const [level, code] of [['quick', 'verify.stored-sha256'], ['full', 'verify.sha256']] as const) {
      const {exitCode, result} = await dr<Verified>('verify', '--s3', '--level', level)
      expect(exitCode).to.equal(4)
      expect(result?.verified[0]?.findings.filter(({severity}) => severity === 'error').map((finding) => [finding.subject, finding.code])).to.deep.equal([[name, code]])
    }
    await storage.put(key, whole, {overwrite: true})
    expect((await dr('verify', '--s3')).exitCode).to.equal(0)
  })

  it('fails with 4 and names what is damaged, in the copy that is damaged', async () => {
    const name = (await readdir(folder())).find((one) => one.endsWith('.dat.zst')) ?? ''
    const whole = await readFile(join(folder(), name))
    whole[whole.length >> 1] = (whole[whole.length >> 1] ?? 0) ^ 1
    await writeFile(join(folder(), name), whole)
    const {stdout, exitCode, result} = await dr<Verified>('verify')
    expect(exitCode).to.equal(4)
    expect(stdout).to.match(new RegExp(`^ERROR {2}${name}: is damaged: its SHA-256 is`, 'm'))
    expect(stdout).to.match(new RegExp(`^${label} \\(local\\) is not good, 1 error: full`, 'm')).and.to.match(new RegExp(`^${label} \\(s3\\) verified`, 'm'))
    expect(result?.ok).to.equal(false)
    const listed = await dr('list')
    expect(listed.stdout).to.match(new RegExp(`^${label} .* suspect, verified +local, s3$`, 'm'))
    expect(listed.stdout).to.include(`${label} (local): a check found damage\n  Hint: dr verify ${label} --local\n`)
  })

  it('fails with 5 when a storage cannot be asked, after it has verified what it could', async () => {
    const endpoint = process.env.AWS_ENDPOINT_URL_S3
    process.env.AWS_ENDPOINT_URL_S3 = 'http://127.0.0.1:9'
    try {
      await cp(join(here.path, 'copied'), join(here.path, 'data/backups/staging', label), {recursive: true})
      const manifest = await readFile(join(here.path, 'copied/manifest.json'), 'utf8')
      await writeFile(join(here.path, 'data/backups/staging', label, 'manifest.json'), sealed(manifest.replace('"environment": "development"', '"environment": "staging"').replace(/,\n {2}"seal".*\n/, '\n')))
      const {stdout, stderr, exitCode} = await dr('verify', '-e', 'staging', '--level', 'quick')
      expect(stdout).to.include(`${label} checked: quick`)
      expect(stderr).to.include('Error: s3://backups/dr was not verified: ')
      expect(exitCode).to.equal(5)
      expect((await dr('verify', '--s3')).exitCode).to.equal(5)
    } finally {
      process.env.AWS_ENDPOINT_URL_S3 = endpoint
    }
  })

  it('fails with 2 for what cannot be meant, and says what is not there', async () => {
    for (const args of [['verify', 'nothing.sql'], ['verify', 's3://backups'], ['verify', label, '--all'], ['verify', 'copied', '--s3'], ['verify', 'copied', '--local'], ['verify', 's3://backups/key', '--local'], ['verify', '--level', 'deep']]) expect((await dr(...args)).exitCode, args.join(' ')).to.equal(2)
    const {exitCode, stderr} = await dr('verify', '20200101T000000Z-0000')
    expect(exitCode).to.equal(3)
    expect(stderr).to.include('does not exist').and.include('dr list --all')
    expect((await dr('verify', 's3://other/key')).exitCode).to.equal(5)
  })
})
