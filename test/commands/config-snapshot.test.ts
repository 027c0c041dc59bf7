import {expect} from 'chai'
import {existsSync} from 'node:fs'
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {ShownSettings} from '../../src/commands/config/snapshot.ts'
import type {SavedSettings} from '../../src/lib/procedures/instance-settings/save.ts'
import {DEFAULTS} from '../../src/lib/sandbox/rds/settings.ts'
import {dr} from '../support/dr.ts'
import {rdsCredentials, testRds, type TestRds} from '../support/rds-server.ts'
import {surroundings} from './surroundings.ts'

describe('the command dr config snapshot', function () {
  this.timeout(60_000)
  const here = surroundings()
  let aws: TestRds

  before(async () => {
    aws = await testRds()
    aws.server.region.parameterGroups.set('crm17', {work_mem: '65536'})
    aws.server.region.instance('crm-prod', {...DEFAULTS, DBParameterGroupName: 'crm17', TagList: [{Key: 'team', Value: 'crm'}], AssociatedRoles: [{RoleArn: 'arn:s3', FeatureName: 's3Import'}]}, 'available')
    await mkdir(join(here.path, 'data/backups'), {recursive: true})
  })
  after(async () => { await aws.close() })
  beforeEach(() => {
    Object.assign(process.env, {
      DR_RDS_INSTANCE: 'crm-prod', DR_RDS_REGION: 'us-east-1', AWS_ENDPOINT_URL_RDS: aws.server.endpoint, AWS_ACCESS_KEY_ID: rdsCredentials.accessKeyId, AWS_SECRET_ACCESS_KEY: rdsCredentials.secretAccessKey,
    })
  })

  it('saves all of it, says where, and shows it again when the instance is gone', async () => {
    const {stdout, stderr, exitCode, result} = await dr<SavedSettings>('config', 'snapshot', '--local', '-e', 'production')
    expect(exitCode, stderr).to.equal(0)
    const location = join(here.path, 'data/backups/instances/crm-prod', result?.label ?? '', 'production.json')
    expect(stdout).to.equal(`Saved ${location} (read back and hashed)\n`)
    expect(existsSync(location)).to.equal(true)
    process.env.AWS_ENDPOINT_URL_RDS = 'http://127.0.0.1:1'
    const shown = await dr<ShownSettings>('config', 'snapshot', '--show', 'latest', '--local', '-e', 'production')
    expect(shown.exitCode, shown.stderr).to.equal(0)
    expect(shown.stderr).to.equal(`${location}\n`)
    const document = JSON.parse(shown.stdout) as ShownSettings['document']
    expect(document).to.deep.include({instance: 'crm-prod', environment: 'production', missing: []})
    expect(document.settings).to.deep.include({DBInstanceClass: 'db.t4g.micro', TagList: [{Key: 'team', Value: 'crm'}], AssociatedRoles: [{RoleArn: 'arn:s3', FeatureName: 's3Import', Status: 'ACTIVE'}], VpcSecurityGroups: [{VpcSecurityGroupId: 'sg-default', Status: 'active'}]})
    expect(document.settings).to.have.nested.property('DBSubnetGroup.Subnets').with.length(2)
    expect(document.settings).to.have.nested.property('OptionGroupMemberships[0].OptionGroupName', 'default:postgres-17')
    expect(document.parameterGroups[0]).to.deep.include({name: 'crm17', family: 'postgres17'}).and.have.nested.property('parameters[0].ParameterValue', '65536')
    const json = await dr<ShownSettings>('config', 'snapshot', '--show', result?.label ?? '', '--local', '-e', 'production', '--json')
    expect(JSON.parse(json.stdout)).to.deep.equal(json.result)
    expect(json.result).to.deep.include({location, label: result?.label, passedOver: []})
  })

  it('ends with 7 when a part is missing, and names the part', async () => {
    process.env.DR_RDS_PROXY = 'nowhere'
    try {
      const {stdout, stderr, exitCode} = await dr('config', 'snapshot', '--local', '--json')
      expect(exitCode, stderr).to.equal(7)
      const result = JSON.parse(stdout) as SavedSettings
      expect(result.missing.map(({what}) => what)).to.deep.equal(['targets of the proxy nowhere'])
      expect(result.saved).to.have.length(1)
    } finally {
      delete process.env.DR_RDS_PROXY
    }
  })

  it('refuses what names nothing, each with its code', async () => {
    const cases: [string[], string, number][] = [
      [['--source', 'nobody', '--local'], 'rds.no-instance', 3],
      [['--source', '../x', '--local'], 'pitr.target', 2],
      [['--show', 'yesterday'], 'label.malformed', 2],
      [['--show', 'latest', '--source', 'other', '--local'], 'instance-settings.none', 3],
      [['--show', '20261122T020000Z-7f3a', '--local'], 'instance-settings.none', 3],
    ]
    for (const [flags, code, exitCode] of cases) {
      const outcome = await dr('config', 'snapshot', ...flags)
      expect(outcome.error, flags.join(' ')).to.have.property('code', code)
      expect(outcome.exitCode, flags.join(' ')).to.equal(exitCode)
    }
    delete process.env.DR_RDS_INSTANCE
    expect((await dr('config', 'snapshot')).error).to.have.property('code', 'config.rds-instance')
  })

  it('tells of a damaged file that it passes over', async () => {
    const location = join(here.path, 'data/backups/instances/crm-prod/29991122T020000Z-7f3a/production.json')
    await mkdir(join(location, '..'), {recursive: true})
    await writeFile(location, '{}')
    const {stderr, exitCode} = await dr('config', 'snapshot', '--show', 'latest', '--local', '-e', 'production')
    expect(exitCode).to.equal(0)
    expect(stderr).to.contain(`Passed over ${location}: `)
  })
})
