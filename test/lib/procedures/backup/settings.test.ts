import {expect} from 'chai'
import {unreachableError} from '../../../../src/lib/errors.ts'
import {backupProcedure, backupState} from '../../../../src/lib/procedures/backup/index.ts'
import {BackupWork} from '../../../../src/lib/procedures/backup/work.ts'
import type {BackupOptions} from '../../../../src/lib/procedures/backup/options.ts'
import {latestInstanceSettings} from '../../../../src/lib/procedures/instance-settings/latest.ts'
import {saveInstanceSettings, type SaveOptions} from '../../../../src/lib/procedures/instance-settings/save.ts'
import {Repository} from '../../../../src/lib/repository/repository.ts'
import {failing, keysOf, localRepository, removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {smallDatabase} from '../verify/verifying.ts'

describe('dr backup of a database on RDS', function () {
  this.timeout(60_000)
  let url = ''
  let directory = ''

  const api: SaveOptions['api'] = {
    instance: () => Promise.resolve({DBInstanceIdentifier: 'crm', DBInstanceClass: 'db.m7g.large', DBParameterGroups: [{DBParameterGroupName: 'crm17'}]}),
    parameterGroup: () => Promise.resolve({DBParameterGroupFamily: 'postgres17'}), parametersSet: () => Promise.reject(unreachableError('rds.denied', 'AWS denies it.')), proxyTargets: () => Promise.resolve([]),
  }
  const instance: NonNullable<BackupOptions['instance']> = {id: 'crm', save: (storages, signal) => saveInstanceSettings({api, storages, instance: 'crm', environment: 'development', by: 'test'}, signal)}

  before(async () => { url = await smallDatabase('backup_settings') })
  beforeEach(async () => { directory = await temporaryFolder('backup-settings') })
  afterEach(() => removeFolder(directory))

  it('saves the settings of the instance beside the backup, and says what is not in them', async () => {
    const storage = localRepository(directory)
    const lost = failing(localRepository(`${directory}/other`), (key) => key.startsWith('instances/'))
    const {state, notices, error} = await runBackup({url, directory, storages: [storage, lost], instance})
    if (error) throw error
    expect(state).to.include({status: 'good'}).and.have.deep.property('failures', [])
    expect(notices).to.deep.equal(['Not among the settings of crm: parameter group crm17. AWS denies it.', `The settings of crm are not at ${lost.location}: lost`])
    expect(await latestInstanceSettings([storage], 'crm')).to.include({label: state.settings}).and.have.nested.property('settings.DBInstanceClass', 'db.m7g.large')
    expect(await new Repository(storage, 'development').labels()).to.deep.equal([state.label])
  })

  it('is a good backup without them when AWS does not answer, or answers what nobody foresaw', async () => {
    for (const trouble of [unreachableError('rds.unreachable', 'RDS cannot be reached.'), new TypeError('unforeseen')]) {
      const {state, notices, error} = await runBackup({url, directory, instance: {id: 'crm', save: () => Promise.reject(trouble)}})
      if (error) throw error
      expect(state).to.include({status: 'good'}).and.not.have.property('settings')
      expect(notices).to.deep.equal([`The settings of crm were not saved: ${trouble.message}`])
    }
  })

  it('is interrupted while they are saved, and leaves nothing', async () => {
    const ending = new AbortController()
    const {state, error} = await runBackup({url, directory, signal: ending.signal, instance: {id: 'crm', save() { ending.abort(new Error('enough')); return Promise.reject(new Error('cut')) }}})
    expect(error?.message).to.equal('enough')
    expect(state).not.to.have.property('label')
    expect(await keysOf(localRepository(directory))).to.deep.equal([])
  })

  it('has no such step where no instance is configured', () => {
    const stepsOf = (options: object) => backupProcedure({config: {environment: 'development'}, target: {database: 'crm'}, storages: [], ...options} as never, new BackupWork({storages: [], stagingRoot: ''} as never, {} as never)).phases.flatMap(({steps}) => steps.map(({id}) => id))
    expect(stepsOf({})).not.to.include('backup.settings')
    expect(stepsOf({instance})).to.include('backup.settings')
    expect(backupState({config: {environment: 'development'}, target: {database: 'crm'}, storages: []} as never, {} as never)).not.to.have.property('settings')
  })
})
