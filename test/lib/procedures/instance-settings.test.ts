import type {DBInstance} from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {readdirSync, readFileSync} from 'node:fs'
import {appendFile, mkdir, readFile, writeFile} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import {text} from 'node:stream/consumers'
import {unreachableError} from '../../../src/lib/errors.ts'
import {latestInstanceSettings} from '../../../src/lib/procedures/instance-settings/latest.ts'
import {saveInstanceSettings, type SavedSettings, type SaveOptions} from '../../../src/lib/procedures/instance-settings/save.ts'
import {listBackups} from '../../../src/lib/procedures/list.ts'
import {settingsKey} from '../../../src/lib/repository/instance-settings.ts'
import {Repository} from '../../../src/lib/repository/repository.ts'
import {LocalStorage} from '../../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../../src/lib/repository/storage/storage.ts'
import {failing, keysOf} from '../../support/backup.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {s3Fixture} from '../../support/s3-storage.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const signal = new AbortController().signal
const times = {InstanceCreateTime: new Date('2025-01-01T00:00:00.123Z'), LatestRestorableTime: new Date('2026-11-22T01:00:00Z'), AutomaticRestartTime: new Date(0), ResumeFullAutomationModeTime: new Date(1)}
const SOURCE: DBInstance = {
  DBInstanceIdentifier: 'crm-prod', DBInstanceArn: 'arn:aws:rds:us-east-1:123456789012:db:crm-prod', DbiResourceId: 'db-ABC', Engine: 'postgres', DBInstanceClass: 'db.m7g.large', ...times,
  DBParameterGroups: [{DBParameterGroupName: 'crm17', ParameterApplyStatus: 'in-sync'}], VpcSecurityGroups: [{VpcSecurityGroupId: 'sg-1', Status: 'active'}], TagList: [{Key: 'InstanceCreateTime', Value: '2025'}],
  MasterUserSecret: {SecretArn: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1', SecretStatus: 'active'}, CertificateDetails: {CAIdentifier: 'ca', ValidTill: new Date('2030-01-01T00:00:00Z')},
}

describe('the saved settings of an instance', () => {
  const folder = temporaryFolder()
  const s3 = s3Fixture()
  const local = () => new LocalStorage(join(folder.path, 'backups'))
  let minute = 0

  const api = (source: DBInstance | undefined = SOURCE, denied = false): SaveOptions['api'] => ({
    instance: () => Promise.resolve(source),
    parameterGroup: (name) => Promise.resolve({DBParameterGroupName: name, DBParameterGroupFamily: 'postgres17', Description: 'of the CRM'}),
    parametersSet: () => (denied ? Promise.reject(unreachableError('rds.denied', 'AWS denies rds:DescribeDBParameters.')) : Promise.resolve([{ParameterName: 'work_mem', ParameterValue: '65536', ApplyMethod: 'immediate'}])),
    proxyTargets: () => Promise.resolve([{RdsResourceId: 'crm-prod', Port: 5432}]),
  })
  const save = (storages: readonly Storage[], more: Partial<SaveOptions> = {}): Promise<SavedSettings> =>
    saveInstanceSettings({api: api(), storages, instance: 'crm-prod', environment: 'production', by: '0.1.0', now: new Date(Date.UTC(2026, 10, 22, 2, minute++)), ...more}, signal)

  beforeEach(async () => mkdir(join(folder.path, 'backups')))

  it('come back as AWS gave them, from a folder and from a bucket, with times that are times', async () => {
    const storages = [local(), s3.storage()]
    const {saved, label, missing, failures} = await save(storages, {proxy: 'front'})
    expect(saved.map(({location}) => location)).to.deep.equal(storages.map(({location}) => `${location}/instances/crm-prod/${label}/production.json`))
    expect({missing, failures}).to.deep.equal({missing: [], failures: []})
    for (const storage of storages) {
      const latest = await latestInstanceSettings([storage], 'CRM-prod')
      expect(latest?.settings).to.deep.equal(SOURCE)
      expect(latest?.document).to.deep.include({
        instance: 'crm-prod', environment: 'production', by: '0.1.0', missing: [], proxy: {name: 'front', targets: [{RdsResourceId: 'crm-prod', Port: 5432}]},
        parameterGroups: [{name: 'crm17', family: 'postgres17', description: 'of the CRM', parameters: [{ParameterName: 'work_mem', ParameterValue: '65536', ApplyMethod: 'immediate'}]}],
      })
    }
  })

  it('know every time that the SDK has in an instance', () => {
    const models = new URL('../../../node_modules/@aws-sdk/client-rds/dist-types/models/', import.meta.url)
    const types = readdirSync(models).map((name) => readFileSync(new URL(name, models), 'utf8')).join('\n').replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
    const fieldsOf = (type: string): [string, string][] => [...(new RegExp(String.raw`export interface ${type} \{([\s\S]*?)\n\}`).exec(types)?.[1] ?? '').matchAll(/^\s+(\w+)\??: ([\w[\]]+)/gm)].map(([, name = '', of = '']) => [name, of.replace('[]', '')])
    const timesOf = (type: string, seen: readonly string[] = []): string[] => fieldsOf(type).flatMap(([name, of]) => (of === 'Date' ? [name] : seen.includes(of) ? [] : timesOf(of, [...seen, type])))
    const known = readFileSync(new URL('../../../src/lib/procedures/instance-settings/latest.ts', import.meta.url), 'utf8')
    const wanted = [...new Set(timesOf('DBInstance'))]
    expect(wanted).to.include.members(['InstanceCreateTime', 'ValidTill'])
    expect(wanted.filter((name) => !known.includes(`'${name}'`))).to.deep.equal([])
  })

  it('hold no password, whatever AWS says of pending changes', async () => {
    await save([local()], {api: api({...SOURCE, PendingModifiedValues: {MasterUserPassword: 'hunter22', MultiAZ: true}})})
    const [key = ''] = await keysOf(local())
    const content = await text(await local().read(key))
    expect(content).not.to.match(/hunter22|MasterUserPassword/)
    expect((await latestInstanceSettings([local()], 'crm-prod'))?.settings.PendingModifiedValues).to.deep.equal({MultiAZ: true})
  })

  it('name what AWS denies, and are saved without it', async () => {
    const {missing, saved} = await save([local()], {api: api(SOURCE, true)})
    expect(missing).to.deep.equal([{what: 'parameter group crm17', why: 'AWS denies rds:DescribeDBParameters.'}])
    expect(saved).to.have.length(1)
    expect((await latestInstanceSettings([local()], 'crm-prod'))?.document).to.deep.include({missing, parameterGroups: []})
  })

  it('are saved at one destination when the other fails, and at none when the instance is not there', async () => {
    const lost = failing(s3.storage(), () => true)
    const {saved, failures} = await save([lost, local()])
    expect(saved.map(({destination}) => destination)).to.deep.equal([local().location])
    expect(failures).to.deep.equal([{destination: lost.location, code: 'storage.unreachable', message: 'lost'}])
    expect(await drErrorOf(save([lost]))).to.include({code: 'storage.unreachable', exitCode: 5})
    expect(await drErrorOf(save([local()], {api: {...api(), instance: () => Promise.resolve(undefined)}}))).to.include({code: 'rds.no-instance', exitCode: 3})
    expect(await keysOf(local())).to.have.length(1)
  })

  it('are the newest of their environment, or those of a label', async () => {
    const storages = [local(), s3.storage()]
    const first = await save([local()])
    const newest = await save([s3.storage()])
    await save([local()], {environment: 'staging'})
    await save([local()], {instance: 'crm-prod-2', api: api({...SOURCE, DBInstanceIdentifier: 'crm-prod-2'})})
    const of = async (options: object) => (await latestInstanceSettings(storages, 'crm-prod', options))?.label
    expect(await of({environment: 'production'})).to.equal(newest.label)
    expect(await of({label: first.label})).to.equal(first.label)
    expect(await of({environment: 'development'})).to.equal(undefined)
    expect(await latestInstanceSettings(storages, 'crm')).to.equal(undefined)
  })

  it('are passed over when they are damaged, with a word, for the next best', async () => {
    const older = await save([local()])
    const storages = [local(), s3.storage()]
    const newer = await save(storages)
    const path = join(local().location, settingsKey(newer, newer.label))
    await writeFile(path, (await readFile(path, 'utf8')).replace('db.m7g.large', 'db.m7g.micro'))
    const latest = await latestInstanceSettings(storages, 'crm-prod')
    expect(latest).to.deep.include({label: newer.label, settings: SOURCE}).and.have.property('location', newer.saved[1]?.location)
    expect(latest?.passedOver.map(({location}) => location)).to.deep.equal([path])
    expect((await latestInstanceSettings([local()], 'crm-prod'))?.label).to.equal(older.label)
    await appendFile(join(local().location, settingsKey(older, older.label)), ' ')
    expect(await drErrorOf(latestInstanceSettings([local()], 'crm-prod'))).to.include({code: 'instance-settings.invalid', exitCode: 4})
  })

  it('of a newer dr are not taken for something else', async () => {
    const {sealed} = await import('../../../src/lib/repository/seal.ts')
    const path = join(local().location, settingsKey({instance: 'crm-prod', environment: 'production'}, '20261122T020000Z-7f3a'))
    await mkdir(dirname(path), {recursive: true})
    await writeFile(path, sealed('{\n  "schemaVersion": 2\n}\n'))
    expect((await drErrorOf(latestInstanceSettings([local()], 'crm-prod'))).message).to.contain('that this dr can read')
  })

  it('are an error, not nothing, when the place where they may lie cannot be read', async () => {
    const lost = new LocalStorage(join(folder.path, 'not mounted'), {mustExist: true})
    expect((await drErrorOf(latestInstanceSettings([lost, local()], 'crm-prod'))).exitCode).to.equal(5)
    await save([local()])
    expect((await latestInstanceSettings([lost, local()], 'crm-prod'))?.passedOver).to.have.length(1)
  })

  it('are met by no walk of the backups, nor taken for a dump of others', async () => {
    for (const [storage, prefix] of [[local(), ''], [s3.storage({prefix: ''}), '']] as const) {
      await save([storage])
      const repository = new Repository(storage, 'production')
      expect({labels: await repository.labels(), left: await repository.leftBehind()}).to.deep.equal({labels: [], left: {unfinished: [], leases: []}})
      const list = await listBackups({environments: [{environment: 'production', rpoSeconds: 3600, storages: [storage], foreign: [{storage, prefix}]}], limit: 0, unfinished: true, now: new Date(), signal})
      expect(list).to.deep.include({backups: [], unfinished: [], foreign: []})
    }
  })
})
