import {expect} from 'chai'
import {mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {loadConfig, type LoadOptions} from '../../../src/lib/config/load.ts'
import {ExitCode} from '../../../src/lib/errors.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'

describe('loadConfig', () => {
  const folder = temporaryFolder()

  const load = (more: Partial<LoadOptions> = {}) =>
    loadConfig({env: {}, cwd: folder.path, configDir: join(folder.path, 'own'), dataDir: join(folder.path, 'data'), ...more})

  async function file(text: string, name = 'dr.config.yaml'): Promise<void> {
    await mkdir(join(folder.path, name, '..'), {recursive: true})
    await writeFile(join(folder.path, name), text)
  }

  it('needs no file, no variable and no flag', async () => {
    const {config, file: read} = await load()
    expect(read).to.equal(undefined)
    expect(config).to.deep.equal({
      environment: 'development',
      protected: false,
      database: {maintenanceDatabase: 'postgres', tenantColumn: 'tenantId', excludeSchemas: ['dr_stage_*', 'dr_undo_*'], migrationLock: 72_707_369},
      local: {directory: join(folder.path, 'data', 'backups')},
      s3: {prefix: 'dr', legacyPrefix: 'backups/', checksums: 'auto'},
      backup: {destinations: ['local'], digest: false, blockedLimitMs: 500, lockTimeoutMs: 2000, attempts: 3, shrinkLimit: 0.5},
      rds: {pollSeconds: 12.5},
      restore: {},
      partial: {lockTimeoutMs: 2000},
      checks: {features: []},
      investigate: {timestampColumns: ['updatedAt', 'createdAt'], auditLog: {table: 'audit_logs', time: 'createdAt', actor: 'userId', action: 'action', resource: 'resource', resourceId: 'resourceId'}},
      tools: {},
      objectives: {rtoSeconds: 28_800, rpoSeconds: 604_800},
      retention: {days: 7},
      schedule: {},
      application: {encryptionKeyEnv: 'ENCRYPTION_KEY'},
      dataDirectory: join(folder.path, 'data'),
    })
  })

  it('leaves the schemas of partial restores out, whatever others are', async () => {
    await file('database: {excludeSchemas: [archive_*, dr_undo_*]}\n')
    expect((await load()).config.database.excludeSchemas).to.deep.equal(['dr_stage_*', 'dr_undo_*', 'archive_*'])
    expect((await load({env: {DR_DATABASE_EXCLUDE_SCHEMAS: 'tmp'}})).config.database.excludeSchemas).to.deep.equal(['dr_stage_*', 'dr_undo_*', 'tmp'])
  })

  const runbook = [
    {environment: 'production', cron: '0 2 * * *', days: 30, rtoSeconds: 3600, rpoSeconds: 3600, isProtected: true},
    {environment: 'staging', cron: '0 3 * * *', days: 7, rtoSeconds: 14_400, rpoSeconds: 86_400, isProtected: false},
    {environment: 'development', cron: undefined, days: 7, rtoSeconds: 28_800, rpoSeconds: 604_800, isProtected: false},
  ]
  for (const {environment, cron, days, rtoSeconds, rpoSeconds, isProtected} of runbook) {
    it(`gives ${environment} what the runbook asks of it`, async () => {
      const {config, sources} = await load({env: {DR_ENVIRONMENT: environment}})
      expect(config.schedule.cron).to.equal(cron)
      expect(config.retention).to.deep.equal({days})
      expect(config.objectives).to.deep.equal({rtoSeconds, rpoSeconds})
      expect(config.protected).to.equal(isProtected)
      expect(sources['retention.days']).to.deep.equal({source: 'profile', from: environment})
    })
  }

  it('prefers flags to the environment, this to the file, its environments section to its top, and these to the profile', async () => {
    await file('retention: {days: 2}\nenvironments:\n  staging:\n    retention: {days: 3}\n')
    const values: number[] = []
    const sources: unknown[] = []
    for (const more of [
      {env: {}},
      {env: {DR_ENVIRONMENT: 'staging'}},
      {env: {DR_ENVIRONMENT: 'staging', DR_RETENTION_DAYS: '4'}},
      {env: {DR_ENVIRONMENT: 'staging', DR_RETENTION_DAYS: '4'}, flags: {'retention.days': 5}},
    ]) {
      const loaded = await load(more)
      values.push(loaded.config.retention.days)
      sources.push(loaded.sources['retention.days'])
    }
    expect(values).to.deep.equal([2, 3, 4, 5])
    expect(sources).to.deep.equal([
      {source: 'file', from: 'dr.config.yaml:1'},
      {source: 'file', from: 'dr.config.yaml:4'},
      {source: 'environment', from: 'DR_RETENTION_DAYS'},
      {source: 'flag'},
    ])
  })

  it('takes the environment from --environment, DR_ENVIRONMENT or the file, in this order', async () => {
    await file('environment: staging\n')
    expect((await load()).config.environment).to.equal('staging')
    expect((await load({env: {DR_ENVIRONMENT: 'production'}})).config.environment).to.equal('production')
    expect((await load({env: {DR_ENVIRONMENT: 'production'}, flags: {environment: 'development'}})).config.environment).to.equal('development')
  })

  it('keeps the names of the old scripts working', async () => {
    const {config} = await load({env: {DATABASE_URL: 'postgres://u:p@h/crm', AWS_S3_BUCKET: 'kept', AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: 'http://a', AWS_ENDPOINT_URL_S3: 'http://b', AWS_PROFILE: 'ops', DR_PG_BIN: '/opt/pg'}})
    expect(config.database.url).to.equal('postgres://u:p@h/crm')
    expect(config.s3).to.include({bucket: 'kept', region: 'eu-west-1', endpoint: 'http://b', profile: 'ops'})
    expect(config.tools.directory).to.equal('/opt/pg')
  })

  it('counts an empty variable as not set', async () => {
    const {config, sources} = await load({env: {AWS_REGION: '', DR_ENVIRONMENT: '', DATABASE_URL: '', DR_CONFIG: ''}})
    expect(config.s3).not.to.have.property('region')
    expect(config.database).not.to.have.property('url')
    expect(sources).not.to.have.property('s3.region')
  })

  it('backs up to s3 once a bucket is configured, and where it is told', async () => {
    expect((await load({env: {AWS_S3_BUCKET: 'kept'}})).config.backup.destinations).to.deep.equal(['s3'])
    expect((await load({env: {AWS_S3_BUCKET: 'kept', DR_BACKUP_DESTINATIONS: 'local, s3'}})).config.backup.destinations).to.deep.equal(['local', 's3'])
  })

  it('counts a relative folder from where it is written: the file, or the working directory', async () => {
    await file('local: {directory: archive}\nbackup: {stagingDirectory: ~/stage}\n', 'etc/own.yaml')
    const fromFile = await load({configFile: 'etc/own.yaml'})
    expect(fromFile.config.local.directory).to.equal(join(folder.path, 'etc', 'archive'))
    expect(fromFile.config.backup.stagingDirectory).to.match(/^\/.*\/stage$/).and.not.include('~')
    expect((await load({env: {DR_LOCAL_DIRECTORY: 'here'}})).config.local.directory).to.equal(join(folder.path, 'here'))
    expect((await load({flags: {'local.directory': 'there'}})).config.local.directory).to.equal(join(folder.path, 'there'))
  })

  it('reads the file in the working directory before the user’s own, and another one only when it is named', async () => {
    await file('retention: {days: 11}\n', 'own/dr.config.yaml')
    expect((await load()).config.retention.days).to.equal(11)
    await file('retention: {days: 12}\n')
    expect((await load()).config.retention.days).to.equal(12)
    await file('retention: {days: 13}\n', 'named.yaml')
    expect((await load({configFile: 'named.yaml'})).config.retention.days).to.equal(13)
    expect((await load({env: {DR_CONFIG: 'named.yaml'}})).config.retention.days).to.equal(13)
  })

  it('does without a missing file unless it was named', async () => {
    const error = await drErrorOf(load({configFile: 'gone.yaml'}))
    expect(error).to.include({code: 'config.unreadable', exitCode: ExitCode.preflight})
    expect(error.message).to.include('gone.yaml')
  })

  it('lets null in the file and none in a variable switch off what can be switched off', async () => {
    await file('database: {migrationLock: null}\nenvironments: {production: {schedule: {cron: null}}}\n')
    const {config} = await load({flags: {environment: 'production'}})
    expect(config.database).not.to.have.property('migrationLock')
    expect(config.schedule).to.deep.equal({})
    expect((await load({env: {DR_ENVIRONMENT: 'staging', DR_SCHEDULE_CRON: 'none'}})).config.schedule).to.deep.equal({})
  })

  it('reads a section whose every line is a comment as empty', async () => {
    await file('backup:\n  # jobs: 4\ns3:\nenvironments:\n')
    expect((await load()).config.backup.attempts).to.equal(3)
  })

  it('takes a protection away in the file only', async () => {
    expect((await load({env: {DR_ENVIRONMENT: 'production', DR_PROTECTED: 'false'}})).config.protected).to.equal(true)
    await file('environments: {production: {protected: false}}\n')
    expect((await load({env: {DR_ENVIRONMENT: 'production'}})).config.protected).to.equal(false)
  })

  it('trims the slashes of a key prefix', async () => {
    expect((await load({env: {DR_S3_PREFIX: '/a/b/'}})).config.s3.prefix).to.equal('a/b')
  })

  describe('refuses', () => {
    it('a wrong value in the file, with its line and what is allowed', async () => {
      await file('backup:\n  digest: true\n  jobs: many\n')
      const error = await drErrorOf(load())
      expect(error.message).to.equal('backup.jobs is "many" (dr.config.yaml:3), but must be a whole number from 1 to 64.')
      expect(error.exitCode).to.equal(ExitCode.preflight)
    })

    it('a wrong variable, by its name', async () => {
      const error = await drErrorOf(load({env: {DR_BACKUP_BLOCKED_LIMIT: 'soon'}}))
      expect(error.message).to.equal('backup.blockedLimit is "soon" (DR_BACKUP_BLOCKED_LIMIT), but must be a duration such as 500ms, 2s, 15m, 1h or 7d.')
    })

    it('a wrong flag, as wrong usage', async () => {
      expect(await drErrorOf(load({flags: {'backup.jobs': 0}}))).to.include({exitCode: ExitCode.usage, message: 'backup.jobs is 0 (from a flag), but must be a whole number from 1 to 64.'})
      expect(await drErrorOf(load({flags: {environment: 'prod'}}))).to.include({exitCode: ExitCode.usage, message: 'environment is "prod" (--environment), but must be one of production, staging, development.'})
    })

    it('an unknown setting, with the one that was meant', async () => {
      await file('backup:\n  jobs: 2\n  atempts: 4\n')
      const error = await drErrorOf(load())
      expect(error.message).to.equal('backup.atempts (dr.config.yaml:3) is not a setting.')
      expect(error.hints).to.deep.equal(['Did you mean backup.attempts?'])
    })

    it('an unknown section and an unknown environment', async () => {
      await file('bakup: {}\n')
      expect((await drErrorOf(load())).hints).to.deep.equal(['Did you mean backup?'])
      await file('environments: {prodution: {}}\n')
      expect((await drErrorOf(load())).hints).to.deep.equal(['Did you mean environments.production?'])
    })

    it('an environment inside an environment', async () => {
      await file('environments: {staging: {environment: production}}\n')
      expect((await drErrorOf(load())).code).to.equal('config.unknown-key')
    })

    it('a value where a section belongs', async () => {
      await file('backup: 3\n')
      expect((await drErrorOf(load())).message).to.equal('backup (dr.config.yaml:1) must hold settings.')
    })

    it('broken YAML, without quoting the line', async () => {
      await file('environment: staging\ndatabase: {url: "postgres://u:hunter22@h/d"\nfoo: ]\n')
      const error = await drErrorOf(load())
      expect(error.message).to.match(/^dr\.config\.yaml:\d is not valid YAML/)
      expect(JSON.stringify([error.message, error.hints, String(error.stack)])).not.to.include('hunter22')
    })

    it('a wrong connection URL, without showing it', async () => {
      const error = await drErrorOf(load({env: {DATABASE_URL: 'mysql://u:hunter22@h/d'}}))
      expect(error.message).to.equal('database.url is not right (DATABASE_URL), but must be a URL such as postgres://user:password@host:5432/name.')
    })

    it('a setting that stands twice', async () => {
      await file('retention: {days: 3}\nretention: {days: 4}\n')
      expect((await drErrorOf(load())).message).to.match(/^dr\.config\.yaml:2 is not valid YAML/)
    })
  })
})
