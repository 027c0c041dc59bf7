import {expect} from 'chai'
import {join} from 'node:path'
import type {PartialResult} from '../../src/lib/cli/partial-result.ts'
import {marksOf} from '../../src/lib/rds/tags.ts'
import {removeFolder, temporaryFolder} from '../support/backup.ts'
import {dr, type DrResult} from '../support/dr.ts'
import {rdsCredentials} from '../support/rds-server.ts'
import {until} from '../support/until.ts'
import {RecoveryFixture} from '../support/recovery.ts'

describe('dr partial --from pitr:TIME', function () {
  this.timeout(240_000)
  const rds = new RecoveryFixture()
  let home: string
  let instant: Date
  const kept = {...process.env}
  const statuses = () => rds.sql(async (client) => (await client.query<{id: number; status: string; title: string}>('SELECT id, status, title FROM leads ORDER BY id')).rows)
  const copies = () => [...rds.aws.server.region.instances.keys()].filter((name) => name !== 'crm')
  const asked = () => rds.aws.server.requests.filter(({action, refused}) => action === 'RestoreDBInstanceToPointInTime' && refused === undefined).length
  const repair = <T = PartialResult>(...args: string[]): Promise<DrResult<T>> => dr<T>('partial', '--table', 'leads', '--columns', 'status', '--from', `pitr:${instant.toISOString()}`, '--no-input', ...args)

  before(async () => {
    home = await temporaryFolder('partial-copy')
    await rds.open()
    for (const name of Object.keys(process.env)) if (/^(DR_|AWS_|DATABASE_URL)/.test(name)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, {
      DATABASE_URL: rds.aws.url(rds.source), DR_RDS_ENDPOINT: rds.aws.server.endpoint, DR_RDS_INSTANCE: 'crm', AWS_REGION: 'us-east-1', DR_RDS_POLL_SECONDS: '0.05', DR_RDS_SIDE_SECURITY_GROUPS: 'sg-operator', DR_RDS_SIDE_CLASS: 'db.t4g.small',
      AWS_ACCESS_KEY_ID: rdsCredentials.accessKeyId, AWS_SECRET_ACCESS_KEY: rdsCredentials.secretAccessKey, DR_ENVIRONMENT: 'staging', DR_DATA_DIR: join(home, 'data'), DR_CONFIG_DIR: join(home, 'config'),
    })
    await rds.sql(async (client) => {
      await client.query(`CREATE TABLE leads (id int PRIMARY KEY, status text NOT NULL, title text NOT NULL, "updatedAt" timestamptz NOT NULL DEFAULT now())`)
      await client.query(`INSERT INTO leads SELECT n, (ARRAY['new', 'won', 'open'])[1 + n % 3], 'lead ' || n FROM generate_series(1, 500) AS n`)
    })
    instant = await rds.archived()
    await rds.sql(async (client) => {
      await client.query(`UPDATE leads SET status = 'lost', "updatedAt" = now()`)
      await client.query(`UPDATE leads SET title = 'edited since' WHERE id <= 20; INSERT INTO leads VALUES (501, 'new', 'inserted since')`)
    })
    await rds.archived()
  })
  after(async () => {
    for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, kept)
    await rds.close()
    await removeFolder(home)
  })

  it('shows with --plan what is asked of AWS, and asks for nothing', async () => {
    const {exitCode, stdout, stderr} = await repair('--merge', 'changed', '--plan')
    expect(exitCode, stderr).to.equal(0)
    expect(stdout).to.contain('restore-db-instance-to-point-in-time').and.contain('sg-operator').and.contain('dr pitr cleanup')
    expect(asked()).to.equal(0)
  })

  it('refuses a time without a zone, and one outside the window, before anything is asked', async () => {
    for (const from of ['pitr:2026-11-22 14:00', 'pitr:']) expect((await dr('partial', '--table', 'leads', '--merge', 'changed', '--from', from, '--no-input')).exitCode, from).to.equal(2)
    const early = await dr('partial', '--table', 'leads', '--merge', 'changed', '--yes', '--from', 'pitr:2020-01-01T00:00:00Z', '--no-input', '--json')
    expect(early.exitCode, early.stderr).to.equal(3)
    expect(early.stdout).to.contain('pitr.window')
    expect(asked()).to.equal(0)
  })

  it('keeps the copy when the repair goes no further, and uses it again', async () => {
    const {exitCode, stderr} = await repair('--merge', 'changed')
    expect(exitCode, stderr).to.equal(2)
    expect(asked(), 'the gates are checked before the first step').to.equal(0)
    const side = await repair('--merge', 'side', '--yes', '--keep-copy', '--json')
    expect(side.exitCode, side.stderr).to.equal(0)
    const [name = ''] = copies()
    const copy = rds.aws.server.region.find(name)
    expect(copy.settings).to.include({DBInstanceClass: 'db.t4g.small', DeletionProtection: false})
    expect(copy.settings.VpcSecurityGroupIds).to.deep.equal(['sg-operator'])
    expect(marksOf({TagList: copy.settings.TagList.map(({Key, Value}) => ({Key, Value}))})).to.include({purpose: 'side', source: 'crm', restoredTo: instant.toISOString()})
    expect(asked()).to.equal(1)
  })

  it('puts back what the accident changed, keeps what was written since, and leaves a copy that another run made', async () => {
    const {exitCode, stdout, stderr} = await repair('--merge', 'changed', '--yes', '--json')
    expect(exitCode, stderr + stdout).to.equal(0)
    const result = JSON.parse(stdout) as PartialResult
    expect(asked(), 'the copy of before was used').to.equal(1)
    expect(result.source).to.include({kind: 'database', at: instant.toISOString()})
    expect(result.merged?.tables.map(({name, updated}) => ({name, updated}))).to.deep.equal([{name: 'leads', updated: 500}])
    const rows = await statuses()
    expect(rows.filter(({id}) => id <= 500).every(({id, status}) => status === ['new', 'won', 'open'][id % 3])).to.equal(true)
    expect(rows.filter(({title}) => title === 'edited since').length).to.equal(20)
    expect(rows.at(-1)).to.include({id: 501, status: 'new', title: 'inserted since'})
    expect(copies()).to.have.length(1)
    expect(rds.aws.server.requests.some(({action}) => action === 'DeleteDBInstance')).to.equal(false)
  })

  it('removes the copy that it had made itself', async () => {
    for (const name of copies()) await rds.remove(name)
    const {exitCode, stderr} = await repair('--merge', 'side', '--yes')
    expect(exitCode, stderr).to.equal(0)
    expect(asked()).to.equal(2)
    await until(() => copies().every((name) => rds.aws.server.region.find(name).status === 'deleting'), 30_000)
    const deletion = rds.aws.server.requests.findLast(({action}) => action === 'DeleteDBInstance')
    expect(deletion?.body).to.contain('DeleteAutomatedBackups=false')
  })

  it('can be taken back', async () => {
    const {exitCode, stderr} = await dr('undo', '--yes', '--no-input')
    expect(exitCode, stderr).to.equal(0)
    expect((await statuses()).filter(({status}) => status === 'lost').length).to.equal(500)
  })

  it('keeps the rows that came back when AWS does not remove the copy, and says how that is done', async () => {
    rds.aws.server.faults.add({match: {action: 'DeleteDBInstance'}, times: 1000, action: {code: 'AccessDenied'}})
    try {
      const {exitCode, stderr} = await repair('--merge', 'changed', '--yes')
      expect(exitCode, stderr).to.equal(0)
      expect((await statuses()).filter(({status}) => status === 'lost').length).to.equal(0)
      const [name = ''] = copies().filter((one) => rds.aws.server.region.find(one).status === 'available')
      expect(stderr.replaceAll(/\s+/g, ' ')).to.contain(`${name} could not be removed`).and.to.contain(`dr pitr cleanup ${name}`)
    } finally {
      rds.aws.server.faults.clear()
    }
  })
})
