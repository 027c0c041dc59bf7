import {DescribeEventsCommand, RDSClient} from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {realpathSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import type {SandboxStatus} from '../../src/lib/sandbox/sandbox.ts'
import {dr} from '../support/dr.ts'
import {realNetwork} from '../support/s3.ts'
import {temporarySandbox} from '../support/sandbox.ts'

describe('dr sandbox', () => {
  const place = temporarySandbox()
  const former = process.env.DR_DATA_DIR
  beforeEach(() => { process.env.DR_DATA_DIR = place.dataDir })
  afterEach(() => {
    if (former === undefined) delete process.env.DR_DATA_DIR
    else process.env.DR_DATA_DIR = former
  })

  it('starts, shows, hands out the environment, stops, resets', async () => {
    const started = await dr<SandboxStatus>('sandbox', 'start', '--rows', '200', '--tenants', '3')
    expect(started.error).to.equal(undefined)
    expect(started.stderr).to.match(/PostgreSQL \d+ started on port \d+\.\nS3 server on port \d+, bucket dashboarduz-backups\.\nLoading 200 rows [^]*\nRDS server on port \d+, instance dashboarduz on port \d+\./)
    expect(started.stdout).to.include(`Sandbox in ${place.directory}: running`)
    expect(started.result?.database?.present).to.equal(true)

    const status = await dr('sandbox', 'status', '--json')
    expect(JSON.parse(status.stdout)).to.deep.equal(started.result)

    const {stdout} = await dr('sandbox', 'env')
    const shown = execFileSync('/bin/sh', ['-c', `eval "$(cat)"; printf %s "$DATABASE_URL|$DR_ENVIRONMENT|$AWS_S3_BUCKET"`], {input: stdout, encoding: 'utf8', env: {}, cwd: '/'})
    expect(shown).to.match(/^postgresql:\/\/dashboarduz:[^|]+@127\.0\.0\.1:\d+\/dashboarduz\|development\|dashboarduz-backups$/)
    expect((await dr('sandbox', 'env', '--shell', 'fish')).stdout).to.match(/^set -gx DATABASE_URL postgresql:/)
    expect(JSON.parse((await dr('sandbox', 'env', '--json')).stdout)).to.include({AWS_REGION: 'us-east-1'})

    await checkFaults()

    const stopped = await dr<SandboxStatus>('sandbox', 'stop')
    expect(stopped.result?.running).to.equal(false)
    expect((await dr('sandbox', 'status')).stdout).to.match(/not running\n {2}postgres: stopped\n {2}s3: stopped\n {2}rds: stopped\n {2}instance dashboarduz: stopped\n {2}proxy dashboarduz: to dashboarduz\n/)

    const reset = await dr<SandboxStatus>('sandbox', 'reset', '--rows', '100', '--tenants', '2', '--no-rds', '--json')
    expect(reset.result?.database).to.include({rows: 100, present: true})
    expect(reset.stderr).to.equal('')
  }).timeout(40_000)

  async function checkFaults(): Promise<void> {
    const {AWS_ENDPOINT_URL_RDS: endpoint = '', AWS_REGION: region = '', AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = ''} = JSON.parse((await dr('sandbox', 'env', '--json')).stdout) as Record<string, string>
    const blocked = realNetwork()
    const client = new RDSClient({region, endpoint, credentials: {accessKeyId, secretAccessKey}, maxAttempts: 1})
    try {
      expect((await fetch(`${endpoint}/__faults`, {method: 'POST', body: '[]'})).status, 'without the key').to.equal(403)
      expect((await dr('sandbox', 'fault')).stdout).to.equal('Nothing goes wrong.\n')
      expect((await dr('sandbox', 'fault', '--action', 'DescribeEvents', '--code', 'AccessDenied')).stdout).to.equal('DescribeEvents: refused with AccessDenied, 1 time\n')
      const two = await dr('sandbox', 'fault', '--action', 'ModifyDBInstance', '--instance', 'dashboarduz', '--ends-as', 'incompatible-parameters', '--times', '2', '--json')
      expect(JSON.parse(two.stdout)).to.deep.equal([{match: {action: 'DescribeEvents'}, times: 1, action: {code: 'AccessDenied'}}, {match: {action: 'ModifyDBInstance', instance: 'dashboarduz'}, times: 2, action: {endsAs: 'incompatible-parameters'}}])
      expect(await client.send(new DescribeEventsCommand({})).catch((error: unknown) => error)).to.have.property('message').that.includes('user/operator is not authorized to perform: rds:DescribeEvents')
      await client.send(new DescribeEventsCommand({}))
      expect((await dr('sandbox', 'fault')).stdout).to.equal('ModifyDBInstance of dashboarduz: ends as incompatible-parameters, 2 times\n')
      expect((await dr('sandbox', 'fault', '--clear')).stdout).to.equal('Nothing goes wrong.\n')
      for (const wrong of [['--action', 'DropDatabase', '--code', 'X'], ['--action', 'DescribeEvents', '--ends-as', 'failed'], ['--times', '3']]) expect((await dr('sandbox', 'fault', ...wrong)).error, wrong.join(' ')).to.include({code: 'sandbox.fault', exitCode: 2})
    } finally {
      client.destroy()
      blocked()
    }
  }

  it('takes a relative data folder', async () => {
    const home = process.cwd()
    process.chdir(dirname(place.dataDir))
    process.env.DR_DATA_DIR = basename(place.dataDir)
    try {
      const started = await dr<SandboxStatus>('sandbox', 'start', '--rows', '200', '--tenants', '3', '--no-rds')
      expect(started.error).to.equal(undefined)
      expect(started.result).to.include({running: true, directory: join(realpathSync(place.dataDir), 'sandbox')})
      expect((await dr<SandboxStatus>('sandbox', 'stop')).result?.running).to.equal(false)
    } finally {
      process.chdir(home)
    }
  }).timeout(40_000)

  it('says so when there is none', async () => {
    expect((await dr('sandbox', 'status')).stdout).to.include('dr sandbox start')
    expect((await dr('sandbox', 'stop')).stdout).to.include('There is no sandbox')
    const {exitCode, error} = await dr('sandbox', 'env')
    expect((await dr('sandbox', 'fault')).error).to.include({code: 'sandbox.stopped', exitCode: 3})
    expect(exitCode).to.equal(3)
    expect(error?.message).to.equal('The sandbox does not run.')
  })

  it('refuses a number of rows that is none', async () => {
    expect((await dr('sandbox', 'start', '--rows', '0')).exitCode).to.equal(2)
  })
})
